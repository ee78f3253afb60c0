//! Logs for the operator, on standard error. Ids are fields of the lines that concern them; secrets are nowhere.
//!
//! What always holds: an event is one line, and no character in it that came from outside can steer a terminal,
//! whatever an error's text was made of ([`Plain`] for text, [`Escaped`] for JSON).

use std::fmt::{Debug, Result as Written, Write};
use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::audit::json::misleads;

/// The AWS SDK warns of each place where it finds no credentials, with everything that it knows as Rust prints it, at
/// every attempt. What came of all of them is in a line of ours.
const AWS_QUIET: &str = "aws_config=error,aws_runtime=error,";

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What to log and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`, or several directives such as
    /// `info,drawbridge::ssh=debug`.
    pub level: String,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level cannot be read.
    #[error(
        "the log level {level:?} cannot be read; use off, error, warn, info, debug or trace, \
         or directives such as \"info,drawbridge::ssh=debug\""
    )]
    Level {
        /// What was given.
        level: String,
    },
    /// It was set up before.
    #[error("logging is already set up")]
    Already(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logging for the whole process. Once.
///
/// # Errors
/// When the level cannot be read, or logging is already set up.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    let filter = filter(&settings.level)?;
    let coloured = io::stderr().is_terminal();
    subscriber(settings.format, filter, coloured, io::stderr).try_init()?;
    Ok(())
}

/// The filter is the whole subscriber's and not its only layer's: a layer's own would take "this is not wanted", which
/// a library has only asked about (`tracing::enabled!`, as sqlx does), for an answer about this thread's next event.
fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    coloured: bool,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    Registry::default().with(layer(format, coloured, writer)).with(filter)
}

/// Whether [`init`] can read the level.
pub(crate) fn can_read(level: &str) -> bool {
    filter(level).is_ok()
}

/// Reads the level. To the filter a bare word that is no level is a module's name, and nothing at
/// all means `error`; people who write that mean something else, so both are refused.
fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let wrong = || TelemetryError::Level { level: level.to_owned() };
    let directives: Vec<&str> = level.split(',').map(str::trim).collect();
    let means_a_level =
        |text: &&str| text.contains(['=', '[']) || (!text.is_empty() && text.parse::<LevelFilter>().is_ok());
    if !directives.iter().all(means_a_level) {
        return Err(wrong());
    }
    let usual = |level: &str| ["info", "warn"].iter().any(|usual| level.eq_ignore_ascii_case(usual));
    let quiet = if matches!(directives.as_slice(), [level] if usual(level)) { AWS_QUIET } else { "" };
    let directives = format!("{quiet}{}", directives.join(","));
    EnvFilter::builder().with_regex(false).parse(directives).map_err(|_| wrong())
}

fn layer<W>(format: LogFormat, coloured: bool, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    match format {
        LogFormat::Text => fmt::layer()
            .with_ansi(coloured)
            .fmt_fields(debug_fn(field).delimited(" "))
            .with_writer(writer)
            .boxed(),
        LogFormat::Json => {
            let writer = Escaping(writer);
            fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(writer).boxed()
        }
    }
}

/// One field of a text line. A value that displays itself, such as an error, may hold what a client or target wrote.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> Written {
    match field.name() {
        "message" => write!(Plain(writer), "{value:?}"),
        name => {
            write!(writer, "{name}=")?;
            write!(Plain(writer), "{value:?}")
        }
    }
}

/// Passes text on with everything escaped that could begin a line or steer a terminal.
struct Plain<'a, W>(&'a mut W);

impl<W: Write> Write for Plain<'_, W> {
    fn write_str(&mut self, text: &str) -> Written {
        text.chars().try_for_each(|c| match c {
            c if misleads(c) => write!(self.0, "{}", c.escape_default()),
            c => self.0.write_char(c),
        })
    }
}

/// Passes whole lines of JSON on with everything escaped that could steer a terminal. Outside ASCII that can only
/// stand in a string, where JSON takes `\uXXXX` for any character.
struct Escaped<W>(W);

/// Makes such writers.
struct Escaping<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Escaping<W> {
    type Writer = Escaped<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Escaped(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        if !text.contains(|c| c != '\n' && misleads(c)) {
            return self.0.write(bytes);
        }
        let mut safe = String::with_capacity(text.len().saturating_mul(2));
        for c in text.chars() {
            if c == '\n' || !misleads(c) {
                safe.push(c);
            } else {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
            }
        }
        self.0.write_all(safe.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A file's name, as a client may choose it.
    const HOSTILE: &str = "a\u{1b}]0;owned\u{7}\n2026-01-01 INFO forged\r\u{9b}2J\u{202e}\u{e0041}";

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str) -> String {
        told(format, level, || {
            let _span = tracing::info_span!("connection", id = "c-1").entered();
            tracing::info!(reason = "\u{1b}[2J", file = %HOSTILE, "hello");
            tracing::debug!("details");
        })
    }

    fn told(format: LogFormat, level: &str, tell: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let filter = filter(level).expect("a level");
        tracing::subscriber::with_default(subscriber(format, filter, false, move || writer.clone()), tell);
        let bytes = kept.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn text_has_the_span_and_no_escape_sequence() {
        let text = logged(LogFormat::Text, "info");
        assert!(text.contains("connection{id=\"c-1\"}") && text.contains("hello"), "{text}");
        let line = text.strip_suffix('\n').expect("a line");
        assert_eq!(line.find(misleads), None, "one line, and nothing in it steers: {text:?}");
        assert!(text.contains("file=a\\u{1b}]0;owned\\u{7}\\n2026"), "{text}");
        assert!(!text.contains("details"), "{text}");
    }

    #[test]
    fn the_sdk_s_own_attempts_at_credentials_are_told_to_whoever_asks_for_more() {
        let tell = || tracing::warn!(target: "aws_config::meta::credentials::chain", "a provider has none");
        for (level, wanted) in
            [("info", false), ("WARN", false), ("debug", true), ("info,drawbridge=warn", true)]
        {
            assert_eq!(!told(LogFormat::Text, level, tell).is_empty(), wanted, "{level}");
        }
        assert_eq!(told(LogFormat::Text, "off", tell), "");
    }

    #[test]
    fn json_has_the_fields_and_the_span() {
        let text = logged(LogFormat::Json, "debug");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "hello");
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(lines[0]["span"]["id"], "c-1");
        assert_eq!(lines[0]["file"], HOSTILE, "nothing is lost");
        assert_eq!(text.replace('\n', "").find(misleads), None, "{text:?}");
    }

    #[test]
    fn a_level_that_cannot_be_read_is_explained() {
        for level in ["loud", "", "info,", "drawbridge", "drawbridge=loud"] {
            let error = filter(level).expect_err(level).to_string();
            assert!(error.contains("use off, error, warn, info, debug or trace"), "{error}");
        }
        for level in ["info", "WARN", "off", "info,drawbridge::ssh=debug", " info, sqlx=warn"] {
            assert!(filter(level).is_ok(), "{level}");
        }
    }
}
