//! Writes many small texts as few larger ones.

use crate::console::stage::{Left, Stage};

/// How much is written at a time.
const BATCH: usize = 16 * 1024;

/// Gathers text for a stage; what has not been flushed is not written.
pub(super) struct Pen<'s> {
    stage: &'s Stage,
    text: String,
}

impl<'s> Pen<'s> {
    pub(super) fn new(stage: &'s Stage) -> Self {
        Self { stage, text: String::new() }
    }

    pub(super) async fn write(&mut self, text: &str) -> Result<(), Left> {
        self.text.push_str(text);
        if self.text.len() >= BATCH { self.flush().await } else { Ok(()) }
    }

    pub(super) async fn flush(&mut self) -> Result<(), Left> {
        self.stage.say(std::mem::take(&mut self.text)).await
    }
}
