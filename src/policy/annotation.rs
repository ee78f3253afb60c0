//! Annotations: a closed list, because one that is accepted without effect would mislead.

use std::time::Duration;

use super::permit::Limits;
use super::rule::Effect;
use crate::domain::{Login, RecordMode};

/// The longest limit that means anything, in hours: a leap year.
const LIMIT_HOURS_MAX: i64 = 366 * 24;
/// The longest rule id, in characters.
const ID_LENGTH_MAX: usize = 100;

/// The annotations of one rule, understood.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    pub(super) id: Option<String>,
    pub(super) description: Option<String>,
    pub(super) limits: Limits,
    pub(super) preferred_logins: Vec<Login>,
}

/// What is wrong with an annotation, and the way out; both sentences without the full stop.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) hint: String,
}

impl Annotations {
    /// Takes one annotation into account.
    pub(super) fn read(&mut self, effect: Effect, name: &str, value: &str) -> Result<(), Complaint> {
        match name {
            "id" => self.id = Some(rule_id(value)?),
            "description" => self.description = Some(value.to_owned()),
            "max_session" | "idle" | "login" | "record" | "keyboard" | "output" | "watched"
                if effect == Effect::Forbid =>
            {
                return Err(complaint(
                    format!("`@{name}` has no meaning on a `forbid` rule"),
                    "a `forbid` rule may have @id and @description; everything else belongs to `permit` rules",
                ));
            }
            "max_session" => self.limits.max_session = Some(limit(name, value)?),
            "idle" => self.limits.idle = Some(limit(name, value)?),
            "login" => self.preferred_logins = logins(value)?,
            "record" => {
                let mode = RecordMode::parse(value).ok_or_else(|| {
                    complaint(
                        format!("`@record(\"{}\")` is not a way to record", value.escape_debug()),
                        "write \"required\", \"best_effort\" or \"off\"",
                    )
                })?;
                self.limits.record = Some(mode);
            }
            "keyboard" => self.limits.keyboard = duty(name, value, "on")?,
            "output" => self.limits.keep_output = duty(name, value, "keep")?,
            "watched" => self.limits.tell_watched = duty(name, value, "told")?,
            _ => {
                return Err(complaint(
                    format!("unknown annotation `@{name}`"),
                    "known annotations are @id, @description, @max_session, @idle, @login, @record, @keyboard, @output and @watched",
                ));
            }
        }
        Ok(())
    }
}

fn complaint(message: String, hint: &str) -> Complaint {
    Complaint { message, hint: hint.to_owned() }
}

/// An annotation that has one value, and does nothing where it is not there.
fn duty(name: &str, value: &str, only: &str) -> Result<bool, Complaint> {
    if value == only {
        return Ok(true);
    }
    Err(Complaint {
        message: format!("`@{name}(\"{}\")` means nothing", value.escape_debug()),
        hint: format!("write @{name}(\"{only}\"), or leave it out"),
    })
}

fn rule_id(value: &str) -> Result<String, Complaint> {
    let plain = !value.trim().is_empty() && !value.chars().any(char::is_control);
    if plain && value.chars().count() <= ID_LENGTH_MAX {
        return Ok(value.to_owned());
    }
    Err(complaint(
        format!(
            "`@id(\"{}\")` is not a usable id",
            value.escape_debug().take(ID_LENGTH_MAX).collect::<String>()
        ),
        "write 1 to 100 characters without line breaks, such as @id(\"eng-dev\")",
    ))
}

fn limit(name: &str, value: &str) -> Result<Duration, Complaint> {
    duration(value).ok_or_else(|| {
        complaint(
            format!("`@{name}(\"{value}\")` is not a duration"),
            "write hours, minutes and seconds, from 1s to 8784h, such as \"8h\", \"15m\" or \"1h30m\"",
        )
    })
}

/// Reads a duration such as `1h30m`, from one second to a year.
fn duration(value: &str) -> Option<Duration> {
    let span: jiff::SignedDuration = value.parse().ok()?;
    let range = jiff::SignedDuration::from_secs(1)..=jiff::SignedDuration::from_hours(LIMIT_HOURS_MAX);
    range.contains(&span).then(|| span.unsigned_abs())
}

fn logins(value: &str) -> Result<Vec<Login>, Complaint> {
    let mut logins = Vec::new();
    for name in value.split(',').map(str::trim) {
        let login = Login::parse(name).map_err(|error| {
            complaint(
                format!("`@login(\"{value}\")` names no usable login: {error}"),
                "write one login or several, best first, such as \"ubuntu\" or \"ubuntu, ec2-user\"",
            )
        })?;
        if !logins.contains(&login) {
            logins.push(login);
        }
    }
    Ok(logins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_strict() {
        assert_eq!(duration("8h"), Some(Duration::from_secs(8 * 3600)));
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        for bad in ["", "8", "8 hours ago", "-8h", "0s", "1d", "500ms", "9999999h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn preferred_logins_keep_their_order() {
        let names = logins("ubuntu, ec2-user,ubuntu").expect("logins");
        assert_eq!(names.iter().map(Login::as_str).collect::<Vec<_>>(), ["ubuntu", "ec2-user"]);
        assert!(logins("").is_err());
        assert!(logins("ubuntu,").is_err());
    }
}
