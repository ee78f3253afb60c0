//! The STS Query API: `AssumeRole` and `GetCallerIdentity`.
//!
//! The access key id that `AssumeRole` gives out names the role's account, so that later
//! requests made with it see that account's instances.

use jiff::{SignedDuration, Timestamp};

use super::ec2::unknown_action;
use super::http::{Caller, TEMPORARY_KEY_PREFIX};
use super::select::{Query, QueryError};
use super::xml::Xml;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Answers one request with an XML document.
pub(super) fn answer(
    query: &Query,
    caller: &Caller,
    now: Timestamp,
    request_id: &str,
) -> Result<String, QueryError> {
    match query.action() {
        "AssumeRole" => assume_role(query, now, request_id),
        "GetCallerIdentity" => Ok(caller_identity(caller, request_id)),
        other => Err(unknown_action(other)),
    }
}

/// An error as STS writes it.
pub(super) fn error_document(error: &QueryError, request_id: &str) -> String {
    let mut xml = Xml::new();
    xml.root("ErrorResponse", Some(NAMESPACE), |xml| {
        xml.element("Error", |xml| {
            xml.text("Type", if error.status < 500 { "Sender" } else { "Receiver" });
            xml.text("Code", &error.code);
            xml.text("Message", &error.message);
        });
        xml.text("RequestId", request_id);
    });
    xml.finish()
}

fn assume_role(query: &Query, now: Timestamp, request_id: &str) -> Result<String, QueryError> {
    let invalid = |message: &str| QueryError::new("ValidationError", message);
    let arn = query.get("RoleArn").unwrap_or_default();
    let (account, role) = parse_role(arn).ok_or_else(|| invalid(&format!("{arn} is invalid")))?;
    let session = query.get("RoleSessionName").unwrap_or_default();
    if !is_session_name(session) {
        return Err(invalid("RoleSessionName must be 2 to 64 of letters, digits and _+=,.@-"));
    }
    let seconds = query.get("DurationSeconds").map_or(Ok(3600), str::parse::<i64>);
    let Some(seconds) = seconds.ok().filter(|seconds| (900..=43_200).contains(seconds)) else {
        return Err(invalid("DurationSeconds must be from 900 to 43200"));
    };
    let expiration = now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
    Ok(document("AssumeRole", request_id, |xml| {
        xml.element("Credentials", |xml| {
            xml.text("AccessKeyId", &format!("{TEMPORARY_KEY_PREFIX}{account}DEMO"));
            xml.text("SecretAccessKey", "a-look-alike-checks-no-signatures");
            xml.text("SessionToken", "a-look-alike-checks-no-tokens");
            xml.text("Expiration", &expiration.to_string());
        });
        xml.element("AssumedRoleUser", |xml| {
            xml.text("AssumedRoleId", &format!("AROADEMODEMODEMODEMO:{session}"));
            xml.text("Arn", &format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"));
        });
    }))
}

fn caller_identity(caller: &Caller, request_id: &str) -> String {
    document("GetCallerIdentity", request_id, |xml| {
        xml.text("Arn", &caller.arn());
        xml.text("UserId", "AROADEMODEMODEMODEMO:demo");
        xml.text("Account", &caller.account);
    })
}

/// The account and the name in `arn:aws:iam::ACCOUNT:role/NAME`.
fn parse_role(arn: &str) -> Option<(&str, &str)> {
    let (partition, rest) = arn.strip_prefix("arn:")?.split_once(":iam::")?;
    let (account, role) = rest.split_once(":role/")?;
    let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !partition.is_empty() && !role.is_empty()).then_some((account, role))
}

fn is_session_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=' | ',' | '.' | '@' | '-');
    (2..=64).contains(&name.len()) && name.chars().all(fits)
}

fn document(action: &str, request_id: &str, result: impl FnOnce(&mut Xml)) -> String {
    let mut xml = Xml::new();
    xml.root(&format!("{action}Response"), Some(NAMESPACE), |xml| {
        xml.element(&format!("{action}Result"), result);
        xml.element("ResponseMetadata", |xml| xml.text("RequestId", request_id));
    });
    xml.finish()
}
