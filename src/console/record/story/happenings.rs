//! What happened in a session, one line each.

use super::super::line::{Line, bytes};
use super::super::when::friendly;
use super::why;

/// One event in words; nothing where it adds nothing to the story. `rules` permitted it, where it was asked of policy.
pub(super) fn told(line: &Line, rules: &[String]) -> Option<String> {
    let text = match line.event() {
        "channel-started" => format!("{}{}{}{}", program(line), terminal(line), recording(line), by(rules)),
        "channel-ended" => ended(line),
        "channel-refused" => {
            let requested = line.text("requested").unwrap_or_default();
            format!("not carried: {requested} ({})", line.text("reason").unwrap_or_default())
        }
        "file-operation" => file(line),
        "forward-listening" if line.flag("listening") == Some(true) => {
            let port = line.number("port").map(|port| format!(", port {port}")).unwrap_or_default();
            format!("the target listens{}{port}{}", place(line), by(rules))
        }
        "forward-listening" => format!("the target ceased to listen{}", place(line)),
        "forward-started" => {
            let from = line.text("originator").map(|from| format!(", for {from}")).unwrap_or_default();
            format!("{}{}{from}{}", action(line), place(line), by(rules))
        }
        "forward-ended" => {
            format!("{}{} is over: {}{}", action(line), place(line), moved(line), detail(line))
        }
        "decision" => refused(line),
        "recording-salvaged" => "the bastion stopped while it was recorded".to_owned() + &recorded(line),
        "recording-failed" => {
            format!("the recording broke ({}){}", line.text("mode").unwrap_or_default(), detail(line))
        }
        "session-watched" => {
            let from = line.text("client_addr").map(|from| format!(" from {from}")).unwrap_or_default();
            let told = if line.flag("told") == Some(true) { ", and they were told" } else { "" };
            format!("{}{from} looked on{told}", line.text("by").unwrap_or_default())
        }
        "kill-ordered" => {
            let reason = line.text("reason").map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{} ordered it to end{reason}", line.text("by").unwrap_or_default())
        }
        _ => return None,
    };
    Some(text)
}

fn by(rules: &[String]) -> String {
    if rules.is_empty() { String::new() } else { format!(" (by {})", rules.join(", ")) }
}

fn action(line: &Line) -> String {
    line.text("action").unwrap_or_default()
}

fn program(line: &Line) -> String {
    let what = line.text("command").or_else(|| line.text("subsystem"));
    let cut = if line.flag("command_truncated") == Some(true) { " … (cut)" } else { "" };
    let what = what.map(|what| format!(": {what}{cut}")).unwrap_or_default();
    format!("{}{what}", action(line))
}

fn terminal(line: &Line) -> String {
    let Some(term) = line.text("pty.term") else { return String::new() };
    let number = |path: &str| line.number(path).unwrap_or_default();
    format!(", on a terminal of {}x{} ({term})", number("pty.columns"), number("pty.rows"))
}

fn recording(line: &Line) -> String {
    line.text("recording").map(|id| format!(", recording {id}")).unwrap_or_default()
}

/// Where a forward leads or listens.
fn place(line: &Line) -> String {
    let end = |object: &str| {
        let host = line.text(&format!("{object}.host"));
        let port = line.number(&format!("{object}.port"))?;
        let address = line.text(&format!("{object}.address")).map(|address| format!(" ({address})"));
        Some(format!("{}:{port}{}", host.unwrap_or_default(), address.unwrap_or_default()))
    };
    let to = end("destination").map(|to| format!(" to {to}"));
    let at = end("listen").map(|at| format!(" at {at}"));
    let path = line.text("path").map(|path| format!(" {path}"));
    [to, at, path].into_iter().flatten().collect()
}

fn detail(line: &Line) -> String {
    line.text("detail").map(|detail| format!(": {detail}")).unwrap_or_default()
}

fn moved(line: &Line) -> String {
    let number = |path: &str| bytes(line.number(path).unwrap_or_default());
    let hashed = |path: &str| line.text(path).map(|hash| format!(" (SHA-256 {hash})")).unwrap_or_default();
    format!(
        "{}{} to the target, {}{} back",
        number("bytes_to_target"),
        hashed("sha256_to_target"),
        number("bytes_to_client"),
        hashed("sha256_to_client")
    )
}

fn ended(line: &Line) -> String {
    let how = match (line.number("exit_status"), line.text("exit_signal")) {
        (Some(status), _) => format!("ended with status {status}"),
        (None, Some(signal)) => format!("was ended by the signal {signal}"),
        (None, None) => format!("ended: {}", why(line.raw("ending"))),
    };
    let after = line.number("duration_ms").map(std::time::Duration::from_millis).map(friendly);
    let after = after.map(|after| format!(" after {after}")).unwrap_or_default();
    let errors = line.text("sha256_stderr").map(|hash| {
        let size = bytes(line.number("bytes_stderr").unwrap_or_default());
        format!("; of that on standard error {size} (SHA-256 {hash})")
    });
    format!("{how}{after}; {}{}{}", moved(line), errors.unwrap_or_default(), recorded(line))
}

fn recorded(line: &Line) -> String {
    let Some(id) = line.text("recording.id") else { return String::new() };
    let size = bytes(
        line.number("recording.compressed_bytes").or(line.number("recording.bytes")).unwrap_or_default(),
    );
    let hash = line.text("recording.sha256").map(|hash| format!(", SHA-256 {hash}")).unwrap_or_default();
    let whole = if line.flag("recording.complete") == Some(false) { ", incomplete" } else { "" };
    format!("; recording {id}, {size}{hash}{whole}")
}

fn file(line: &Line) -> String {
    let mut text = format!(
        "{} {} {}",
        line.text("protocol").unwrap_or_default(),
        line.text("operation").unwrap_or_default(),
        line.text("path").unwrap_or_default()
    );
    let mut add = |part: Option<String>| text.extend(part);
    add(line.text("other_path").map(|path| format!(" to {path}")));
    add(line.text("mode").map(|mode| format!(", mode {mode}")));
    add(line.number("bytes").map(|size| format!(", {}", bytes(size))));
    add(line.text("sha256").map(|hash| format!(", SHA-256 {hash}")));
    add(line.number("from").filter(|from| *from > 0).map(|from| format!(", from byte {from} on")));
    add((line.flag("out_of_order") == Some(true)).then(|| ", not from front to back".to_owned()));
    add(line.text("result").filter(|result| result != "ok").map(|result| format!(": {result}")));
    add(line.text("detail").map(|detail| format!(" ({detail})")));
    text
}

fn refused(line: &Line) -> String {
    let rules = line.texts("rules");
    let why = match line.raw("reason") {
        "no-rule-permits" => "no rule permits it".to_owned(),
        "forbidden" => format!("forbidden by {}", rules.join(", ")),
        "evaluation-failed" => "a rule could not be evaluated".to_owned(),
        _ => line.text("reason").unwrap_or_default(),
    };
    format!("refused: {}{}: {why}", program(line), place(line))
}
