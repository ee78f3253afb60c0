//! `sessions show`: one session as a story, event by event.

use jiff::SignedDuration;

use super::RecordDesk;
use super::args::ShowArgs;
use super::line::{Line, bytes};
use super::list::json;
use super::pages::Events;
use super::pen::Pen;
use super::story::Story;
use super::trouble::Trouble;
use crate::console::answer::{Answer, Verdict};
use crate::console::stage::{Live, Stage};
use crate::console::text::{shown, shown_json};
use crate::store::{EventFilter, EventRow, RecordingRow, SessionRow};

/// What of the connection belongs to the story of each of its sessions.
const OF_THE_CONNECTION: [&str; 2] = ["client-identified", "authentication-succeeded"];
const WATCHED: &str = "session-watched";
/// What others did to a session, and the field that names it.
const BY_OTHERS: [(&str, &str); 2] = [(WATCHED, "watched"), ("kill-ordered", "killed")];
/// An order may be noted just after the session has ended.
const AFTERWARDS: SignedDuration = SignedDuration::from_mins(1);
/// So many orders about any session are looked at, while this one lasted.
const OTHERS_MAX: usize = 1_000;

pub(super) async fn show(desk: RecordDesk, args: ShowArgs) -> Result<Answer, Trouble> {
    let row = desk.find(&args.session, None).await?;
    let by_operator = desk.is_operator();
    Ok(Answer::live(Live::new(move |stage| async move {
        let given =
            if args.json { facts(&stage, &desk, &row).await } else { story(&stage, &desk, &row).await };
        Trouble::conclude(given, &stage, by_operator).await
    })))
}

impl RecordDesk {
    /// The events of the session's connection that belong to its story.
    pub(super) async fn before(&self, row: &SessionRow) -> Result<Vec<EventRow>, Trouble> {
        let Some(connection) = row.connection else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for kind in OF_THE_CONNECTION {
            let filter = EventFilter {
                connection: Some(connection),
                kind: Some(kind.to_owned()),
                ..EventFilter::default()
            };
            found.extend(self.archive.store.events(&filter, 1, None).await?);
        }
        Ok(found)
    }

    /// Who looked on and who ordered it to end: events of the node, which name the session.
    async fn by_others(&self, row: &SessionRow) -> Result<Vec<EventRow>, Trouble> {
        let mut found = Vec::new();
        for (kind, field) in BY_OTHERS {
            let filter = EventFilter {
                kind: Some(kind.to_owned()),
                node: Some(row.node.clone()),
                since: Some(row.started),
                until: row.ended.map(|ended| ended.saturating_add(AFTERWARDS).unwrap_or(ended)),
                ..EventFilter::default()
            };
            let id = row.id.to_string();
            let mut events = Events::new(self, filter);
            for _ in 0..OTHERS_MAX {
                let Some(event) = events.next().await? else { break };
                let concerns = |line: Line| line.raw(field) == id && self.may_know_of(&line);
                if Line::read(&event.line).is_some_and(concerns) {
                    found.push(event);
                }
            }
        }
        found.sort_by_key(|event| event.time);
        Ok(found)
    }

    /// Whoever is watched and not told so, as policy has it, does not find it here either.
    fn may_know_of(&self, line: &Line) -> bool {
        line.event() != WATCHED || line.flag("told") == Some(true) || self.may_audit()
    }

    fn events_of(&self, row: &SessionRow) -> Events {
        Events::new(self, EventFilter { session: Some(row.id), ..EventFilter::default() })
    }
}

async fn story(stage: &Stage, desk: &RecordDesk, row: &SessionRow) -> Result<Verdict, Trouble> {
    let mut pen = Pen::new(stage);
    let mut story = Story::default();
    for line in desk.before(row).await?.iter().filter_map(|event| Line::read(&event.line)) {
        story.before(&line);
    }
    let mut events = desk.events_of(row);
    let mut others = desk.by_others(row).await?.into_iter().peekable();
    while let Some(event) = events.next().await? {
        while let Some(other) = others.next_if(|other| other.time < event.time) {
            pen.write(&tell(&mut story, &other)).await?;
        }
        pen.write(&tell(&mut story, &event)).await?;
    }
    for other in others {
        pen.write(&tell(&mut story, &other)).await?;
    }
    let recordings = desk.archive.store.recordings_of(&row.id).await?;
    if !recordings.is_empty() {
        pen.write("\nRecordings:\n").await?;
    }
    for recording in &recordings {
        pen.write(&told(recording, row.ended.is_some())).await?;
    }
    pen.write(&story.end()).await?;
    if row.ended.is_none() {
        pen.write(&format!("`sessions watch {}` looks on.\n", row.id)).await?;
    }
    pen.flush().await?;
    Ok(Verdict::Yes)
}

fn tell(story: &mut Story, event: &EventRow) -> String {
    Line::read(&event.line).map(|line| story.tell(&line)).unwrap_or_default()
}

fn told(recording: &RecordingRow, over: bool) -> String {
    let channel = recording.channel.map(|channel| format!("channel {channel}, ")).unwrap_or_default();
    let without = if over { "its end is not on record" } else { "not ended yet" };
    let format = recording.format.as_deref().map_or_else(|| without.to_owned(), shown);
    let size = recording.compressed_bytes.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
    let hash =
        recording.sha256.as_deref().map(|hash| format!(", SHA-256 {}", shown(hash))).unwrap_or_default();
    let whole = if recording.complete == Some(false) { ", incomplete" } else { "" };
    let failure =
        recording.failure.as_deref().map(|why| format!(", broke: {}", shown(why))).unwrap_or_default();
    format!("  {}: {channel}{format}{size}{hash}{whole}{failure}\n", recording.id)
}

/// The facts as one JSON object: the session, and the lines of the record as they are, one a line.
async fn facts(stage: &Stage, desk: &RecordDesk, row: &SessionRow) -> Result<Verdict, Trouble> {
    let mut pen = Pen::new(stage);
    pen.write(&format!("{{\"session\":{},\n\"events\":[", json(row))).await?;
    let mut separator = "\n";
    for event in desk.before(row).await? {
        pen.write(&format!("{separator}{}", shown_json(&event.line))).await?;
        separator = ",\n";
    }
    let mut events = desk.events_of(row);
    while let Some(event) = events.next().await? {
        pen.write(&format!("{separator}{}", shown_json(&event.line))).await?;
        separator = ",\n";
    }
    for event in desk.by_others(row).await? {
        pen.write(&format!("{separator}{}", shown_json(&event.line))).await?;
        separator = ",\n";
    }
    pen.write("\n]}\n").await?;
    pen.flush().await?;
    Ok(Verdict::Yes)
}
