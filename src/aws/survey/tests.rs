//! Surveys of a small network, told by a server that tests can make say anything.

mod bastion;
mod contradictions;
mod gaps;
mod network;
mod volume;
