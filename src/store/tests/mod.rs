//! What holds on both databases.
