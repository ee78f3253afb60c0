//! A diagnosis in JSON, for scripts.

use serde::Serialize;

use super::super::text::shown_json;
use super::Examined;
use crate::diagnose::{Check, Verdict};
use crate::domain::{FailureClass, Login};

/// The answer in JSON: its fields stay.
#[derive(Serialize)]
struct Told<'a> {
    target: ToldTarget<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<&'a Login>,
    /// What came of the bastion's own try; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    tried: Option<ToldTry>,
    checks: Vec<ToldCheck<'a>>,
    sound: usize,
    broken: usize,
    unknown: usize,
    /// The subject of the most likely cause.
    cause: Option<&'static str>,
    /// Whether packets would arrive.
    arrives: Verdict,
}

#[derive(Serialize)]
struct ToldTarget<'a> {
    id: &'a str,
    name: Option<&'a str>,
    account: &'a str,
    region: &'a str,
    address: std::net::IpAddr,
    port: u16,
}

#[derive(Serialize)]
struct ToldTry {
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<FailureClass>,
}

#[derive(Serialize)]
struct ToldCheck<'a> {
    subject: &'static str,
    verdict: Verdict,
    finding: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'a str>,
}

/// A diagnosis in JSON.
pub(super) fn json(examined: &Examined) -> String {
    let Examined { target, login, tried, diagnosis, .. } = examined;
    let of = |verdict| diagnosis.checks.iter().filter(|check| check.verdict == verdict).count();
    let told = Told {
        target: ToldTarget {
            id: target.id.as_str(),
            name: target.name.as_deref(),
            account: &target.account,
            region: &target.region,
            address: target.private_ip,
            port: target.port,
        },
        login: login.as_ref(),
        tried: tried.as_ref().map(|tried| ToldTry {
            verdict: if tried.is_ok() { Verdict::Sound } else { Verdict::Broken },
            class: examined.class(),
        }),
        checks: diagnosis.checks.iter().map(told_check).collect(),
        sound: of(Verdict::Sound),
        broken: of(Verdict::Broken),
        unknown: of(Verdict::Unknown),
        cause: diagnosis.cause().map(|check| check.subject.label()),
        arrives: diagnosis.arrives(),
    };
    shown_json(&serde_json::to_string_pretty(&told).unwrap_or_default()) + "\n"
}

fn told_check(check: &Check) -> ToldCheck<'_> {
    ToldCheck {
        subject: check.subject.label(),
        verdict: check.verdict,
        finding: &check.finding,
        change: check.change.as_deref(),
    }
}
