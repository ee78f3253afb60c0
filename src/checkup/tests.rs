use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::aws::{IAM_ACTIONS, IamAction, iam_action};
use crate::config::Overrides;
use crate::domain::InstanceId;
use crate::target::Place;
use crate::tasks::BoxFuture;

const PERMIT: &str = "permit (principal, action, resource);";
const USERS: &str = "[users.alice]\ngroups = [\"eng\"]\nauthorized_keys = [\"ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIImFO71FnW+fzw527ERBXKWjLG4vuT4rJIF+JrG9q/BP alice\"]\n";
const OWN: &str = "[[inventory.accounts]]\nalias = \"main\"\nregions = [\"eu-west-1\"]\n";
const ROLE: &str = "[[inventory.accounts]]\nalias = \"prod\"\nregions = [\"eu-west-1\", \"eu-central-1\"]\n\
    role_arn = \"arn:aws:iam::123456789012:role/drawbridge-target\"\n";

/// An AWS in which everything is permitted but what is said here.
#[derive(Debug, Default)]
struct FakeCloud {
    /// By action; `sts:AssumeRole` is about every role.
    troubles: BTreeMap<&'static str, Trouble>,
    nobody: bool,
    /// The action that never answers.
    hangs: Option<&'static str>,
    ahead: SignedDuration,
    metadata: bool,
}

impl Cloud for FakeCloud {
    fn who<'a>(&'a self, account: Option<&'a str>) -> BoxFuture<'a, Result<Caller, Trouble>> {
        let answer = if self.nobody {
            Err(Trouble::new(TroubleKind::NoCredentials, "no credentials in the chain"))
        } else {
            match self.troubles.get("sts:AssumeRole").filter(|_| account.is_some()) {
                Some(trouble) => Err(trouble.clone()),
                None => Ok(Caller {
                    arn: "arn:aws:sts::111122223333:assumed-role/bastion/i-1".to_owned(),
                    account: "111122223333".to_owned(),
                }),
            }
        };
        Box::pin(std::future::ready(answer))
    }

    fn may<'a>(
        &'a self,
        _place: &'a Place,
        action: &'static IamAction,
        _logins: &'a [String],
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        let answer = self.troubles.get(action.name).cloned().map_or(Ok(()), Err);
        let hangs = self.hangs == Some(action.name);
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            answer
        })
    }

    fn clock_ahead<'a>(&'a self, _place: &'a Place) -> BoxFuture<'a, Result<SignedDuration, Trouble>> {
        Box::pin(std::future::ready(Ok(self.ahead)))
    }

    fn where_we_run(&self) -> BoxFuture<'_, Result<WhereWeRun, Trouble>> {
        let silent = Trouble::new(TroubleKind::Unreachable, "the metadata service does not answer");
        let here = || WhereWeRun {
            instance: InstanceId::parse("i-0123456789abcdef0").expect("an id"),
            region: "eu-west-1".to_owned(),
        };
        Box::pin(std::future::ready(self.metadata.then(here).ok_or(silent)))
    }

    fn metadata_options<'a>(
        &'a self,
        _place: &'a WhereWeRun,
    ) -> BoxFuture<'a, Result<MetadataOptions, Trouble>> {
        Box::pin(std::future::ready(Ok(MetadataOptions { hop_limit: 1, token_required: true })))
    }
}

fn denied(code: &str) -> Trouble {
    let text = "UnauthorizedOperation: You are not authorized to perform this operation. User: U is not authorized to \
                perform: A because no identity-based policy allows the A action. Encoded authorization failure message: x";
    Trouble { kind: TroubleKind::Denied, code: Some(code.to_owned()), text: text.to_owned() }
}

struct Bench {
    folder: tempfile::TempDir,
    policy: &'static str,
    users: &'static str,
    config: String,
}

impl Bench {
    fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("made");
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700)).expect("permissions");
        let head = format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\n[data]\ndir = {data:?}\n[identity]\nusers = \"users.toml\"\n"
        );
        Self { folder, policy: PERMIT, users: USERS, config: format!("{head}{config}") }
    }

    fn config(&self) -> Config {
        let write =
            |name: &str, text: &str| std::fs::write(self.folder.path().join(name), text).expect("written");
        write("users.toml", self.users);
        write("policy.cedar", self.policy);
        write("drawbridge.toml", &self.config);
        let file: &Path = &self.folder.path().join("drawbridge.toml");
        Config::load(Some(file), std::iter::empty(), &Overrides::default()).expect("a sound config")
    }

    async fn checkup(&self, cloud: FakeCloud) -> Checkup {
        let config = Arc::new(self.config());
        let (directory, policy) = (crate::app::directory(&config), crate::app::policy(&config));
        run(config, directory, policy, Arc::new(cloud)).await
    }
}

fn with_verdict(checkup: &Checkup, verdict: Verdict) -> Vec<(Subject, Option<&'static str>)> {
    let wanted =
        checkup.checks.iter().filter(|check| check.verdict == verdict && check.subject != Subject::Disk);
    wanted.map(|check| (check.subject, check.permission)).collect()
}

#[tokio::test(start_paused = true)]
async fn where_all_is_well_nothing_is_broken() {
    let bench = Bench::with(&format!("{OWN}{ROLE}"));
    let checkup = bench.checkup(FakeCloud { metadata: true, ..FakeCloud::default() }).await;
    assert!(checkup.is_sound(), "{checkup}");
    assert_eq!(with_verdict(&checkup, Verdict::Unknown), [], "{checkup}");
    let subjects: BTreeSet<Subject> = checkup.checks.iter().map(|check| check.subject).collect();
    for subject in [
        Subject::Users,
        Subject::Files,
        Subject::Listeners,
        Subject::Store,
        Subject::Clock,
        Subject::Endpoints,
    ] {
        assert!(subjects.contains(&subject), "{subject:?} was not looked at");
    }
    let counted = checkup.sound + checkup.broken + checkup.unknown;
    assert_eq!(counted, checkup.checks.len());
    assert!(!bench.folder.path().join("data/host_ed25519").exists(), "something was made");
}

#[tokio::test(start_paused = true)]
async fn each_permission_that_is_taken_away_is_named_and_no_other() {
    let places = IAM_ACTIONS.iter().filter(|action| action.name.starts_with("ec2"));
    for action in places.filter(|action| action.needed != crate::aws::Needed::ForConsole) {
        let troubles = BTreeMap::from([(action.name, denied("UnauthorizedOperation"))]);
        let cloud = FakeCloud { troubles, ..FakeCloud::default() };
        let checkup = Bench::with(OWN).checkup(cloud).await;
        assert_eq!(
            with_verdict(&checkup, Verdict::Broken),
            [(Subject::Permissions, Some(action.name))],
            "{checkup}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_denial_says_why_what_is_lost_and_what_to_allow() {
    let name = "ec2:DescribeNetworkAcls";
    let troubles = BTreeMap::from([(name, denied("UnauthorizedOperation"))]);
    let checkup = Bench::with(OWN).checkup(FakeCloud { troubles, ..FakeCloud::default() }).await;
    let check = checkup.checks.iter().find(|check| check.permission == Some(name)).expect("it is named");
    assert_eq!(check.about.as_deref(), Some("main/eu-west-1"));
    assert_eq!(
        check.finding,
        "ec2:DescribeNetworkAcls is denied, because no identity-based policy allows the A action. Without it a diagnosis \
         cannot tell whether a network ACL is in the way."
    );
    assert!(check.change.as_ref().is_some_and(|change| change.contains("drawbridge iam-policy")));
    let text = checkup.to_string();
    assert!(text.contains("\n  ✗ main/eu-west-1: ec2:DescribeNetworkAcls is denied"), "{text}");
    let json = serde_json::to_value(&checkup).expect("JSON");
    let listed = json["checks"].as_array().expect("a list");
    assert!(listed.iter().any(|check| check["permission"] == name && check["verdict"] == "broken"));
    assert_eq!(json["broken"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_cannot_be_taken_on_is_one_line_with_both_policies() {
    let text = "an error occurred while loading credentials: AccessDenied: User: U is not authorized to perform: sts:AssumeRole";
    let trouble = Trouble::new(TroubleKind::NoCredentials, text);
    let troubles = BTreeMap::from([("sts:AssumeRole", trouble)]);
    let checkup =
        Bench::with(&format!("{OWN}{ROLE}")).checkup(FakeCloud { troubles, ..FakeCloud::default() }).await;
    assert_eq!(
        with_verdict(&checkup, Verdict::Broken),
        [(Subject::Credentials, Some("sts:AssumeRole"))],
        "{checkup}"
    );
    let check = checkup.checks.iter().find(|check| check.verdict == Verdict::Broken).expect("one");
    assert!(check.finding.contains("arn:aws:iam::123456789012:role/drawbridge-target"), "{check:?}");
    let change = check.change.as_deref().expect("what to change");
    assert!(
        change.contains("arn:aws:iam::111122223333:role/bastion") && change.contains("external_id"),
        "{change}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_credentials_only_they_are_broken() {
    let checkup = Bench::with(&format!("{OWN}{ROLE}"))
        .checkup(FakeCloud { nobody: true, ..FakeCloud::default() })
        .await;
    assert_eq!(with_verdict(&checkup, Verdict::Broken), [(Subject::Credentials, None)], "{checkup}");
    assert!(checkup.to_string().contains("drawbridge's own credentials come first"), "{checkup}");
}

#[tokio::test(start_paused = true)]
async fn instance_connect_without_a_way_out_says_that_there_is_no_private_link() {
    let trouble =
        Trouble::new(TroubleKind::Unreachable, "dispatch failure: dns error: failed to lookup address");
    let troubles = BTreeMap::from([("ec2-instance-connect:SendSSHPublicKey", trouble)]);
    let checkup = Bench::with(OWN).checkup(FakeCloud { troubles, ..FakeCloud::default() }).await;
    assert_eq!(with_verdict(&checkup, Verdict::Broken), [(Subject::Endpoints, None)], "{checkup}");
    let text = checkup.to_string();
    assert!(text.contains("EC2 Instance Connect cannot be reached: its name cannot be resolved."), "{text}");
    assert!(text.contains("PrivateLink") && text.contains("EC2 can be reached."), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_off_is_one_line() {
    let all = IAM_ACTIONS.iter().map(|action| (action.name, denied("OptInRequired")));
    let troubles = all.filter(|(name, _)| name.starts_with("ec2")).collect();
    let checkup = Bench::with(OWN).checkup(FakeCloud { troubles, ..FakeCloud::default() }).await;
    assert_eq!(with_verdict(&checkup, Verdict::Broken), [(Subject::Permissions, None)], "{checkup}");
    assert!(checkup.to_string().contains("eu-west-1 is not switched on"), "{checkup}");
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_stops_no_other() {
    let cloud = FakeCloud { hangs: Some("ec2:DescribeVpcs"), ..FakeCloud::default() };
    let checkup = Bench::with(OWN).checkup(cloud).await;
    let permitted =
        checkup.checks.iter().find(|check| check.finding.starts_with("Permitted: ")).expect("the others");
    assert!(!permitted.finding.contains("ec2:DescribeVpcs,"), "{permitted:?}");
    assert!(checkup.to_string().contains("AWS did not answer: ec2:DescribeVpcs."), "{checkup}");
    assert!(checkup.is_sound(), "what did not answer is not known to be broken: {checkup}");
}

#[tokio::test(start_paused = true)]
async fn errands_have_their_deadlines_and_keep_their_order() {
    let mut errands = errands::Errands::default();
    let line = |text: &str| vec![Check::sound(Subject::Disk, text)];
    errands.send(Subject::Disk, "the first disk", std::future::pending());
    let second = line("second");
    errands.send(Subject::Disk, "the second", async move { second });
    errands.send(Subject::Disk, "the third", async { panic!("a fault of ours") });
    let done = line("done before");
    errands.done(done);
    let checks = errands.collect(Duration::from_secs(12), Duration::from_secs(20)).await;
    let findings: Vec<&str> = checks.iter().map(|check| check.finding.as_str()).collect();
    assert_eq!(findings[0], "done before");
    assert_eq!(findings[1], "Looking at the first disk did not come to an end within 12 seconds.");
    assert_eq!(findings[2], "second");
    assert_eq!(checks[3].verdict, Verdict::Unknown);
}

#[test]
fn the_clock_is_judged_by_how_long_a_pushed_key_lives() {
    for (seconds, verdict) in [
        (0, Verdict::Sound),
        (5, Verdict::Sound),
        (-6, Verdict::Unknown),
        (30, Verdict::Unknown),
        (-31, Verdict::Broken),
    ] {
        let check = network::judge_clock(Ok(SignedDuration::from_secs(seconds)));
        assert_eq!(check.verdict, verdict, "{seconds}: {check:?}");
    }
    let check = network::judge_clock(Ok(SignedDuration::from_secs(-90)));
    assert_eq!(check.finding, "This machine's clock is 90 seconds behind AWS's.");
}

#[test]
fn the_metadata_service_is_judged_by_who_needs_it() {
    let silent = || Err(Trouble::new(TroubleKind::Unreachable, "no answer"));
    let here = || {
        Ok(WhereWeRun {
            instance: InstanceId::parse("i-0123456789abcdef0").expect("an id"),
            region: "eu-west-1".to_owned(),
        })
    };
    let options = |hop_limit, token_required| Some(Ok(MetadataOptions { hop_limit, token_required }));
    let judge = |answer, options, has_credentials, is_needed, in_a_container| {
        network::judge_metadata(&network::Metadata {
            answer,
            options,
            has_credentials,
            is_needed,
            in_a_container,
        })
    };
    assert_eq!(judge(here(), options(1, true), true, true, false).verdict, Verdict::Sound);
    assert_eq!(judge(here(), options(2, true), true, true, true).verdict, Verdict::Sound);
    let wide = judge(here(), options(2, true), true, true, false);
    assert!(wide.change.expect("a command").contains("--http-put-response-hop-limit 1"));
    let old = judge(here(), options(1, false), true, true, false);
    assert!(old.change.expect("a command").contains("--http-tokens required"));
    assert_eq!(judge(silent(), None, true, false, false).verdict, Verdict::Sound);
    let unknown = judge(silent(), None, true, true, false);
    assert!(unknown.change.expect("what to do").contains("diagnosis.bastion_instance"));
    let container = judge(silent(), options(1, true), false, true, true);
    assert!(container.finding.contains("hop limit is 1") && container.verdict == Verdict::Unknown);
    assert_eq!(judge(silent(), None, false, true, false).verdict, Verdict::Unknown);
}

#[test]
fn room_on_a_disk_is_judged_before_it_is_gone() {
    let room = |free, files_free, read_only| disk::judge(disk::Room { free, files_free, read_only }).verdict;
    assert_eq!(room(10 << 30, Some(10_000), false), Verdict::Sound);
    assert_eq!(room(500 << 20, None, false), Verdict::Unknown);
    assert_eq!(room(50 << 20, None, false), Verdict::Broken);
    assert_eq!(room(10 << 30, Some(3), false), Verdict::Broken);
    assert_eq!(room(10 << 30, None, true), Verdict::Broken);
}

#[tokio::test]
async fn listeners_are_free_ours_or_somebody_else_s() {
    use tokio::io::AsyncWriteExt as _;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let greet = async |text: &'static [u8]| {
        let (mut stream, _) = listener.accept().await.expect("a visitor");
        stream.write_all(text).await.expect("said");
    };
    let look = || listeners::look(address, listeners::Service::Ssh);
    let (ours, ()) = tokio::join!(look(), greet(b"SSH-2.0-OpenSSH_compatible drawbridge\r\n"));
    assert_eq!(
        (ours.verdict, ours.finding.as_str()),
        (Verdict::Sound, "A drawbridge that runs listens here.")
    );
    let (other, ()) = tokio::join!(look(), greet(b"SSH-2.0-OpenSSH_9.2\r\n"));
    assert_eq!((other.verdict, other.finding.as_str()), (Verdict::Broken, "Another program listens here."));
    let metrics = listeners::look(address, listeners::Service::Metrics);
    let (metrics, ()) = tokio::join!(metrics, greet(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nalive\n"));
    assert_eq!(metrics.verdict, Verdict::Sound, "{metrics:?}");
    drop(listener);
    assert_eq!(look().await.verdict, Verdict::Sound);
    let elsewhere =
        listeners::look("192.0.2.1:2222".parse().expect("an address"), listeners::Service::Ssh).await;
    assert_eq!(elsewhere.finding, "This machine does not have this address.");
}

#[tokio::test(start_paused = true)]
async fn keys_and_directories_that_others_may_change_are_broken() {
    let bench = Bench::with(OWN);
    let config = Arc::new(bench.config());
    let data = config.data.dir.clone();
    std::fs::write(data.join("audit_key"), "no key").expect("written");
    std::fs::set_permissions(data.join("audit_key"), std::fs::Permissions::from_mode(0o600))
        .expect("permissions");
    std::fs::write(data.join("host_ed25519"), "a key").expect("written");
    std::fs::set_permissions(data.join("host_ed25519"), std::fs::Permissions::from_mode(0o644))
        .expect("permissions");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o777)).expect("permissions");
    let mut errands = errands::Errands::default();
    files::send(&mut errands, &config);
    let checks = errands.collect(Duration::from_secs(12), Duration::from_secs(20)).await;
    let about = |end: &str| {
        let found =
            checks.iter().find(|check| check.about.as_deref().is_some_and(|about| about.ends_with(end)));
        found.unwrap_or_else(|| panic!("nothing about {end}: {checks:?}"))
    };
    assert_eq!(about("/data").verdict, Verdict::Broken);
    assert!(about("/host_ed25519").finding.contains("(mode 0644)"), "{checks:?}");
    assert!(about("/audit_key").finding.contains("is not an unencrypted Ed25519 private key"), "{checks:?}");
    assert_eq!(about("/host_ca_ed25519").finding, "This key is made when it is needed first.");
}

#[tokio::test(start_paused = true)]
async fn people_who_cannot_come_in_and_rules_for_nobody_are_told() {
    let mut bench = Bench::with(OWN);
    bench.users = "[users.bob]\ngroups = []\n";
    bench.policy = r#"@id("ops-works") permit (principal in Group::"ops", action, resource);"#;
    let checkup = bench.checkup(FakeCloud::default()).await;
    let text = checkup.to_string();
    assert!(text.contains("these cannot come in: bob."), "{text}");
    assert!(text.contains("The rule ops-works names the group \"ops\", in which nobody is."), "{text}");
    assert_eq!(with_verdict(&checkup, Verdict::Broken), [(Subject::Policy, None)], "{text}");
    bench.policy = "forbid (principal, action, resource);";
    let text = bench.checkup(FakeCloud::default()).await.to_string();
    assert!(text.contains("No rule permits anything"), "{text}");
    bench.policy = "permit (principal, action";
    let text = bench.checkup(FakeCloud::default()).await.to_string();
    assert!(text.contains("✗ ") && text.contains("policy.cedar:1"), "{text}");
}

#[test]
fn a_broken_configuration_is_on_the_list() {
    let problem = Problem::new("drawbridge.toml", "`server.lisen` is unknown")
        .at_line(3)
        .with_hint("did you mean `listen`?");
    let checkup = Checkup::of(broken_configuration(&[problem]));
    insta::assert_snapshot!(checkup.to_string(), @r"
    Configuration
      ✗ drawbridge.toml:3: `server.lisen` is unknown.
          → Did you mean `listen`?

    To be repaired: 1 thing.
    ");
}

#[test]
fn what_others_say_steers_no_terminal() {
    let check = Check::unknown(Subject::Disk, "a\u{1b}[2Jb\nc").about("x\ny");
    assert_eq!((check.finding.as_str(), check.about.as_deref()), ("a [2Jb c", Some("x y")));
}

#[test]
fn every_action_that_doctor_names_is_in_the_table() {
    for name in [
        "ec2:DescribeInstances",
        "ec2-instance-connect:SendSSHPublicKey",
        "sts:AssumeRole",
        "s3:PutObject",
        "s3:ListBucket",
        "s3:AbortMultipartUpload",
    ] {
        assert!(iam_action(name).is_some(), "{name}");
    }
}

#[test]
fn what_a_bucket_denies_is_named_by_the_bucket_where_it_says_so() {
    use crate::record::vault::{TryOut, TryOutStep};

    let judge =
        |step, denied, text: &str| state::recordings(Err(TryOut { step, denied, text: text.to_owned() }));
    let put = judge(TryOutStep::Begin, true, "AccessDenied");
    assert_eq!((put.verdict, put.permission), (Verdict::Broken, Some("s3:PutObject")));
    let key = judge(
        TryOutStep::Begin,
        true,
        "User: U is not authorized to perform: kms:GenerateDataKey on resource: K",
    );
    assert_eq!(key.permission, Some("kms:GenerateDataKey"));
    let lock =
        judge(TryOutStep::Begin, true, "is not authorized to perform: s3:PutObjectRetention on resource");
    assert_eq!(lock.permission, Some("s3:PutObjectRetention"));
    let gone = judge(TryOutStep::Begin, false, "NoSuchBucket.");
    assert!(
        gone.permission.is_none() && gone.finding.ends_with("could not be begun: NoSuchBucket."),
        "{gone:?}"
    );
    assert_eq!(state::recordings(Ok(())).verdict, Verdict::Sound);
}

#[test]
fn the_reason_of_a_denial_is_told_and_nothing_else_of_what_was_said() {
    let because = |text: &str| Trouble::new(TroubleKind::Denied, text).because().map(str::to_owned);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        because(
            "not authorized to perform: ec2:X because no session policy allows the ec2:X action. Encoded: y because z"
        ),
        some("because no session policy allows the ec2:X action")
    );
    assert_eq!(
        because(
            r#"perform: c:S because no identity-based policy allows the c:S action", id: "1" }: AccessDenied: c:S"#
        ),
        some("because no identity-based policy allows the c:S action")
    );
    assert_eq!(
        because("not authorized to perform: ec2:X with an explicit deny in a service control policy"),
        some("with an explicit deny in a service control policy")
    );
    assert_eq!(because("AccessDenied"), None);
}

#[test]
fn the_documentation_has_every_subject() {
    let document = include_str!("../../docs/doctor.md");
    for subject in [
        Subject::Configuration,
        Subject::Users,
        Subject::Policy,
        Subject::Files,
        Subject::Disk,
        Subject::Listeners,
        Subject::Store,
        Subject::Recordings,
        Subject::Credentials,
        Subject::Permissions,
        Subject::Endpoints,
        Subject::Metadata,
        Subject::Clock,
    ] {
        let label = serde_json::to_value(subject).expect("JSON");
        let row = format!("\n| `{}` |", label.as_str().expect("a label"));
        assert!(document.contains(&row), "docs/doctor.md has no row for {label}");
    }
}
