//! Which of the actions a configuration needs.

use std::collections::BTreeSet;

use crate::aws::{IAM_ACTIONS, IamAction, Needed};
use crate::config::Config;
use crate::domain::{ActionKind, HostKeyVoucher};
use crate::policy::Policy;
use crate::record::vault::Encryption;

/// What a configuration makes use of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances(BTreeSet<Needed>);

impl Circumstances {
    /// What this configuration makes use of. A policy that cannot be read is taken to permit everything.
    #[must_use]
    pub fn of(config: &Config, policy: Option<&Policy>) -> Self {
        let bucket = config.recording.upload_to.as_ref().filter(|bucket| bucket.endpoint_url.is_none());
        let kms = |encryption: &Encryption| matches!(encryption, Encryption::Kms { .. });
        let circumstances = [
            (Needed::Always, true),
            (Needed::ForRoles, config.inventory.accounts.iter().any(|account| account.role_arn.is_some())),
            (Needed::ForConsole, reads_the_console(config)),
            (Needed::ForDiagnosis, policy.is_none_or(|policy| policy.may_permit(ActionKind::Diagnose))),
            (Needed::ForBucket, bucket.is_some()),
            (Needed::ForLock, bucket.is_some_and(|bucket| bucket.lock.is_some())),
            (Needed::ForKms, bucket.and_then(|bucket| bucket.encryption.as_ref()).is_some_and(kms)),
        ];
        Self(circumstances.into_iter().filter_map(|(needed, holds)| holds.then_some(needed)).collect())
    }

    /// The same, and what the operator's own diagnoses need.
    #[must_use]
    pub fn with_diagnosis(mut self) -> Self {
        self.0.insert(Needed::ForDiagnosis);
        self
    }

    /// Whether that is made use of.
    #[must_use]
    pub fn has(&self, needed: Needed) -> bool {
        self.0.contains(&needed)
    }

    /// The actions that are needed.
    pub fn actions(&self) -> impl Iterator<Item = &'static IamAction> + use<'_> {
        IAM_ACTIONS.iter().filter(|action| self.has(action.needed))
    }

    /// Those that are needed in every account and region.
    pub fn actions_in_a_place(&self) -> impl Iterator<Item = &'static IamAction> + use<'_> {
        self.actions().filter(|action| action.name.starts_with("ec2"))
    }
}

/// Whether host keys are looked for in what instances print on their console.
fn reads_the_console(config: &Config) -> bool {
    config.upstream.host_keys.contains(&HostKeyVoucher::Console)
}
