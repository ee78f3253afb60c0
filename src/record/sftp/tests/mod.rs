//! Conversations, made by hand and by OpenSSH.

mod hostile;
mod openssh;
mod operations;
mod properties;
mod talk;
mod transfers;
mod versions;
