use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use super::super::testing::{desk, target};
use super::super::{Desk, parse};
use super::testing::{Kept, Told, clinic};
use super::*;
use crate::diagnose::{Check, Subject};

const POLICY: &str = r#"
@id("eng")
permit(principal in Group::"eng", action == Action::"shell", resource) when { resource has name && resource.name like "web-*" };

@id("doctors")
permit(principal in Group::"eng", action == Action::"diagnose", resource)
when { resource has name && resource.name == "web-1" && context.login == "ec2-user" };
"#;

fn fleet() -> Vec<Target> {
    vec![target("web-1", 1), target("web-2", 2), target("db-1", 3)]
}

struct Ward {
    desk: Desk,
    told: Arc<Told>,
    kept: Arc<Kept>,
}

impl Ward {
    async fn with(told: Arc<Told>, kept: Kept) -> Self {
        let kept = Arc::new(kept);
        let clinic = Some(clinic(&told, &kept));
        Self { desk: Desk { clinic, ..desk(POLICY, fleet()).await }, told, kept }
    }

    async fn stopped() -> Self {
        Self::with(Told::state("stopped"), Kept::default()).await
    }

    async fn ask(&self, line: &str) -> (u8, String, String) {
        let answer = match parse(line) {
            Ok(command) => self.desk.clone().answer(command).await,
            Err(answer) => answer,
        };
        let (code, complaint) = (answer.verdict.code(), answer.complaint.clone());
        (code, answer.output.collect(), complaint)
    }
}

fn names(events: &[serde_json::Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["event"].as_str()).collect()
}

#[tokio::test]
async fn the_checklist_ends_in_what_to_change() {
    let ward = Ward::stopped().await;
    let (code, out, err) = ward.ask("doctor web-1").await;
    assert_eq!((code, err.as_str()), (1, ""));
    let begins =
        "web-1 (i-00000000000000001, prod, eu-west-1) at 10.0.0.1, port 22, as ec2-user\n\nThe machine\n";
    assert!(out.starts_with(begins), "{out}");
    assert!(out.contains("\n  ✗ State") && out.contains("\n  ✓ Status checks"), "{out}");
    assert!(
        out.contains("\nThe most likely cause: The instance is stopped.\nTo change:\n  - Start "),
        "{out}"
    );
    let events = ward.kept.events();
    assert_eq!(names(&events), ["decision", "diagnosed"]);
    assert_eq!((&events[0]["outcome"], &events[0]["action"]), (&"permit".into(), &"diagnose".into()));
    assert_eq!((&events[1]["cause"], &events[1]["login"]), (&"state".into(), &"ec2-user".into()));
}

#[tokio::test]
async fn json_has_every_check_and_the_cause() {
    let ward = Ward::stopped().await;
    let (code, out, _) = ward.ask("doctor web-1 --json").await;
    let told: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &told["cause"], &told["arrives"]), (1, &"state".into(), &"broken".into()));
    assert_eq!(told["target"]["id"], "i-00000000000000001");
    let checks = told["checks"].as_array().expect("a list");
    let state = checks.iter().find(|check| check["subject"] == "state").expect("the state");
    assert_eq!(state["verdict"], "broken");
    assert!(state["finding"].is_string() && state["change"].is_string(), "{state}");
    let fields: BTreeSet<&str> = told.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        BTreeSet::from(["arrives", "broken", "cause", "checks", "login", "sound", "target", "unknown"])
    );
}

#[tokio::test]
async fn unknown_and_not_yours_read_the_same_and_ask_nobody() {
    let ward = Ward::stopped().await;
    let (code, out, unknown) = ward.ask("doctor no-1").await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(ward.ask("doctor db-1").await.2.replace("db-1", "no-1"), unknown);
    assert_eq!((ward.told.asked(), ward.kept.events().len()), (0, 0));
}

#[tokio::test]
async fn whoever_may_not_ask_is_told_so_on_record_and_nobody_is_asked() {
    let ward = Ward::stopped().await;
    for line in ["doctor web-2", "doctor web-1 --login root"] {
        let (code, out, err) = ward.ask(line).await;
        assert_eq!((code, out.as_str()), (1, ""), "{line}");
        assert!(err.starts_with("drawbridge: policy does not let you ask why web-"), "{err}");
    }
    let events = ward.kept.events();
    assert_eq!(names(&events), ["decision", "decision"]);
    assert!(events.iter().all(|event| event["outcome"] == "refuse"), "{events:?}");
    assert_eq!(ward.told.asked(), 0);
}

#[tokio::test]
async fn what_cannot_be_on_record_is_not_asked() {
    let ward = Ward::with(Told::state("stopped"), Kept::broken()).await;
    let (code, out, err) = ward.ask("doctor web-1").await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("audit trail") && ward.told.asked() == 0, "{err}");
    let (_, explained, _) = ward.ask("explain web-1").await;
    assert!(!explained.contains("packets") && ward.told.asked() == 0, "{explained}");
}

#[tokio::test(start_paused = true)]
async fn a_survey_that_never_ends_is_a_checklist_of_gaps() {
    let ward = Ward::with(Told::nothing(), Kept::default()).await;
    let (code, out, _) = ward.ask("doctor web-1").await;
    assert_eq!(code, 0, "what could not be told is not broken: {out}");
    assert!(out.contains("\n  ? State") && !out.contains('✗'), "{out}");
    assert!(out.contains("could not be made"), "{out}");
}

#[tokio::test]
async fn explain_says_whether_packets_would_arrive_to_those_who_may_ask() {
    let ward = Ward::stopped().await;
    let (code, out, _) = ward.ask("explain web-1").await;
    let last = out.lines().last().unwrap_or_default();
    assert_eq!(code, 0);
    assert_eq!(
        last,
        "By AWS's answers, packets would not arrive at port 22 of web-1. The instance is stopped."
    );
    assert_eq!(names(&ward.kept.events()), ["decision", "diagnosed"]);
    let (_, unchanged, _) = ward.ask("explain web-2").await;
    assert!(unchanged.starts_with("You may") && !unchanged.contains("packets"), "{unchanged}");
    let (_, refused, _) = ward.ask("explain web-1 --action sftp").await;
    assert!(refused.starts_with("You may not") && !refused.contains("packets"), "{refused}");
    assert_eq!((ward.told.asked(), ward.kept.events().len()), (1, 2), "nobody else is asked");
}

fn check(subject: Subject, verdict: Verdict) -> Check {
    let change = (verdict == Verdict::Broken).then(|| "Change it.".to_owned());
    Check { subject, verdict, finding: format!("{} was looked at.", subject.title()), change }
}

fn told(checks: Vec<Check>, class: FailureClass, target: &Target, bastion: Option<&str>) -> String {
    let bastion = bastion.map(|text| crate::domain::ServerAddress::parse(text).expect("an address"));
    let login = Login::parse("ec2-user").expect("a login");
    cause_told(&Diagnosis::of(checks, Some(class)), class, target, &login, bastion.as_ref())
}

#[test]
fn below_a_failure_stand_the_cause_and_how_to_see_the_rest() {
    use FailureClass::{ConnectTimeout, ConnectionRefused};
    use Verdict::{Broken, Sound, Unknown};
    let web = target("web-1", 1);
    let seen = || check(Subject::Answer, Broken);
    let groups = |verdict| check(Subject::TargetGroup, verdict);
    assert_eq!(
        told(vec![groups(Broken), seen()], ConnectTimeout, &web, Some("bastion.example.com")),
        "The most likely cause: Target's security groups was looked at.\nWhat helps: Change it.\n\
         `ssh bastion.example.com doctor web-1` shows the rest."
    );
    assert_eq!(
        told(vec![groups(Unknown), check(Subject::State, Sound), seen()], ConnectTimeout, &web, None),
        "AWS's answers name no cause, and 1 check could not be made.\n`ssh BASTION doctor web-1` shows the rest."
    );
    let refused = vec![check(Subject::State, Sound), seen()];
    assert_eq!(
        told(refused.clone(), ConnectionRefused, &web, Some("[2001:db8::1]:2222")),
        "What helps: Change it.\n`ssh -p 2222 2001:db8::1 doctor web-1` shows the rest.",
        "the sentence has said what was seen"
    );
    assert_eq!(
        told(refused, ConnectTimeout, &web, Some("[2001:db8::1]:22")),
        "AWS's answers show nothing in the way.\nWhat helps: Change it.\n\
         `ssh 2001:db8::1 doctor web-1` shows the rest."
    );
    assert_eq!(
        told(vec![groups(Unknown), seen()], ConnectTimeout, &web, None),
        "drawbridge could not find out why; `ssh BASTION doctor web-1` shows what it could not check."
    );
}

/// Whoever may tag instances writes their names; what is to be typed must be a name and nothing else.
#[test]
fn a_tag_is_nothing_but_a_name_in_what_is_to_be_typed() {
    for name in ["$(reboot)", "web 1", "-oProxyCommand=x", "a;b", "wéb"] {
        let web = Target { name: Some(name.to_owned()), ..target("web-1", 1) };
        let told = told(vec![check(Subject::State, Verdict::Sound)], FailureClass::NoBanner, &web, None);
        assert!(told.contains("doctor i-00000000000000001") && !told.contains(name), "{told}");
    }
}

/// A machine of our own that does what it is told with each connection.
fn machine(ip: IpAddr, serve: fn(std::net::TcpStream)) -> Target {
    let listener = std::net::TcpListener::bind((ip, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        if let Ok((stream, _)) = listener.accept() {
            serve(stream);
        }
    });
    Target { private_ip: ip, port, ..target("web-1", 1) }
}

#[tokio::test]
async fn what_the_bastion_s_own_try_saw_counts() {
    let settings = upstream::Settings {
        connect_timeout: PROBE,
        handshake_timeout: PROBE,
        keepalive_interval: None,
        keepalive_max: 3,
        legacy_targets: BTreeSet::new(),
    };
    let clinic = Clinic {
        probe: Probe::AsOperator(settings),
        ..clinic(&Told::state("running"), &Arc::new(Kept::default()))
    };
    let see = async |target: Target| {
        let answer = doctor_for_operator(&clinic, &Arc::new(target), None, true).await;
        let told: serde_json::Value = serde_json::from_str(&answer.output.collect::<String>()).expect("JSON");
        (answer.verdict.code(), told)
    };
    let ours = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (code, told) = see(machine(ours, drop)).await;
    assert_eq!((code, &told["tried"]["class"]), (1, &"no-banner".into()), "{told}");
    let greets = |mut stream: std::net::TcpStream| {
        use std::io::{Read as _, Write as _};
        drop(stream.write_all(b"220 mail.example.com ESMTP\r\n"));
        drop(stream.shutdown(std::net::Shutdown::Write));
        drop(stream.read_to_end(&mut Vec::new()));
    };
    let (code, told) = see(machine(ours, greets)).await;
    assert_eq!((code, &told["tried"]["class"]), (1, &"not-ssh".into()), "{told}");
    let stopped = Target { state: "stopped".to_owned(), ..machine(ours, drop) };
    let (_, told) = see(stopped).await;
    assert!(told.get("tried").is_none(), "what does not run is not tried: {told}");
}
