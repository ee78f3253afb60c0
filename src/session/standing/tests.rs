//! What becomes of permits in use when something changes.

use std::time::Duration;

use super::super::limits::Tightening;
use super::super::tests::Bastion;
use super::super::visit::Errand;
use super::*;
use crate::domain::{Action, Destination, Ending, RecordMode, SessionId, Target};
use crate::policy::{ConnectQuestion, Limits, Question};
use crate::session::{sentences, story::Story};
use crate::target::SourceErrorKind;
use crate::target::testing::target;

const ALL: &str = r#"@id("all") permit (principal, action, resource);"#;
const MINUTE: Duration = Duration::from_secs(60);

/// Alice's session on `web-1`.
struct Stage {
    bastion: Bastion,
    errand: Errand,
    story: Story,
    limits: Tightening,
}

impl Stage {
    fn new(bastion: Bastion) -> Self {
        let errand = bastion.errand("web-1");
        let story = errand.story.of_session(SessionId::fresh());
        Self { bastion, errand, story, limits: Tightening::new(Limits::default()) }
    }

    async fn under(policy: &str) -> Self {
        Self::new(Bastion::listing(vec![target("web-1", 1)], policy).await)
    }

    /// A permit of this moment, in use.
    fn claim(&self, action: &Action, role: Role) -> Claim {
        let services = &self.bastion.services;
        let question = Question {
            identity: &self.errand.guest.as_of_now(services).expect("known"),
            target: &self.errand.target,
            login: &self.errand.login,
            action,
            now: services.clock.now(),
        };
        let permit = services.policy.current().decide(&question).expect("permitted");
        let claimed = Claimed::Work(permit);
        services.standing.claim(&self.errand.guest, &self.story, claimed, role, &self.limits)
    }

    fn session(&self) -> Claim {
        self.claim(&Action::Shell, Role::Session)
    }

    fn shell(&self) -> Claim {
        self.claim(&Action::Shell, Role::Work)
    }

    async fn look(&self, scope: Scope) {
        ask_again(&self.bastion.services, scope).await;
    }

    /// A refresh, some time later.
    async fn refreshed(&self) {
        self.bastion.clock.advance(MINUTE);
        self.bastion.services.inventory.first_refresh().await;
        self.look(Scope::All).await;
    }

    fn lines(&self) -> usize {
        self.bastion.audit.lines().len()
    }
}

fn ending(claim: &Claim) -> Option<(Ending, &'static str)> {
    *claim.stop().borrow()
}

const LOST: Option<(Ending, &str)> = Some((Ending::PermissionEnded, sentences::PERMISSION_ENDED));
const WITHDRAWN: Option<(Ending, &str)> = Some((Ending::PermissionEnded, sentences::WITHDRAWN));
const REPLACED: Option<(Ending, &str)> = Some((Ending::TargetReplaced, sentences::TARGET_REPLACED));

#[tokio::test]
async fn what_holds_goes_on_and_leaves_no_trace() {
    let stage = Stage::under(ALL).await;
    let (session, shell) = (stage.session(), stage.shell());
    let before = stage.lines();
    stage.bastion.alice_is_in(Some(&["eng"]));
    stage.bastion.rules(&format!("{ALL} forbid (principal == User::\"bob\", action, resource);"));
    stage.look(Scope::All).await;
    stage.refreshed().await;
    assert_eq!((ending(&session), ending(&shell)), (None, None));
    assert_eq!(stage.lines(), before);
}

#[tokio::test]
async fn a_user_who_is_removed_loses_all_at_once_on_record_once() {
    let stage = Stage::under(ALL).await;
    let (session, shell) = (stage.session(), stage.shell());
    stage.bastion.alice_is_in(None);
    stage.look(Scope::All).await;
    assert_eq!((ending(&session), ending(&shell)), (WITHDRAWN, WITHDRAWN));
    let [line] = &stage.bastion.trail("channel-refused")[..] else { panic!("one line") };
    assert_eq!((&line["reason"], &line["requested"]), (&"access-withdrawn".into(), &"shell".into()));
    let detail = session.detail().expect("it says why");
    assert!(detail.starts_with("permitted by all; access was withdrawn since: "), "{detail}");
}

/// A menu, a look at somebody's terminal and a connection on which nothing went on stayed for as long as they liked.
#[tokio::test]
async fn a_connection_ends_with_its_guest_s_access_and_by_no_rule() {
    let stage = Stage::under(ALL).await;
    let services = &stage.bastion.services;
    let connection = services.standing.stay(&stage.errand.guest, &stage.errand.story);
    let shell = stage.shell();
    stage.bastion.rules("");
    stage.look(Scope::All).await;
    assert_eq!((ending(&connection), ending(&shell)), (None, LOST));
    let before = stage.lines();
    stage.bastion.alice_is_in(None);
    stage.look(Scope::All).await;
    assert_eq!(ending(&connection), WITHDRAWN);
    assert_eq!(connection.detail(), Some("access was withdrawn since: no user has this key"));
    assert_eq!(stage.lines(), before, "its own last line says why");
}

/// The connection's end takes its sessions with it, which would then have ended because the client left.
#[tokio::test]
async fn of_all_that_ends_the_connection_is_told_last() {
    let stage = Stage::under(ALL).await;
    let connection = stage.bastion.services.standing.stay(&stage.errand.guest, &stage.errand.story);
    let (shell, session) = (stage.shell(), stage.session());
    stage.bastion.alice_is_in(None);
    let seats: Vec<_> = stage.bastion.services.standing.seats().values().cloned().collect();
    let mut findings = judge::findings(&stage.bastion.services, &seats, Scope::All);
    findings.sort_by_key(Finding::turn);
    let roles: Vec<Role> = findings.iter().map(|finding| finding.seat.role()).collect();
    assert_eq!(roles, [Role::Session, Role::Work, Role::Connection]);
    drop((connection, shell, session));
}

/// While the lines about one withdrawal waited for a disk that hung, the next one was not looked at.
#[tokio::test(start_paused = true)]
async fn a_record_that_hangs_holds_back_neither_this_withdrawal_nor_the_next() {
    let stage = Stage::under(ALL).await;
    let session = stage.session();
    stage.bastion.rules("");
    let services = &stage.bastion.services;
    let seats: Vec<_> = services.standing.seats().values().cloned().collect();
    let findings = judge::findings(services, &seats, Scope::All);
    let hanging = end_after(&services.tasks, std::future::pending(), &findings);
    tokio::time::timeout(MINUTE, hanging).await.expect("nobody waits for it");
    assert_eq!(ending(&session), LOST);
    assert_eq!(services.tasks.count(), 1, "it is told when it can be");
}

#[tokio::test]
async fn a_rule_that_goes_ends_what_it_permitted_and_the_decision_is_on_record() {
    let stage = Stage::under(ALL).await;
    let (session, shell) = (stage.session(), stage.shell());
    stage.bastion.rules(&format!("{ALL} @id(\"night\") forbid (principal, action, resource);"));
    stage.look(Scope::All).await;
    assert_eq!((ending(&session), ending(&shell)), (LOST, LOST));
    assert_eq!(session.detail(), Some("permitted by all; forbidden by night"));
    let [line] = &stage.bastion.trail("decision")[..] else { panic!("one line") };
    assert_eq!((&line["outcome"], &line["reason"]), (&"refuse".into(), &"forbidden".into()));
    assert_eq!(line["session"], stage.story.session.expect("a session").to_string());
    let before = stage.lines();
    stage.look(Scope::All).await;
    assert_eq!(stage.lines(), before, "it is told once");
}

#[tokio::test]
async fn a_group_that_is_left_ends_what_it_permitted() {
    let stage = Stage::new(
        Bastion::listing(
            vec![target("web-1", 1)],
            r#"permit (principal in Group::"eng", action, resource);"#,
        )
        .await,
    );
    stage.bastion.alice_is_in(Some(&["eng", "ops"]));
    let session = stage.session();
    stage.bastion.alice_is_in(Some(&["eng"]));
    stage.look(Scope::All).await;
    assert_eq!(ending(&session), None);
    stage.bastion.alice_is_in(Some(&["ops"]));
    stage.look(Scope::All).await;
    assert_eq!(ending(&session), LOST);
}

const SHELL: &str = r#"@id("shell") permit (principal, action == Action::"shell", resource);"#;
const EXEC: &str = r#"@id("exec") permit (principal, action == Action::"exec", resource);"#;

/// Whoever loses a forward keeps the shell beside it.
#[tokio::test]
async fn a_channel_ends_by_its_own_permit_and_the_session_when_none_is_left() {
    let stage = Stage::under(&format!("{SHELL} {EXEC}")).await;
    let (session, shell) = (stage.session(), stage.shell());
    let command = stage.claim(&Action::Exec { command: "uptime".to_owned() }, Role::Work);
    stage.bastion.rules(SHELL);
    stage.look(Scope::All).await;
    assert_eq!((ending(&session), ending(&shell), ending(&command)), (None, None, LOST));

    stage.bastion.rules(&format!("{SHELL} {EXEC}"));
    let command = stage.claim(&Action::Exec { command: "uptime".to_owned() }, Role::Work);
    stage.bastion.rules(EXEC);
    stage.look(Scope::All).await;
    assert_eq!((ending(&session), ending(&shell), ending(&command)), (None, LOST, None));
    assert_eq!(stage.bastion.trail("decision").len(), 2);
    // The last one that holds is over: nothing is left that is permitted.
    drop(command);
    stage.look(Scope::Due).await;
    assert_eq!(ending(&session), LOST);
}

#[tokio::test]
async fn an_agent_alone_keeps_no_session() {
    let stage = Stage::under(ALL).await;
    let (session, agent) = (stage.session(), stage.claim(&Action::Agent, Role::Beside));
    stage.bastion.rules(r#"permit (principal, action == Action::"agent", resource);"#);
    stage.look(Scope::All).await;
    assert_eq!((ending(&session), ending(&agent)), (LOST, None));
}

#[tokio::test]
async fn a_tag_that_is_changed_counts_from_the_next_copy_on() {
    let dev = |env: &str| {
        let mut target = target("web-1", 1);
        target.tags.insert("env".to_owned(), env.to_owned());
        target
    };
    let lists = [Ok(vec![dev("dev")]), Err(SourceErrorKind::Unreachable), Ok(vec![dev("prod")])];
    let policy = r#"permit (principal, action, resource) unless
                    { resource.hasTag("env") && resource.getTag("env") == "prod" };"#;
    let stage = Stage::new(Bastion::listing_in_turn(lists, policy).await);
    let session = stage.session();
    stage.refreshed().await;
    assert_eq!(ending(&session), None);
    stage.refreshed().await;
    assert_eq!(ending(&session), LOST);
}

#[tokio::test]
async fn a_machine_that_is_gone_ends_its_sessions_and_a_list_that_fails_does_not() {
    let db = || Ok(vec![target("db", 2)]);
    let lists = [Ok(vec![target("web-1", 1)]), Err(SourceErrorKind::Throttled), db()];
    let stage = Stage::new(Bastion::listing_in_turn(lists, ALL).await);
    let (session, shell) = (stage.session(), stage.shell());
    stage.refreshed().await;
    assert_eq!((ending(&session), ending(&shell)), (None, None));
    stage.refreshed().await;
    assert_eq!((ending(&session), ending(&shell)), (REPLACED, REPLACED));
    let [line] = &stage.bastion.trail("channel-refused")[..] else { panic!("one line") };
    assert_eq!(line["reason"], "target-replaced");
    assert_eq!(session.detail(), Some("permitted by all; EC2 does not list the instance any more"));
}

#[tokio::test]
async fn a_rule_whose_time_is_over_ends_what_it_permitted() {
    let stage = Stage::under(
        r#"@id("today") permit (principal, action, resource)
           when { context.time < datetime("2026-01-02T04:00:00Z") };"#,
    )
    .await;
    let session = stage.session();
    stage.look(Scope::Due).await;
    assert_eq!(ending(&session), None);
    stage.bastion.clock.advance(MINUTE * 60);
    stage.look(Scope::Due).await;
    assert_eq!(ending(&session), LOST);
    assert_eq!(session.detail(), Some("permitted by today; no rule permits it any more"));
}

/// What changed between the decision and the claim would be missed for good.
#[tokio::test]
async fn whatever_is_new_is_asked_about_once_although_nothing_changes() {
    let stage = Stage::under(ALL).await;
    let early = stage.session();
    stage.look(Scope::Due).await;
    let late = stage.shell();
    stage.bastion.rules("");
    stage.look(Scope::Due).await;
    assert_eq!((ending(&early), ending(&late)), (None, LOST));
}

#[tokio::test]
async fn limits_become_tighter_by_a_new_rule_and_never_looser() {
    let stage = Stage::under(r#"@max_session("8h") permit (principal, action, resource);"#).await;
    let _session = stage.session();
    stage.bastion.rules(r#"@max_session("1h") @idle("5m") permit (principal, action, resource);"#);
    stage.look(Scope::All).await;
    stage.bastion.rules(ALL);
    stage.look(Scope::All).await;
    let limits = stage.limits.current();
    assert_eq!((limits.max_session, limits.idle), (Some(60 * MINUTE), Some(5 * MINUTE)));
}

#[tokio::test]
async fn what_has_to_be_recorded_from_here_on_and_is_not_ends() {
    let stage = Stage::under(ALL).await;
    let (off, recorded, breaks, forward) = (stage.shell(), stage.shell(), stage.shell(), stage.shell());
    off.is_recorded(RecordMode::Off);
    recorded.is_recorded(RecordMode::Required);
    breaks.is_recorded(RecordMode::BestEffort);
    stage.bastion.rules(r#"@record("required") permit (principal, action, resource);"#);
    stage.look(Scope::All).await;
    assert_eq!(ending(&off), Some((Ending::PermissionEnded, sentences::TO_BE_RECORDED)));
    assert_eq!((ending(&recorded), ending(&breaks), ending(&forward)), (None, None, None));
    breaks.is_recorded(RecordMode::Off);
    stage.look(Scope::Due).await;
    assert_eq!(ending(&breaks), Some((Ending::PermissionEnded, sentences::TO_BE_RECORDED)));
}

#[tokio::test]
async fn an_address_that_becomes_an_instance_s_is_judged_as_that_instance_s() {
    let lists = [Ok(vec![target("web-1", 1)]), Ok(vec![target("web-1", 1), target("db", 9)])];
    let policy = r#"permit (principal, action == Action::"connect", resource) unless
                    { resource has name && resource.name == "db" };"#;
    let stage = Stage::new(Bastion::listing_in_turn(lists, policy).await);
    let services = &stage.bastion.services;
    let connect = |address: &str| {
        let address = address.parse().expect("an address");
        let destination = Destination { host: "x".to_owned(), address, port: 5432, instance: None };
        let (identity, now) = (&stage.errand.guest.identity, services.clock.now());
        let question = ConnectQuestion { identity, destination: &destination, now };
        let permit = services.policy.current().decide_connect(&question).expect("permitted");
        let claimed = Claimed::Connect(permit);
        services.standing.claim(
            &stage.errand.guest,
            &stage.errand.story,
            claimed,
            Role::Session,
            &stage.limits,
        )
    };
    let (taken, free) = (connect("10.0.0.9"), connect("10.0.0.10"));
    stage.refreshed().await;
    assert_eq!((ending(&taken), ending(&free)), (LOST, None));
    let [line] = &stage.bastion.trail("decision")[..] else { panic!("one line") };
    assert_eq!((&line["action"], &line["target"]["name"]), (&"connect".into(), &"db".into()));
}

#[tokio::test]
async fn the_keeper_hears_of_changes_and_of_copies() {
    let gone: Vec<Target> = Vec::new();
    let lists = [Ok(vec![target("web-1", 1)]), Ok(gone)];
    let stage = Stage::new(Bastion::listing_in_turn(lists, &format!("{SHELL} {EXEC}")).await);
    let (session, shell) = (stage.session(), stage.shell());
    let command = stage.claim(&Action::Exec { command: "uptime".to_owned() }, Role::Work);
    let services = Arc::clone(&stage.bastion.services);
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(keep(Arc::clone(&services), stop.clone()));
    stage.bastion.rules(SHELL);
    services.standing.changed();
    assert_eq!(Some(command.ended().await), LOST);
    assert_eq!(ending(&session), None);
    stage.bastion.clock.advance(MINUTE);
    services.inventory.first_refresh().await;
    assert_eq!(Some(session.ended().await), REPLACED);
    assert_eq!(Some(shell.ended().await), REPLACED);
    stop.cancel();
    keeping.await.expect("no panic");
}

/// A session on a machine that was looked up, and that no list has, one after the other.
#[tokio::test]
async fn a_copy_that_says_the_same_is_news_for_those_whose_machine_was_found_since() {
    let stage = Stage::new(Bastion::listing(vec![target("db", 2)], &format!("{SHELL} {EXEC}")).await);
    let session = stage.session();
    let command = stage.claim(&Action::Exec { command: "uptime".to_owned() }, Role::Work);
    let services = Arc::clone(&stage.bastion.services);
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(keep(Arc::clone(&services), stop.clone()));
    stage.bastion.rules(SHELL);
    services.standing.changed();
    assert_eq!(Some(command.ended().await), LOST, "everybody was asked about");
    assert_eq!(ending(&session), None);
    stage.bastion.clock.advance(MINUTE);
    services.inventory.first_refresh().await;
    assert_eq!(Some(session.ended().await), REPLACED);
    stop.cancel();
    keeping.await.expect("no panic");
}

#[tokio::test]
async fn what_a_copy_was_new_enough_for_is_not_asked_about_at_the_next_that_says_the_same() {
    let stage = Stage::under(ALL).await;
    let session = stage.session();
    stage.refreshed().await;
    stage.bastion.rules("");
    stage.bastion.clock.advance(MINUTE);
    stage.bastion.services.inventory.first_refresh().await;
    stage.look(Scope::Unsure).await;
    assert_eq!(ending(&session), None, "nobody has said that the rules are others");
    stage.look(Scope::All).await;
    assert_eq!(ending(&session), LOST);
}

#[tokio::test]
async fn a_claim_that_is_dropped_is_not_asked_about() {
    let stage = Stage::under(ALL).await;
    let session = stage.session();
    assert_eq!(stage.bastion.services.standing.len(), 1);
    drop(session);
    assert!(stage.bastion.services.standing.is_empty());
    stage.bastion.rules("");
    stage.look(Scope::All).await;
    assert!(stage.bastion.trail("decision").is_empty());
}

#[tokio::test]
async fn a_session_s_order_is_its_channels_order_and_the_first_one_stays() {
    let stage = Stage::under(ALL).await;
    let shell = stage.shell();
    let order = tokio::sync::watch::Sender::new(None);
    order.send_replace(Some((Ending::Killed, sentences::KILLED)));
    let ended = tokio::select! {
        ended = shell.ended() => ended,
        never = shell.heed(order.subscribe()) => match never {},
    };
    assert_eq!(ended, (Ending::Killed, sentences::KILLED));
    stage.bastion.rules("");
    stage.look(Scope::All).await;
    assert_eq!(ending(&shell), Some(ended));
}
