//! `ssh bastion`: drawbridge itself answers. It says who you are to it and how to go on.

use std::sync::Arc;

use super::Services;
use super::entrance::Guest;
use super::story::Story;
use super::{menu, prelude, program};
use crate::domain::Action;
use crate::ssh::Channel;

/// Answers one session channel that is for nobody but drawbridge.
pub(super) async fn serve(
    services: &Arc<Services>,
    story: &Story,
    guest: &Arc<Guest>,
    why: Option<String>,
    channel: Channel,
) {
    let (grace, pty_allowed) = (services.settings.login_grace, guest.extensions.permit_pty);
    let asked = tokio::time::timeout(grace, prelude::read(&channel, pty_allowed)).await;
    let Ok(Some(prelude)) = asked else { return };
    let look = menu::look(&prelude).filter(|_| why.is_none() && prelude.action == Action::Shell);
    if let Some(look) = look {
        return menu::serve(services, story, guest, &channel, &prelude, look).await;
    }
    let sentence = why.unwrap_or_else(|| greeting(guest));
    program::deny(&channel, &prelude, &sentence).await;
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
