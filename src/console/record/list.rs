//! `sessions list`.

use serde::Serialize;

use super::RecordDesk;
use super::args::{Fitting, ListArgs};
use super::pages::{Scope, Sessions};
use super::pen::Pen;
use super::permission::{ASK_FOR_AUDIT, Asker};
use super::table::Table;
use super::trouble::Trouble;
use crate::console::answer::{Answer, Verdict};
use crate::console::stage::{Live, Stage};
use crate::console::text::shown_json;
use crate::store::SessionRow;

pub(super) async fn list(desk: RecordDesk, args: ListArgs) -> Result<Answer, Trouble> {
    let mut filter = desk.filter(&args.fitting);
    let scope = desk.scope(&args)?;
    if let (Scope::Own, Asker::Person(person)) = (scope, &desk.asker) {
        filter.user = Some(person.identity.user.to_string());
    }
    let before = match &args.before {
        Some(start) => Some(desk.find(start, None).await?.cursor()),
        None => None,
    };
    let mut sessions = Sessions::new(&desk, filter, scope, before);
    let Some(first) = sessions.next().await? else {
        let narrowed = args.fitting != Fitting::default() || args.before.is_some();
        let sentence = if scope != Scope::All {
            format!("no session of yours fits; {ASK_FOR_AUDIT}")
        } else if narrowed {
            "no session fits; try fewer filters.".to_owned()
        } else {
            "no session is on record.".to_owned()
        };
        return Ok(none(&args, &sentence));
    };
    let by_operator = desk.is_operator();
    Ok(Answer::live(Live::new(move |stage| async move {
        let given = give(&stage, &desk, &args, first, sessions).await;
        Trouble::conclude(given, &stage, by_operator).await
    })))
}

fn none(args: &ListArgs, sentence: &str) -> Answer {
    let text = if args.json { "{\"sessions\":[\n],\"more\":false}\n" } else { "" };
    Answer::text(text.to_owned()).but(Verdict::No, sentence)
}

impl RecordDesk {
    fn scope(&self, args: &ListArgs) -> Result<Scope, Trouble> {
        if self.may_audit() {
            return Ok(Scope::All);
        }
        if args.fitting.live {
            return Ok(Scope::Theirs);
        }
        let Asker::Person(person) = &self.asker else { return Ok(Scope::All) };
        match &args.fitting.user {
            Some(user) if *user != person.identity.user => {
                Err(Trouble::say(format!("you may list your own sessions; {ASK_FOR_AUDIT}")))
            }
            _ => Ok(Scope::Own),
        }
    }
}

async fn give(
    stage: &Stage,
    desk: &RecordDesk,
    args: &ListArgs,
    first: SessionRow,
    mut sessions: Sessions,
) -> Result<Verdict, Trouble> {
    let table = Table::new(stage.terminal().map(|size| size.columns), desk.now);
    let mut pen = Pen::new(stage);
    let mut next = Some(first);
    let mut last = None;
    pen.write(&if args.json { "{\"sessions\":[".to_owned() } else { table.head() }).await?;
    for number in 0..args.limit {
        let Some(row) = next else { break };
        let separator = if number == 0 { "\n" } else { ",\n" };
        pen.write(&if args.json { format!("{separator}{}", json(&row)) } else { table.row(&row) }).await?;
        last = Some(row.id);
        next = sessions.next().await?;
    }
    let more = next.is_some();
    if args.json {
        pen.write(&format!("\n],\"more\":{more}}}\n")).await?;
    } else if let (true, Some(last)) = (more, last) {
        pen.write(&format!("\nThere are older ones: add --before {last}\n")).await?;
    }
    pen.flush().await?;
    Ok(Verdict::Yes)
}

/// A session in JSON. What does not apply is absent.
#[derive(Serialize)]
struct Entry<'a> {
    id: String,
    node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    user: &'a str,
    client_addr: &'a str,
    client_port: u16,
    way: &'a str,
    login: &'a str,
    target: Target<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_to_target: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_to_client: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<u64>,
}

/// The names are those of the events.
#[derive(Serialize)]
struct Target<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    account: &'a str,
    region: &'a str,
    private_ip: &'a str,
}

/// One session, on one line, fit for a terminal.
pub(super) fn json(row: &SessionRow) -> String {
    let entry = Entry {
        id: row.id.to_string(),
        node: row.node.as_str(),
        connection: row.connection.map(|id| id.to_string()),
        started: format!("{:.3}", row.started),
        ended: row.ended.map(|ended| format!("{ended:.3}")),
        user: &row.user,
        client_addr: &row.client_addr,
        client_port: row.client_port,
        way: &row.way,
        login: &row.login,
        target: Target {
            id: &row.target_id,
            name: row.target_name.as_deref(),
            account: &row.target_account,
            region: &row.target_region,
            private_ip: &row.target_ip,
        },
        content: row.content.as_deref(),
        action: row.action.as_deref(),
        command: row.command.as_deref(),
        ending: row.ending.as_deref(),
        detail: row.detail.as_deref(),
        bytes_to_target: row.bytes_to_target,
        bytes_to_client: row.bytes_to_client,
        channels: row.channels,
    };
    shown_json(&serde_json::to_string(&entry).unwrap_or_default())
}
