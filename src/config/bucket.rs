//! The keys of `[recording]` that are about a bucket.

use ::config::Value;

use super::origin::Complaint;
use super::reader::Section;
use super::value::{quoted, text};
use crate::record::vault::{Encryption, LockMode, ObjectLock, S3Settings};

/// A hundred years: more is a mistake.
const DAYS_MAX: u32 = 36_525;

/// Reads all of them; nothing where no bucket is named.
pub(super) fn read(section: &mut Section<'_>) -> Option<S3Settings> {
    let place = section.parse("upload_to", place);
    let endpoint_url = section.parse("s3_endpoint_url", endpoint);
    let region = section.parse("s3_region", plain);
    let key = section.parse("s3_kms_key", plain);
    let encryption = section.choice(
        "s3_encryption",
        None,
        &[
            ("bucket", None),
            ("AES256", Some(Encrypt::S3)),
            ("aws:kms", Some(Encrypt::Kms { twice: false })),
            ("aws:kms:dsse", Some(Encrypt::Kms { twice: true })),
        ],
    );
    let mode = section.choice(
        "s3_object_lock",
        None,
        &[
            ("off", None),
            ("governance", Some(LockMode::Governance)),
            ("compliance", Some(LockMode::Compliance)),
        ],
    );
    let days = section.integer("s3_object_lock_days", 365, 1..=DAYS_MAX);
    let (bucket, prefix) = place?;
    let encryption = match encryption {
        None => key.map(|key| Encryption::Kms { key: Some(key), twice: false }),
        Some(Encrypt::S3) => Some(Encryption::S3),
        Some(Encrypt::Kms { twice }) => Some(Encryption::Kms { key, twice }),
    };
    let lock = mode.map(|mode| ObjectLock { mode, days });
    Some(S3Settings { bucket, prefix, endpoint_url, region, encryption, lock })
}

#[derive(Debug, Clone, Copy)]
enum Encrypt {
    S3,
    Kms { twice: bool },
}

/// `s3://bucket/prefix`.
fn place(value: &Value) -> Result<(String, String), Complaint> {
    let text = text(value)?;
    let (bucket, prefix) =
        text.strip_prefix("s3://").map_or(("", ""), |rest| rest.split_once('/').unwrap_or((rest, "")));
    let prefix = prefix.trim_end_matches('/');
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let sound_bucket = (3..=63).contains(&bucket.len()) && bucket.chars().all(letter);
    let sound_prefix = prefix.len() <= 512
        && prefix.chars().all(|c| c.is_ascii_graphic())
        && (prefix.is_empty() || prefix.split('/').all(|part| !matches!(part, "" | "." | "..")));
    if sound_bucket && sound_prefix {
        return Ok((bucket.to_owned(), prefix.to_owned()));
    }
    Err(Complaint::new(format!("{} is not a place in S3", quoted(text)))
        .hint("its form is s3://BUCKET/PREFIX, such as s3://example-recordings/drawbridge"))
}

fn endpoint(value: &Value) -> Result<String, Complaint> {
    let text = text(value)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if rest.is_some_and(|rest| !rest.is_empty()) && text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err(Complaint::new(format!("{} is not the URL of an endpoint", quoted(text)))
        .hint("its form is https://HOST or https://HOST:PORT; leave it out for AWS's own"))
}

fn plain(value: &Value) -> Result<String, Complaint> {
    let text = text(value)?;
    if !text.is_empty() && text.len() <= 2048 && text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("{} cannot be a name in AWS", quoted(text)))
        .hint("write it as AWS shows it, without blanks"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_a_prefix_without_surprises() {
        let read = |text: &str| place(&Value::new(None, text)).ok();
        let owned = |bucket: &str, prefix: &str| Some((bucket.to_owned(), prefix.to_owned()));
        assert_eq!(read("s3://my-recordings"), owned("my-recordings", ""));
        assert_eq!(read("s3://my-recordings/a/b/"), owned("my-recordings", "a/b"));
        for bad in [
            "",
            "recordings",
            "s3://",
            "s3://AB",
            "s3://my recordings",
            "s3://bucket/a/../b",
            "s3://bucket//a",
            "gs://bucket",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
