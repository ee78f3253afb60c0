//! `events`: the record itself, event by event.

use std::time::Duration;

use super::RecordDesk;
use super::args::EventsArgs;
use super::line::Line;
use super::pages::Events;
use super::pen::Pen;
use super::trouble::Trouble;
use super::when::When;
use crate::console::answer::{Answer, Verdict};
use crate::console::stage::{Live, Stage};
use crate::console::text::shown_json;
use crate::store::{EventFilter, EventRow};

/// Where nothing else says how far back.
const DEFAULT_SINCE: When = When::Ago(Duration::from_secs(24 * 3_600));
/// What a line of the table has in columns of its own, and what says nothing to people.
const TOLD: [&str; 8] = ["v", "node", "seq", "prev", "time", "event", "connection", "session"];

pub(super) async fn events(desk: RecordDesk, args: EventsArgs) -> Result<Answer, Trouble> {
    desk.need_audit("reading events")?;
    let filter = filter(&desk, &args).await?;
    let mut events = Events::new(&desk, filter);
    let Some(first) = events.next().await? else {
        return Err(Trouble::say("no event fits; try fewer filters, or --since with an earlier time."));
    };
    let by_operator = desk.is_operator();
    Ok(Answer::live(Live::new(move |stage| async move {
        let given = give(&stage, &args, first, events).await;
        Trouble::conclude(given, &stage, by_operator).await
    })))
}

async fn filter(desk: &RecordDesk, args: &EventsArgs) -> Result<EventFilter, Trouble> {
    let session = match &args.session {
        Some(start) => Some(desk.find(start, None).await?.id),
        None => None,
    };
    let bounded = session.is_some() || args.connection.is_some() || args.until.is_some();
    let since = args.since.or((!bounded).then_some(DEFAULT_SINCE));
    Ok(EventFilter {
        session,
        connection: args.connection,
        user: args.user.as_ref().map(ToString::to_string),
        kind: args.kind.clone(),
        since: since.map(|when| when.at(desk.now)),
        until: args.until.map(|when| when.at(desk.now)),
        text: args.text.clone(),
        ..EventFilter::default()
    })
}

async fn give(
    stage: &Stage,
    args: &EventsArgs,
    first: EventRow,
    mut events: Events,
) -> Result<Verdict, Trouble> {
    let mut pen = Pen::new(stage);
    let mut next = Some(first);
    let mut left = args.limit.unwrap_or(u64::MAX);
    while let (Some(event), 1..) = (next, left) {
        let line = if args.json { format!("{}\n", shown_json(&event.line)) } else { told(&event) };
        pen.write(&line).await?;
        left -= 1;
        next = events.next().await?;
    }
    pen.flush().await?;
    Ok(Verdict::Yes)
}

/// One event for people: when, what, whose, and everything else that it says.
fn told(event: &EventRow) -> String {
    let Some(line) = Line::read(&event.line) else {
        return format!(
            "line {} of {} is no JSON; `drawbridge audit verify` says more\n",
            event.seq, event.node
        );
    };
    let (day, time) = line.day_and_time();
    // The beginning of an id is enough to find it again.
    let short = |id: &str| line.raw(id).chars().take(18).collect::<String>();
    let whose = if line.has("session") { short("session") } else { short("connection") };
    let whose = super::super::text::shown(&whose);
    let name = super::super::text::shown(line.event());
    format!("{day} {time}  {name:<24}  {whose:<18}  {}\n", line.rest(&TOLD)).replace(" \n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_that_steers_nothing() {
        let line = r#"{"v":1,"node":"a","seq":3,"prev":"00","time":"2026-01-02T03:04:05.678Z","event":"file-operation","connection":"c-1","session":"s-0123456789abcdef0123","channel":1,"path":"/tmp/\u001b[2J\n","result":"ok"}"#;
        let event = EventRow {
            node: crate::domain::NodeName::parse("a").expect("a name"),
            seq: 3,
            time: "2026-01-02T03:04:05.678Z".parse().expect("a time"),
            event: "file-operation".to_owned(),
            connection: None,
            session: None,
            line: line.to_owned(),
        };
        assert_eq!(
            told(&event),
            "2026-01-02 03:04:05  file-operation            s-0123456789abcdef  channel=1 path=\"/tmp/\\u{1b}[2J\\n\" result=ok\n"
        );
        let broken = EventRow { line: "{".to_owned(), ..event };
        assert!(told(&broken).starts_with("line 3 of a is no JSON"));
    }
}
