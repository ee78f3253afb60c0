//! One forwarded connection on record, from its start to its end.

use std::time::Instant;

use super::super::live::Live;
use super::super::standing::Claim;
use super::super::story::Unrecorded;
use crate::audit::{ActionFacts, Event, Text};
use crate::domain::{Action, ChannelNumber, Ending};
use crate::relay::{self, Outcome};
use crate::ssh::Channel;

/// A forwarded connection whose start is on record.
#[derive(Debug)]
pub(super) struct Forward<'a> {
    live: &'a Live,
    claim: &'a Claim,
    channel: ChannelNumber,
    action: ActionFacts,
    begun: Instant,
}

impl<'a> Forward<'a> {
    /// Puts the start on record; nothing may have happened before.
    pub(super) async fn begin(
        live: &'a Live,
        claim: &'a Claim,
        action: &Action,
        originator: Option<String>,
    ) -> Result<Self, Unrecorded> {
        let (channel, action) = (live.next_channel(), ActionFacts::from(action));
        let started = Event::ForwardStarted {
            channel,
            user: live.user.clone(),
            client_addr: live.client_addr,
            action: action.clone(),
            originator: originator.map(Text::from),
        };
        live.story.record(started).await?;
        live.activity.touch();
        Ok(Self { live, claim, channel, action, begun: Instant::now() })
    }

    /// Moves bytes between the two channels until one closes, and puts the end on record.
    pub(super) async fn carry(self, client: &Channel, target: &Channel) {
        let joined = relay::join(client, target, &self.live.activity, self.claim.stop());
        let outcome = tokio::select! {
            outcome = joined => outcome,
            never = self.claim.heed(self.live.stop()) => match never {},
        };
        let detail = self.claim.detail().filter(|_| is_by_permit(outcome.ending)).map(Text::from);
        self.ended(&outcome, detail).await;
    }

    /// Waits until it must not be.
    pub(super) async fn ordered(&self) -> Ending {
        let (ending, _sentence) = tokio::select! {
            order = self.claim.ended() => order,
            never = self.claim.heed(self.live.stop()) => match never {},
        };
        ending
    }

    /// It came to nothing.
    pub(super) async fn failed(self, ending: Ending, detail: String) {
        let outcome = Outcome { exit: None, bytes_to_target: 0, bytes_to_client: 0, ending };
        self.ended(&outcome, Some(Text::from(detail))).await;
    }

    async fn ended(self, outcome: &Outcome, detail: Option<Text>) {
        self.live.count_forward();
        let ended = Event::ForwardEnded {
            channel: self.channel,
            action: self.action,
            bytes_to_target: outcome.bytes_to_target,
            bytes_to_client: outcome.bytes_to_client,
            ending: outcome.ending,
            detail,
            duration: self.begun.elapsed(),
        };
        // It has ended whether or not that can be written; the failure is in the operator's log.
        let _on_record = self.live.story.tell(ended).await;
    }
}

fn is_by_permit(ending: Ending) -> bool {
    matches!(ending, Ending::PermissionEnded | Ending::TargetReplaced)
}
