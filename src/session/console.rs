//! `ssh bastion`: drawbridge itself answers. It says who you are to it and how to go on.

use super::Services;
use super::entrance::Guest;
use super::program;
use crate::ssh::Channel;

/// Answers one session channel that is for nobody but drawbridge.
pub(super) async fn serve(services: &Services, guest: &Guest, why: Option<String>, channel: Channel) {
    let sentence = why.unwrap_or_else(|| greeting(guest));
    program::turn_away(services, channel, &sentence).await;
}

fn greeting(guest: &Guest) -> String {
    format!(
        "this is the bastion itself; it has no shell, runs no commands and keeps no files.\n\
         You are known here as {user}. To reach an instance:\n\
         \x20   ssh -J BASTION LOGIN@INSTANCE       by jump\n\
         \x20   ssh LOGIN@INSTANCE@BASTION          directly\n\
         where INSTANCE is a name, an instance id or a private address.",
        user = guest.identity.user
    )
}
