//! The evaluation as a whole: a table of broken networks and machines, a second evaluation, and facts that cannot be true.

mod contradictions;
mod doubts;
mod random;
mod second;
mod table;
mod told;
