//! Facts made by hand.
