//! The option syntax of `authorized_keys`, and the time in `expiry-time`.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// One option; the name in lower case, the value without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyOption {
    pub(super) name: String,
    pub(super) value: Option<String>,
}

/// Splits `name,name="value",… rest` at the first blank outside quotes.
pub(super) fn split_options(line: &str) -> Result<(Vec<KeyOption>, &str), &'static str> {
    let mut options = Vec::new();
    let mut rest = line;
    loop {
        let (option, after) = take_option(rest)?;
        options.push(option);
        let mut following = after.chars();
        match following.next() {
            Some(',') => rest = following.as_str(),
            Some(blank) if blank.is_whitespace() => return Ok((options, following.as_str().trim_start())),
            Some(_) => return Err("has something right after a closing quote; options are parted by commas"),
            None => return Err("is cut short: there are options and no key"),
        }
    }
}

fn take_option(text: &str) -> Result<(KeyOption, &str), &'static str> {
    let end = text.find(|c: char| c == '=' || c == ',' || c.is_whitespace()).unwrap_or(text.len());
    let (name, after) = text.split_at_checked(end).unwrap_or((text, ""));
    if name.is_empty() {
        return Err("has an empty option; commas part options and no blank may follow them");
    }
    let name = name.to_ascii_lowercase();
    let Some(quoted) = after.strip_prefix('=') else {
        return Ok((KeyOption { name, value: None }, after));
    };
    let value = quoted.strip_prefix('"').ok_or("has an option whose value is not in double quotes")?;
    let (value, after) = take_quoted(value).ok_or("is cut short: a double quote is not closed")?;
    Ok((KeyOption { name, value: Some(value) }, after))
}

/// Up to the closing quote; `\"` stands for a quote.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Some((value, characters.as_str())),
            '\\' if characters.as_str().starts_with('"') => {
                characters.next();
                value.push('"');
            }
            other => value.push(other),
        }
    }
    None
}

/// `YYYYMMDD[HHMM[SS]][Z]`, always as UTC: where OpenSSH would take the machine's time zone, a
/// bastion whose zone someone changes would shift every expiry.
pub(super) fn parse_expiry(text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z').unwrap_or(text);
    if !digits.bytes().all(|b| b.is_ascii_digit()) || !matches!(digits.len(), 8 | 12 | 14) {
        return None;
    }
    let field = |from: usize, to: usize| digits.get(from..to).unwrap_or("00");
    let small = |from: usize| field(from, from + 2).parse::<i8>().ok();
    let date = Date::new(field(0, 4).parse().ok()?, small(4)?, small(6)?).ok()?;
    let time = Time::new(small(8)?, small(10)?, small(12)?, 0).ok()?;
    let zoned = DateTime::from_parts(date, time).to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_split_outside_quotes() {
        let (options, rest) =
            split_options(r#"from="a,b c",No-PTY,x="say \"hi\"" ssh-rsa AAAA c"#).expect("options");
        let option = |name: &str, value: Option<&str>| KeyOption {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        assert_eq!(
            options,
            [option("from", Some("a,b c")), option("no-pty", None), option("x", Some("say \"hi\""))]
        );
        assert_eq!(rest, "ssh-rsa AAAA c");
    }

    #[test]
    fn broken_options_are_errors() {
        for line in ["from=\"a", "from=a ssh-rsa", "a,", "a,, b", "a", "from=\"a\"b c", ",a b", "a, b"] {
            assert!(split_options(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn expiry_times_are_utc() {
        let at = |text: &str| parse_expiry(text).map(|t| t.to_string());
        assert_eq!(at("20270101").as_deref(), Some("2027-01-01T00:00:00Z"));
        assert_eq!(at("202701012359").as_deref(), Some("2027-01-01T23:59:00Z"));
        assert_eq!(at("20270101235958Z").as_deref(), Some("2027-01-01T23:59:58Z"));
        for text in
            ["", "2027", "20271301", "20270230", "2027010124", "202701012460", "2027-01-01", "20270101z"]
        {
            assert_eq!(at(text), None, "{text:?}");
        }
    }
}
