//! Points in time and lengths of time as people type them.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A point in time, as it was typed; what it means may depend on when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// That instant.
    At(Timestamp),
    /// So long ago.
    Ago(Duration),
    /// The beginning of this day (0), of the day before (1), in UTC.
    DaysBack(u8),
}

const HOW: &str = "write a time as 2026-01-02T03:04:05Z, a day as 2026-01-02 (UTC), or today, yesterday, 90s, 15m, \
                   2h, 3d or 1w for so long ago";

impl When {
    /// Reads a time: RFC 3339, a day, `today`, `yesterday`, or a length of time for so long ago.
    ///
    /// # Errors
    /// How times are written.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "today" => return Ok(Self::DaysBack(0)),
            "yesterday" => return Ok(Self::DaysBack(1)),
            "now" => return Ok(Self::Ago(Duration::ZERO)),
            _ => {}
        }
        if let Some(length) = length(text.strip_suffix(" ago").unwrap_or(text)) {
            return Ok(Self::Ago(length));
        }
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok(Self::At(instant));
        }
        let day: Date = text.parse().map_err(|_| HOW)?;
        // `2026-01-02T03:04` would be taken for its day.
        let is_day = text.len() == "2026-01-02".len();
        let start = day.to_zoned(TimeZone::UTC).map_err(|_| HOW)?;
        if is_day { Ok(Self::At(start.timestamp())) } else { Err(HOW) }
    }

    /// The instant it means at that instant.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(instant) => instant,
            Self::Ago(length) => back(now, length),
            Self::DaysBack(days) => {
                let day = back(now, DAY * u32::from(days)).to_zoned(TimeZone::UTC);
                day.start_of_day().map_or(now, |start| start.timestamp())
            }
        }
    }
}

const DAY: Duration = Duration::from_secs(86_400);

fn back(now: Timestamp, length: Duration) -> Timestamp {
    let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
    now.checked_sub(length).unwrap_or(Timestamp::MIN)
}

/// Reads a length of time: a number and a unit (`ms`, `s`, `m`, `h`, `d`, `w`), several of them (`1h30m`).
fn length(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let unit = match unit {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            "d" => DAY,
            "w" => DAY * 7,
            _ => return None,
        };
        total = total.checked_add(unit.checked_mul(number.parse().ok()?)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// Reads a length of time or a place in a recording: `90s`, `2m`, `1:30`, `1:02:03`, or seconds as `2.5`.
///
/// # Errors
/// How lengths are written.
pub(super) fn parse_length(text: &str) -> Result<Duration, &'static str> {
    let clock = || {
        let mut total = 0_u64;
        for (place, part) in text.split(':').enumerate() {
            // Hours or minutes come first and may be many.
            let digits = if place == 0 { 1..=4 } else { 1..=2 };
            let plain = digits.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            let number: u64 = part.parse().ok().filter(|number| plain && (place == 0 || *number < 60))?;
            total = total.checked_mul(60)?.checked_add(number)?;
        }
        (text.matches(':').count() <= 2).then(|| Duration::from_secs(total))
    };
    let seconds = || {
        let number: f64 = text.parse().ok()?;
        Duration::try_from_secs_f64(number).ok()
    };
    let parsed = if text.contains(':') { clock() } else { length(text).or_else(seconds) };
    parsed.ok_or("write a length of time as 90s, 2m, 1:30 or 1:02:03")
}

/// A length of time in its two largest units: `5s`, `3m 20s`, `2h 5m`, `3d 4h`.
pub(super) fn friendly(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |large: u64, one: &str, small: u64, other: &str| {
        if small == 0 { format!("{large}{one}") } else { format!("{large}{one} {small}{other}") }
    };
    match (days, hours, minutes, seconds) {
        (1.., ..) => two(days, "d", hours, "h"),
        (0, 1.., ..) => two(hours, "h", minutes, "m"),
        (0, 0, 1.., _) => two(minutes, "m", seconds % 60, "s"),
        (0, 0, 0, 1..) => format!("{seconds}s"),
        (0, 0, 0, 0) => "under 1s".to_owned(),
    }
}

/// A place in a recording as a clock shows it: `1:30`, `1:02:03`.
pub(super) fn clock(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds / 3_600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

/// An instant as `2026-01-02 03:04:05`, UTC.
pub(super) fn moment(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> String {
        let now: Timestamp = "2026-11-22T14:30:00Z".parse().expect("a time");
        When::parse(text).map_or_else(ToOwned::to_owned, |when| when.at(now).to_string())
    }

    #[test]
    fn times_are_typed_in_many_ways() {
        for (text, wanted) in [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05.5+01:00", "2026-01-02T02:04:05.5Z"),
            ("2026-01-02", "2026-01-02T00:00:00Z"),
            ("today", "2026-11-22T00:00:00Z"),
            ("yesterday", "2026-11-21T00:00:00Z"),
            ("now", "2026-11-22T14:30:00Z"),
            ("2h", "2026-11-22T12:30:00Z"),
            ("1d2h ago", "2026-11-21T12:30:00Z"),
            ("90s", "2026-11-22T14:28:30Z"),
        ] {
            assert_eq!(at(text), wanted, "{text}");
        }
        for wrong in
            ["", "2", "h", "2 hours", "-2h", "2026-01-02T03:04", "2026-13-01", "tomorrow", "1h2", "9h9"]
        {
            assert!(at(wrong).starts_with("write a time as "), "{wrong}: {}", at(wrong));
        }
    }

    #[test]
    fn absurd_lengths_are_no_faults() {
        assert_eq!(at("99999999999999999999h"), HOW);
        assert!(When::parse("9999999999w").is_err() || at("9999999999w").starts_with('-'));
        assert!(
            parse_length("1e400").is_err() && parse_length("-1").is_err() && parse_length("NaN").is_err()
        );
    }

    #[test]
    fn places_in_a_recording() {
        let seconds = |text: &str| parse_length(text).map(|length| length.as_secs_f64()).ok();
        for (text, wanted) in
            [("90", 90.0), ("2.5", 2.5), ("1:30", 90.0), ("1:02:03", 3723.0), ("2m", 120.0), ("250ms", 0.25)]
        {
            assert_eq!(seconds(text), Some(wanted), "{text}");
        }
        for wrong in ["", ":", "1:", "1:60", "1:2:3:4", "1:+2", "x", "1:30s"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn lengths_are_shown_in_two_units() {
        let shown = |seconds| friendly(Duration::from_secs(seconds));
        assert_eq!(
            [0, 5, 60, 200, 7_500, 3_600, 273_600].map(shown),
            ["under 1s", "5s", "1m", "3m 20s", "2h 5m", "1h", "3d 4h"].map(str::to_owned)
        );
        assert_eq!([5, 90, 3_723].map(|s| clock(Duration::from_secs(s))), ["0:05", "1:30", "1:02:03"]);
    }
}
