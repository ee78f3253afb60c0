//! Recordings, made through the whole product and read by what others wrote: asciinema, zstd's own decoder, S3 as
//! moto has it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use drawbridge::domain::RecordingId;
use drawbridge::record::player::{Frame, Player, What};
use serde_json::{Value, json};

use crate::support::{
    Builder, Daemon, Finished, Lab, Start, Supervisor, Way, finish, noise, start, wait_for,
};

const SOON: Duration = Duration::from_secs(30);

/// A lab in which everything has to be recorded.
fn recorded() -> Builder {
    Lab::with().instance("web-1").policy(
        r#"@id("recorded") @record("required")
permit(principal, action, resource);
"#,
    )
}

/// A program of the lab's Python.
fn tool(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab/venv/bin").join(name))
}

fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

fn file_of(lab: &Lab, id: &Value) -> PathBuf {
    lab.dir().join("data/recordings").join(format!("{}.cast.zst", id.as_str().expect("an id")))
}

/// Where a recording is while it is written.
fn part_of(lab: &Lab, id: &Value) -> PathBuf {
    file_of(lab, id).with_extension("zst.part")
}

fn frames(path: &Path) -> Vec<Frame> {
    let mut player = Player::open(File::open(path).expect("it is there")).expect("a recording");
    std::iter::from_fn(|| player.next_frame().expect("it plays")).collect()
}

fn shown(path: &Path) -> Vec<u8> {
    let outputs = frames(path).into_iter().filter_map(|frame| match frame.what {
        What::Output(data) => Some(data),
        What::Error(_) | What::Input(_) | What::Resize { .. } | What::Marker(_) => None,
    });
    outputs.collect::<Vec<_>>().concat()
}

/// The recording, as any zstd and any asciicast player can have it.
fn plain_cast(lab: &Lab, path: &Path) -> PathBuf {
    let text = zstd::stream::decode_all(File::open(path).expect("it is there")).expect("zstd");
    let cast = lab.dir().join("plain.cast");
    File::create(&cast).and_then(|mut file| file.write_all(&text)).expect("our own folder");
    cast
}

fn channel_ended(lab: &Lab) -> Value {
    lab.audited("channel-ended", |_| true)
}

#[test]
fn a_full_screen_program_that_is_resized_half_way_plays_in_asciinema() {
    for way in Way::BOTH {
        let lab = recorded().start();
        // What a full-screen program does: another screen, the whole of it painted anew when it is resized.
        let program = "paint() { stty size | { read r c; printf '\\033[H\\033[2J%sx%s\\r\\n┌─ load ─┐ 🦀 ' $c $r; }; }; \
            printf '\\033[?1049h'; trap paint WINCH; paint; while [ ! -e \"$0\" ]; do sleep 0.1; done; printf '\\033[?1049lbye'";
        let stop = lab.scratch().join("stop");
        let command = format!("sh -c {} {}", shell_quoted(program), stop.display());
        let mut terminal = lab.client(way, "web-1").terminal(&[&command], 24, 80);
        let mut seen = terminal.expect("80x24", SOON);
        seen += &terminal.expect("🦀", SOON);
        terminal.resize(40, 132);
        seen += &terminal.expect("132x40", SOON);
        File::create(&stop).expect("our own folder");
        let (code, rest) = terminal.finish(SOON);
        assert_eq!(code, Some(0));
        seen += &rest;

        let started = lab.audited("channel-started", |_| true);
        let ended = channel_ended(&lab);
        let recording = &ended["recording"];
        assert_eq!((&started["record"], &started["recording"]), (&json!("required"), &recording["id"]));
        assert_eq!((&recording["format"], &recording["complete"]), (&json!("asciicast"), &json!(true)));
        let path = file_of(&lab, &recording["id"]);
        let bytes = std::fs::read(&path).expect("it is there");
        assert_eq!(recording["sha256"], sha256(&bytes));
        assert_eq!(recording["compressed_bytes"], bytes.len() as u64);
        assert_eq!(String::from_utf8(shown(&path)).expect("UTF-8"), seen, "{way:?}");
        let frames = frames(&path);
        assert!(frames.iter().any(|frame| frame.what == What::Resize { columns: 132, rows: 40 }));
        let marker =
            |text: &str| frames.iter().any(|f| matches!(&f.what, What::Marker(m) if m.starts_with(text)));
        assert!(marker("start: sh -c") && marker("ending: finished, exit status 0"));

        let cast = plain_cast(&lab, &path).display().to_string();
        for arguments in
            [vec!["cat", &cast], vec!["play", "--speed", "1000", "--idle-time-limit", "0.01", &cast]]
        {
            let mut command = tool("asciinema");
            command.args(&arguments).env("LC_ALL", "C.UTF-8").env("HOME", lab.dir());
            let played = finish(start(&mut command), Vec::new(), SOON).ended_with(0);
            assert_eq!(played.out(), seen, "{arguments:?}");
        }
    }
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[test]
fn bytes_that_are_no_text_are_recorded_as_they_are_and_memory_stays_flat() {
    const LENGTH: usize = 24 << 20;
    let lab = recorded().start();
    let file = lab.scratch().join("noise");
    std::fs::write(&file, noise(LENGTH, 7)).expect("our own folder");
    let client = lab.client(Way::Direct, "web-1").args(&["-tt"]).input("");
    // Raw, so that the terminal's line discipline changes nothing.
    let flood = || client.run(&format!("stty raw -echo; cat {}", file.display())).ended_with(0);
    // The first ones fill buffers that each worker keeps and uses again.
    for _ in 0..3 {
        flood();
    }
    let before = lab.daemon.memory_kib();
    let done = flood();
    let grown = lab.daemon.memory_kib().saturating_sub(before);
    println!("{grown} KiB more for {} KiB", LENGTH / 1024);
    assert!(grown < 24 * 1024, "{grown} KiB more for {} KiB", LENGTH / 1024);
    let ended = lab.audited("channel-ended", |event| {
        event["channel"] == 1 && event["bytes_to_client"].as_u64() > Some(1 << 20)
    });
    let path = file_of(&lab, &ended["recording"]["id"]);
    let shown = shown(&path);
    assert_eq!((shown.len(), sha256(&shown)), (done.stdout.len(), sha256(&done.stdout)));
    assert!(shown.len() >= LENGTH);
}

#[test]
fn a_command_without_a_terminal_is_hashed_and_its_first_output_is_kept_where_policy_wants_it() {
    let lab = Lab::with()
        .instance("web-1")
        .policy("@id(\"kept\") @record(\"required\") @output(\"keep\") permit(principal, action, resource);")
        .start();
    let input = noise(3 << 20, 5);
    let done = lab
        .client(Way::Jump, "web-1")
        .input(input.clone())
        .run("echo first; echo amiss >&2; cat")
        .ended_with(0);
    let ended = channel_ended(&lab);
    assert_eq!(ended["sha256_to_target"], sha256(&input));
    assert_eq!(ended["sha256_to_client"], sha256(&done.stdout));
    assert_eq!((&ended["sha256_stderr"], &ended["bytes_stderr"]), (&json!(sha256(b"amiss\n")), &json!(6)));
    assert_eq!(
        (&ended["recording"]["format"], &ended["recording"]["complete"]),
        (&json!("output"), &json!(false))
    );
    let path = file_of(&lab, &ended["recording"]["id"]);
    let errors = frames(&path).into_iter().filter_map(|frame| match frame.what {
        What::Error(data) => Some(data),
        What::Output(_) | What::Input(_) | What::Resize { .. } | What::Marker(_) => None,
    });
    assert_eq!(errors.collect::<Vec<_>>().concat(), b"amiss\n");
    let kept = shown(&path);
    assert!(done.stdout.starts_with(&kept) && kept.len() == 64 * 1024 - 6, "{}", kept.len());
}

#[test]
fn what_is_not_to_be_recorded_is_not() {
    let lab = Lab::with()
        .instance("web-1")
        .policy("@id(\"off\") @record(\"off\") permit(principal, action, resource);")
        .start();
    lab.client(Way::Direct, "web-1").args(&["-tt"]).run("echo seen by nobody").ended_with(0);
    let ended = channel_ended(&lab);
    assert!(ended.get("recording").is_none() && ended.get("sha256_to_client").is_none());
    assert_eq!(lab.audited("channel-started", |_| true)["record"], "off");
    assert_eq!(std::fs::read_dir(lab.dir().join("data/recordings")).expect("it is there").count(), 0);
}

/// A directory that is gone, and one where there is no room, in all that a program can tell of it: a file can be neither
/// made nor written there.
#[test]
fn without_a_place_for_recordings_only_what_need_not_be_recorded_runs() {
    for (mode, code) in [("required", 255), ("best_effort", 0)] {
        let policy = format!("@id(\"r\") @record(\"{mode}\") permit(principal, action, resource);");
        let lab = Lab::with().instance("web-1").policy(&policy).start();
        std::fs::remove_dir(lab.dir().join("data/recordings")).expect("it is empty");
        let done = lab.client(Way::Jump, "web-1").args(&["-tt"]).run("echo ran").ended_with(code);
        assert_eq!(done.out().contains("ran"), code == 0, "{done:?}");
        let failed = lab.audited("recording-failed", |_| true);
        assert_eq!(failed["mode"], mode.replace('_', "-"));
        if code == 255 {
            let said = format!("{}{}", done.out(), done.err());
            assert!(said.contains("this has to be recorded, and it cannot be at the moment"), "{done:?}");
        } else {
            assert_eq!(lab.audited("channel-started", |_| true)["record"], "off");
        }
    }
}

#[test]
fn a_session_whose_recording_breaks_ends_with_that_cause() {
    let lab = recorded().start();
    let mut terminal = lab.client(Way::Jump, "web-1").terminal(&["echo rea'dy'; cat"], 24, 80);
    terminal.expect("ready", SOON);
    let started = lab.audited("channel-started", |_| true);
    std::fs::remove_file(part_of(&lab, &started["recording"])).expect("it is written there");
    terminal.type_in("goes on\r");
    let (code, printed) = terminal.finish(SOON);
    assert_eq!(code, Some(255), "{printed}");
    assert!(
        printed.contains("this session has to be recorded, and that is not possible any more"),
        "{printed}"
    );
    assert_eq!(lab.audited("recording-failed", |_| true)["recording"], started["recording"]);
    assert_eq!(channel_ended(&lab)["ending"], "recording-failed");
    assert_eq!(lab.audited("session-ended", |_| true)["ending"], "recording-failed");
}

fn serve_again(lab: &mut Lab) {
    let config = lab.config_file().display().to_string();
    lab.daemon = Daemon::start(&Start {
        argv: vec!["serve".into(), "--config".into(), config],
        env: lab.environment(),
        log: lab.dir().join("daemon2.log"),
        port: lab.port(),
    });
}

#[test]
fn after_a_kill_the_recording_plays_to_its_last_second_and_is_closed_at_the_next_start() {
    let mut lab = recorded().start();
    let script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done";
    let mut terminal = lab.client(Way::Direct, "web-1").terminal(&[script], 24, 80);
    terminal.expect("line 60", SOON);
    lab.daemon.signal(rustix::process::Signal::KILL);
    lab.daemon.wait(SOON);
    let (_, rest) = terminal.finish(SOON);
    let last = rest
        .lines()
        .filter_map(|l| l.trim().strip_prefix("line "))
        .filter_map(|n| n.parse::<u32>().ok())
        .max();
    let started = lab.audited("channel-started", |_| true);
    let part = part_of(&lab, &started["recording"]);
    let played = String::from_utf8(shown(&part)).expect("UTF-8");
    let recorded =
        played.lines().filter_map(|l| l.strip_prefix("line ")).filter_map(|n| n.parse::<u32>().ok()).max();
    // 20 lines a second, and more on a machine that catches up: a second's worth may be missing.
    let (last, recorded) = (last.unwrap_or(60).max(60), recorded.expect("lines were recorded"));
    assert!(recorded + 20 >= last, "line {last} was seen, and line {recorded} is the last that was recorded");

    serve_again(&mut lab);
    let salvaged = lab.audited("recording-salvaged", |_| true);
    assert_eq!((&salvaged["session"], &salvaged["channel"]), (&started["session"], &started["channel"]));
    let recording = &salvaged["recording"];
    assert_eq!((&recording["id"], &recording["complete"]), (&started["recording"], &json!(false)));
    let whole = std::fs::read(file_of(&lab, &recording["id"])).expect("it has its name");
    assert_eq!(recording["sha256"], sha256(&whole));
    assert!(!part.exists());
}

/// Asks the lab's S3, as `boto3` does: the script has `s3`, and prints JSON.
fn s3(lab: &Lab, script: &str) -> Value {
    let preamble = "import boto3, json, os\n\
        s3 = boto3.client('s3', region_name=os.environ['AWS_REGION'])\n";
    let mut command = tool("python");
    command.args(["-c", &format!("{preamble}{script}")]).envs(lab.environment());
    let done: Finished = finish(start(&mut command), Vec::new(), SOON).ended_with(0);
    serde_json::from_slice(&done.stdout).unwrap_or(Value::Null)
}

#[test]
fn recordings_are_moved_to_a_bucket_encrypted_and_locked_once_it_takes_them() {
    let lab = recorded()
        .config("recording", "upload_to", "\"s3://lab-recordings/some/where\"")
        .config("recording", "s3_endpoint_url", &format!("{:?}", Supervisor::get().aws_url))
        .config("recording", "s3_encryption", "\"AES256\"")
        .config("recording", "s3_object_lock", "\"governance\"")
        .config("recording", "s3_object_lock_days", "30")
        .prepare();
    // One that an earlier run left: large enough to be uploaded in parts.
    let left = RecordingId::fixed(2);
    let large = noise(20 << 20, 3);
    let spool = lab.dir().join("data/recordings");
    std::fs::create_dir_all(&spool).expect("our own folder");
    let left_file = spool.join(format!("{left}.cast.zst"));
    std::fs::write(&left_file, &large).expect("our own folder");
    let lab = lab.serve();
    s3(
        &lab,
        "s3.create_bucket(Bucket='lab-recordings', ObjectLockEnabledForBucket=True, \
        CreateBucketConfiguration={'LocationConstraint': os.environ['AWS_REGION']})",
    );
    lab.fault("s3", Some("deny"));
    // One that can never be moved, and comes first.
    let bad = RecordingId::fixed(1);
    std::fs::create_dir(lab.dir().join(format!("data/recordings/{bad}.cast.zst"))).expect("our own folder");
    lab.client(Way::Direct, "web-1").args(&["-tt"]).run("echo kept for later").ended_with(0);
    let recording = channel_ended(&lab)["recording"].clone();
    let path = file_of(&lab, &recording["id"]);
    wait_for("the bucket's refusal", SOON, || lab.daemon.log().contains("could not be moved to the vault"));
    let bytes = std::fs::read(&path).expect("it stays in the spool");
    lab.fault("s3", None);
    wait_for("the uploads", Duration::from_secs(90), || !path.exists() && !left_file.exists());
    let object = |id: &str| {
        s3(
            &lab,
            &format!(
                "o = s3.get_object(Bucket='lab-recordings', Key='some/where/{id}.cast.zst')\n\
                 import hashlib, datetime\n\
                 until, now = o.get('ObjectLockRetainUntilDate'), datetime.datetime.now(datetime.timezone.utc)\n\
                 days = until and round((until - now).total_seconds() / 86400)\n\
                 print(json.dumps({{'sha256': hashlib.sha256(o['Body'].read()).hexdigest(), 'days': days, \
                 'mode': o.get('ObjectLockMode'), 'sse': o['ServerSideEncryption']}}))"
            ),
        )
    };
    let whole = object(recording["id"].as_str().expect("an id"));
    let expected = json!({"sha256": recording["sha256"], "days": 30, "mode": "GOVERNANCE", "sse": "AES256"});
    assert_eq!(whole, expected);
    // moto takes no notice of a lock at the start of an upload in parts.
    let in_parts = object(&left.to_string());
    assert_eq!((&in_parts["sha256"], &in_parts["sse"]), (&json!(sha256(&large)), &json!("AES256")));
    assert_eq!(recording["sha256"], sha256(&bytes));
    // What is in the bucket is verified there, and what somebody took out of it is missed.
    lab.ask(&["audit", "verify"]).ended_with(0);
    let id = recording["id"].as_str().expect("an id");
    s3(&lab, &format!("s3.delete_object(Bucket='lab-recordings', Key='some/where/{id}.cast.zst')"));
    let answer = lab.ask(&["audit", "verify"]).ended_with(1);
    assert!(answer.out().contains(&format!("the recording {id}: its file is missing")), "{answer:?}");
}
