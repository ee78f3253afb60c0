//! `ssh bastion`: drawbridge itself answers. It says who you are to it and how to go on.

use super::Services;
use super::entrance::Guest;
use super::prelude::{self, Prelude};
use super::program;
use crate::ssh::Channel;

/// Answers one session channel that is for nobody but drawbridge.
pub(super) async fn serve(services: &Services, guest: &Guest, why: Option<String>, channel: Channel) {
    let grace = services.settings.login_grace;
    let Ok(Some(prelude)) = tokio::time::timeout(grace, prelude::read(&channel, true)).await else { return };
    let newline = if prelude.pty.is_some() { "\r\n" } else { "\n" };
    program::deny(&channel, &prelude, &greeting(guest, &prelude, why.as_deref()).replace('\n', newline))
        .await;
}

fn greeting(guest: &Guest, prelude: &Prelude, why: Option<&str>) -> String {
    let what = match (why, prelude.start.name.as_str()) {
        (Some(why), _) => why,
        (None, "shell") => "you are logged in, and this is the bastion itself; there is no shell here.",
        (None, _) => "this is the bastion itself; it runs no commands and keeps no files.",
    };
    format!(
        "{what}\n\
         You are known here as {user}. To reach an instance:\n\
         \x20   ssh -J BASTION LOGIN@INSTANCE       by jump\n\
         \x20   ssh LOGIN@INSTANCE@BASTION          directly\n\
         where INSTANCE is a name, an instance id or a private address.",
        user = guest.identity.user
    )
}
