//! Conversations, made by hand and by OpenSSH.

mod hostile;
mod openssh;
mod operations;
mod properties;
mod speed;
mod talk;
mod transfers;
mod versions;
