//! Why there is no answer, or no more of it.

use crate::console::answer::{Answer, Verdict};
use crate::console::stage::{Left, Stage};
use crate::store::StoreError;

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Nobody reads it any more.
    #[error(transparent)]
    Left(#[from] Left),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A refusal, or nothing to answer with; the sentence says it.
    #[error("{0}")]
    Sentence(String),
}

const STORE_SILENT: &str = "the record cannot be read at the moment; please try again in a minute, or tell your drawbridge operator.";

impl Trouble {
    pub(super) fn say(sentence: impl Into<String>) -> Self {
        Self::Sentence(sentence.into())
    }

    /// What whoever asked is told; the operator's log has what they need not know. Nothing where nobody listens.
    fn sentence(self, by_operator: bool) -> Option<String> {
        match self {
            Self::Left(Left) => None,
            Self::Sentence(sentence) => Some(sentence),
            Self::Store(error) if by_operator => Some(format!("the record cannot be read: {error}.")),
            Self::Store(error) => {
                tracing::warn!(%error, "a question about the record could not be answered");
                Some(STORE_SILENT.to_owned())
            }
        }
    }

    /// The answer that it is.
    pub(super) fn answer(self, by_operator: bool) -> Answer {
        Answer::no(&self.sentence(by_operator).unwrap_or_default())
    }

    /// How an answer went that has been begun; the rest is said on standard error.
    pub(super) async fn conclude(result: Result<Verdict, Self>, stage: &Stage, by_operator: bool) -> Verdict {
        let trouble = match result {
            Ok(verdict) => return verdict,
            Err(trouble) => trouble,
        };
        if let Some(sentence) = trouble.sentence(by_operator) {
            // Nobody may be there to hear it.
            let _heard = stage.complain(&sentence).await.is_ok();
        }
        Verdict::No
    }
}
