//! The whole product against parts that others wrote: OpenSSH's client on one end, OpenSSH's server
//! on the other, moto as the AWS between them.
//!
//! One test binary, because each one links the AWS SDK. `tests/run setup` installs what it needs.
//! Every process belongs to `tests/lab/lab.py`, which ends them all when this process ends, however
//! it does. Tests never sleep to let something happen: they wait for what shows that it did.

#[cfg(test)]
mod support;

#[cfg(test)]
mod algorithms;
#[cfg(test)]
mod asking;
#[cfg(test)]
mod audit_story;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod config_cli;
#[cfg(test)]
mod console;
#[cfg(test)]
mod demo_contract;
#[cfg(test)]
mod diagnosis_facts;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod forwards;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod host_keys_vouched;
#[cfg(test)]
mod main_path;
#[cfg(test)]
mod menu;
#[cfg(test)]
mod operating;
#[cfg(test)]
mod passthrough;
#[cfg(test)]
mod past_bugs;
#[cfg(test)]
mod record_bad_input;
#[cfg(test)]
mod record_crash;
#[cfg(test)]
mod record_tampering;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod sinks;
#[cfg(test)]
mod stalls;
#[cfg(test)]
mod standing;
#[cfg(test)]
mod unruly_clients;
#[cfg(test)]
mod why;
