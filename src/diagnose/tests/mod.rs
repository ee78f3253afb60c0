//! The evaluation as a whole: a table of broken networks and machines, a second evaluation, and facts that cannot be true.
//!
//! What always holds: nothing here looks at a check alone, only at a whole diagnosis of whole facts; and the second evaluation
//! ([`second`]) shares the facts with the first one and none of its code.
//!
//! What is not here: where facts come from (`aws`), and how a diagnosis is told (`console`).

mod contradictions;
mod doubts;
mod random;
mod second;
mod table;
mod told;
