//! `export`: the record in the forms that other programs read.

use super::args::{ExportArgs, Format};
use super::csv;
use super::ids::Playable;
use super::pages::{Events, Scope, Sessions};
use super::pen::Pen;
use super::trouble::Trouble;
use super::{RecordDesk, list};
use crate::audit::JournalLine;
use crate::console::answer::{Answer, Verdict};
use crate::console::args::senseless;
use crate::console::stage::{Live, Stage};
use crate::console::text::shown_json;
use crate::domain::RecordingId;
use crate::sinks::OcsfExport;
use crate::store::{EventFilter, EventRow, SessionRow};

pub(super) async fn export(desk: RecordDesk, args: ExportArgs) -> Result<Answer, Trouble> {
    desk.need_audit("exporting")?;
    if let Some(sentence) = contradiction(&args) {
        return Ok(senseless(sentence));
    }
    let work = if args.format == Format::Asciicast {
        let Some(what) = &args.what else { return Ok(senseless(NO_ID)) };
        Work::Recording(desk.recording(what, args.channel).await?)
    } else if args.sessions {
        Work::Sessions(Box::new(Sessions::new(&desk, desk.filter(&args.fitting), Scope::All, None)))
    } else {
        Work::Events(Box::new(source(&desk, &args).await?))
    };
    let by_operator = desk.is_operator();
    Ok(Answer::live(Live::new(move |stage| async move {
        let given = match work {
            Work::Recording(id) => recording(&stage, &desk, id).await,
            Work::Sessions(sessions) => write_sessions(&stage, args.format, *sessions).await,
            Work::Events(source) => write_events(&stage, args.format, *source).await,
        };
        Trouble::conclude(given, &stage, by_operator).await
    })))
}

enum Work {
    Recording(RecordingId),
    Sessions(Box<Sessions>),
    Events(Box<Source>),
}

const NO_ID: &str =
    "asciicast is about one recording: name its session, as in `export --format asciicast ID`.";

/// What does not go together.
fn contradiction(args: &ExportArgs) -> Option<&'static str> {
    let filtered = args.fitting != super::args::Fitting::default();
    match (args.format, &args.what) {
        (Format::Asciicast, None) => Some(NO_ID),
        (Format::Asciicast, Some(_)) if filtered || args.sessions => {
            Some("asciicast is about one recording and takes no filters.")
        }
        (Format::Ocsf, _) if args.sessions => Some("OCSF has a form for events; leave out --sessions."),
        (Format::Jsonl | Format::Csv | Format::Ocsf, Some(Playable::Recording(_))) => {
            Some("a recording is exported with --format asciicast; name a session for its events.")
        }
        (Format::Jsonl | Format::Csv | Format::Ocsf, Some(_)) if filtered || args.sessions => {
            Some("name a session or give filters, not both.")
        }
        (Format::Jsonl | Format::Csv | Format::Ocsf, _) if args.channel.is_some() => {
            Some("--channel is for asciicast.")
        }
        (Format::Asciicast, Some(_)) | (Format::Jsonl | Format::Csv | Format::Ocsf, _) => None,
    }
}

/// Events: those that fit, or those of the sessions that fit.
struct Source {
    desk: RecordDesk,
    sessions: Option<Sessions>,
    events: Option<Events>,
    /// What the connection's events say about the session whose events come next.
    before: Vec<JournalLine>,
}

async fn source(desk: &RecordDesk, args: &ExportArgs) -> Result<Source, Trouble> {
    let of = |sessions, events| Source { desk: desk.clone(), sessions, events, before: Vec::new() };
    if let Some(Playable::Session(start)) = &args.what {
        let row = desk.find(start, None).await?;
        let mut source = of(None, None);
        source.turn_to(&row).await?;
        return Ok(source);
    }
    let fitting = &args.fitting;
    let filter = desk.filter(fitting);
    let by_session =
        fitting.target.is_some() || fitting.login.is_some() || fitting.ending.is_some() || fitting.live;
    if by_session {
        return Ok(of(Some(Sessions::new(desk, filter, Scope::All, None)), None));
    }
    let events = EventFilter {
        user: filter.user,
        node: filter.node,
        since: filter.since,
        until: filter.until,
        text: filter.text,
        ..EventFilter::default()
    };
    Ok(of(None, Some(Events::new(desk, events))))
}

impl Source {
    async fn next(&mut self) -> Result<Option<EventRow>, Trouble> {
        loop {
            if let Some(events) = &mut self.events
                && let Some(event) = events.next().await?
            {
                return Ok(Some(event));
            }
            let Some(sessions) = &mut self.sessions else { return Ok(None) };
            let Some(row) = sessions.next().await? else { return Ok(None) };
            self.turn_to(&row).await?;
        }
    }

    async fn turn_to(&mut self, row: &SessionRow) -> Result<(), Trouble> {
        let before = self.desk.before(row).await?;
        self.before =
            before.into_iter().map(|event| JournalLine { seq: event.seq, text: event.line }).collect();
        let filter = EventFilter { session: Some(row.id), ..EventFilter::default() };
        self.events = Some(Events::new(&self.desk, filter));
        Ok(())
    }
}

async fn write_events(stage: &Stage, format: Format, mut source: Source) -> Result<Verdict, Trouble> {
    let mut pen = Pen::new(stage);
    if format == Format::Csv {
        pen.write(&csv::head(&csv::OF_EVENTS)).await?;
    }
    let mut ocsf = OcsfExport::default();
    while let Some(event) = source.next().await? {
        for earlier in source.before.drain(..) {
            ocsf.recall(&event.node, &earlier);
        }
        let text = match format {
            Format::Csv => csv::event(&event),
            Format::Ocsf => {
                let EventRow { node, seq, line, .. } = event;
                fit(stage, ocsf.event(&node, &JournalLine { seq, text: line }))
            }
            Format::Jsonl | Format::Asciicast => fit(stage, event.line),
        };
        pen.write(&text).await?;
    }
    pen.flush().await?;
    Ok(Verdict::Yes)
}

/// A line as it is, with its line feed: its hash has to come out. On a terminal nothing in it may steer that.
fn fit(stage: &Stage, mut line: String) -> String {
    if stage.terminal().is_some() {
        line = shown_json(&line);
    }
    line.push('\n');
    line
}

async fn write_sessions(stage: &Stage, format: Format, mut sessions: Sessions) -> Result<Verdict, Trouble> {
    let mut pen = Pen::new(stage);
    if format == Format::Csv {
        pen.write(&csv::head(&csv::OF_SESSIONS)).await?;
    }
    while let Some(row) = sessions.next().await? {
        let text = if format == Format::Csv { csv::session(&row) } else { list::json(&row) + "\n" };
        pen.write(&text).await?;
    }
    pen.flush().await?;
    Ok(Verdict::Yes)
}

const ON_TERMINAL: &str =
    "an asciicast is a file for a player: write it to one, as in `… > session.cast`; `replay` shows it here.";

async fn recording(stage: &Stage, desk: &RecordDesk, id: RecordingId) -> Result<Verdict, Trouble> {
    if stage.terminal().is_some() {
        return Err(Trouble::say(ON_TERMINAL));
    }
    let mut text = desk.archive.library.text(id).await?;
    while let Some(piece) = text.recv().await {
        let piece = piece.map_err(|error| {
            Trouble::say(format!("the recording {id} is damaged and cannot be read further: {error}."))
        })?;
        stage.show(piece).await?;
    }
    Ok(Verdict::Yes)
}
