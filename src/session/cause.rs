//! A session that did not come about: what its user is told. The sentence always; the cause, by AWS's own facts, where
//! policy lets them ask for it.
//!
//! What always holds: AWS is asked only after a failure, and only for somebody who may `diagnose` this target as this
//! login; whoever may not reads the sentence alone. The permit and what it was used for are on record before anything is
//! said. The user waits no longer than `diagnosis_patience`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Services;
use super::entrance::Guest;
use super::story::Story;
use super::visit::Visit;
use crate::audit::Event;
use crate::console;
use crate::diagnose::{Diagnosis, Symptom, diagnose};
use crate::domain::{Action, FailureClass, Login, SessionId, Target};
use crate::policy::{Permit, Question};

/// What is left of the patience for what comes after the survey: a line on the disk, and a few on the terminal.
const MARGIN: Duration = Duration::from_millis(150);

/// A session that did not come about.
#[derive(Debug)]
pub(super) struct NotOpened {
    /// What happened, and what to do.
    pub(super) sentence: String,
    /// In what way, and in which session; nothing where no target was tried.
    failed: Option<(FailureClass, SessionId)>,
}

impl NotOpened {
    /// No target was tried.
    pub(super) fn because(sentence: &str) -> Self {
        Self { sentence: sentence.to_owned(), failed: None }
    }

    /// The target was tried in this session.
    pub(super) fn failed(sentence: String, class: FailureClass, session: SessionId) -> Self {
        Self { sentence, failed: Some((class, session)) }
    }
}

/// What the user of a visit is told about a session that did not come about.
pub(super) async fn told(visit: &Visit, not_opened: NotOpened) -> String {
    let NotOpened { sentence, failed } = not_opened;
    let Some((class, session)) = failed else { return sentence };
    let errand = &visit.errand;
    let case = Case {
        services: &visit.services,
        story: &errand.story.of_session(session),
        guest: &errand.guest,
        target: &errand.target,
        login: &errand.login,
    };
    case.told(sentence, class).await
}

/// Who wanted to go where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) services: &'a Services,
    pub(super) story: &'a Story,
    pub(super) guest: &'a Guest,
    pub(super) target: &'a Arc<Target>,
    pub(super) login: &'a Login,
}

impl Case<'_> {
    /// The sentence, and the cause below it where there is one to be told.
    pub(super) async fn told(self, sentence: String, class: FailureClass) -> String {
        if !may_have_a_cause(class) || self.services.diagnosis_patience.is_zero() {
            return sentence;
        }
        let cause = tokio::select! {
            cause = self.cause(class) => cause,
            () = self.services.tasks.token().cancelled() => None,
        };
        match cause {
            Some(cause) => format!("{sentence}\n{cause}"),
            None => sentence,
        }
    }

    async fn cause(self, class: FailureClass) -> Option<String> {
        let permit = self.permit()?;
        self.story.record(Event::permitted(&permit)).await.ok()?;
        let begun = Instant::now();
        let diagnosis = self.diagnosis(class).await?;
        let diagnosed = Event::diagnosed(&permit, Some(class), &diagnosis, begun.elapsed());
        self.story.record(diagnosed).await.ok()?;
        let address = self.services.address.as_ref();
        Some(console::cause_told(&diagnosis, class, self.target, self.login, address))
    }

    /// Nobody asked to be told, so a refusal is no event: the user reads what everybody reads.
    fn permit(self) -> Option<Permit> {
        let identity = self.guest.as_of_now(self.services).ok()?;
        let action = Action::Diagnose;
        let question = Question {
            identity: &identity,
            target: self.target,
            login: self.login,
            action: &action,
            now: self.services.clock.now(),
        };
        let permitted = self.guest.extensions.permit(action.kind());
        permitted.then(|| self.services.policy.current().decide(&question).ok()).flatten()
    }

    async fn diagnosis(self, class: FailureClass) -> Option<Diagnosis> {
        let patience = self.services.diagnosis_patience;
        let survey = self.services.surveyor.survey(self.target, patience.saturating_sub(MARGIN));
        let facts = tokio::time::timeout(patience, survey).await.ok()?;
        let symptom = Symptom { class, login: Some(self.login.clone()) };
        Some(diagnose(&facts, Some(&symptom)))
    }
}

/// Whether AWS's facts can say more than the sentence does. Where pushes are throttled, more calls would make it
/// worse.
fn may_have_a_cause(class: FailureClass) -> bool {
    match class {
        FailureClass::PushDenied
        | FailureClass::PushInvalid
        | FailureClass::PushFailed
        | FailureClass::InstanceGone
        | FailureClass::InstanceNotRunning
        | FailureClass::InstanceUnavailable
        | FailureClass::ConnectionRefused
        | FailureClass::ConnectTimeout
        | FailureClass::Unreachable
        | FailureClass::NoBanner
        | FailureClass::NotSsh
        | FailureClass::HandshakeFailed
        | FailureClass::LoginRejected
        | FailureClass::LoginTimeout => true,
        FailureClass::PushNoCredentials
        | FailureClass::PushThrottled
        | FailureClass::NoCommonAlgorithm
        | FailureClass::HostKeyUnknown
        | FailureClass::HostKeyChanged
        | FailureClass::OwnFault => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bastion;
    use super::*;
    use crate::console::doctor_testing::Told;
    use crate::target::testing::target;

    const EVERYTHING: &str = "permit(principal, action, resource);";
    const SHELLS: &str = r#"permit(principal, action == Action::"shell", resource);"#;
    const SENTENCE: &str = "web-1 did not answer.";

    async fn bastion(policy: &str, told: &Arc<Told>, patience: Duration) -> Bastion {
        let mut bastion = Bastion::listing(vec![target("web-1", 1)], policy).await;
        let services = Arc::get_mut(&mut bastion.services).expect("nobody else has it yet");
        services.surveyor = Arc::clone(told) as Arc<dyn crate::diagnose::Surveyor>;
        services.diagnosis_patience = patience;
        bastion
    }

    async fn told_by(bastion: &Bastion, class: FailureClass) -> String {
        let errand = bastion.errand("web-1");
        let case = Case {
            services: &bastion.services,
            story: &errand.story.of_session(SessionId::fresh()),
            guest: &errand.guest,
            target: &errand.target,
            login: &errand.login,
        };
        case.told(SENTENCE.to_owned(), class).await
    }

    const PATIENCE: Duration = Duration::from_secs(2);

    #[tokio::test]
    async fn the_cause_is_below_the_sentence_and_on_record() {
        let told = Told::state("stopped");
        let bastion = bastion(EVERYTHING, &told, PATIENCE).await;
        let said = told_by(&bastion, FailureClass::ConnectTimeout).await;
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[..2], [SENTENCE, "The most likely cause: The instance is stopped."]);
        assert_eq!(lines.last(), Some(&"`ssh BASTION doctor web-1` shows the rest."));
        let [decision] = bastion.trail("decision").try_into().expect("one decision");
        assert_eq!((&decision["outcome"], &decision["action"]), (&"permit".into(), &"diagnose".into()));
        let [diagnosed] = bastion.trail("diagnosed").try_into().expect("one diagnosis");
        assert_eq!((&diagnosed["class"], &diagnosed["cause"]), (&"connect-timeout".into(), &"state".into()));
        assert_eq!(diagnosed["session"], decision["session"]);
        assert!(diagnosed["session"].is_string(), "{diagnosed}");
    }

    #[tokio::test]
    async fn whoever_may_not_ask_reads_the_sentence_alone_and_aws_is_not_asked() {
        let told = Told::state("stopped");
        let bastion = bastion(SHELLS, &told, PATIENCE).await;
        for class in FailureClass::ALL {
            assert_eq!(told_by(&bastion, class).await, SENTENCE, "{class:?}");
        }
        assert_eq!(told.asked(), 0);
        assert!(bastion.trail("decision").is_empty() && bastion.trail("diagnosed").is_empty());
    }

    #[tokio::test]
    async fn what_aws_cannot_explain_is_not_asked_of_it() {
        let told = Told::state("stopped");
        let bastion = bastion(EVERYTHING, &told, PATIENCE).await;
        for class in [FailureClass::HostKeyChanged, FailureClass::PushThrottled, FailureClass::OwnFault] {
            assert_eq!(told_by(&bastion, class).await, SENTENCE, "{class:?}");
        }
        assert_eq!(told.asked(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_patience() {
        let told = Told::nothing();
        let bastion = bastion(EVERYTHING, &told, PATIENCE).await;
        let begun = tokio::time::Instant::now();
        assert_eq!(told_by(&bastion, FailureClass::ConnectTimeout).await, SENTENCE);
        assert!(begun.elapsed() <= PATIENCE + Duration::from_millis(100), "{:?}", begun.elapsed());
        assert_eq!(told.asked(), 1);
    }

    #[tokio::test]
    async fn without_patience_aws_is_not_asked() {
        let told = Told::state("stopped");
        let bastion = bastion(EVERYTHING, &told, Duration::ZERO).await;
        assert_eq!(told_by(&bastion, FailureClass::ConnectTimeout).await, SENTENCE);
        assert_eq!(told.asked(), 0);
    }
}
