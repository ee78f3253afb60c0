//! Drawing on a channel: one picture at a time, and none before there is room for it.

use std::future::{Future, pending};
use std::pin::Pin;

use bytes::Bytes;

use crate::ssh::{Channel, Closed};

type Work<'c> = Pin<Box<dyn Future<Output = Result<(), Closed>> + Send + 'c>>;

/// What a pen was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stroke {
    /// It waited for room: the latest picture may be drawn.
    Waited,
    /// It wrote.
    Wrote,
}

/// Writes to a channel beside other things. A client that reads slowly sees fewer pictures, not older ones.
pub(super) struct Pen<'c> {
    client: &'c Channel,
    work: Option<(Stroke, Work<'c>)>,
}

impl<'c> Pen<'c> {
    pub(super) fn new(client: &'c Channel) -> Self {
        Self { client, work: None }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.work.is_none()
    }

    pub(super) fn wait_for_room(&mut self) {
        let client = self.client;
        let room = async move {
            client.room().await;
            Ok(())
        };
        self.work = Some((Stroke::Waited, Box::pin(room)));
    }

    pub(super) fn write(&mut self, data: Bytes) {
        self.work = Some((Stroke::Wrote, Box::pin(self.client.write(data))));
    }

    /// What was finished; waits for ever when there is nothing to do.
    pub(super) async fn done(&mut self) -> Result<Stroke, Closed> {
        let Some((stroke, work)) = &mut self.work else { return pending().await };
        let (stroke, result) = (*stroke, work.await);
        self.work = None;
        result.map(|()| stroke)
    }

    /// Finishes what is half written.
    pub(super) async fn lift(&mut self) {
        if self.work.as_ref().is_some_and(|(stroke, _)| *stroke == Stroke::Wrote) {
            // A closed channel has nothing on it that could be half drawn.
            let _closed = self.done().await;
        }
    }
}
