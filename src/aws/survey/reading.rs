//! Foreign values → plain ones, and failures → gaps.

use std::error::Error;
use std::net::IpAddr;

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::primitives::DateTime;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use ipnet::IpNet;
use jiff::Timestamp;
use tracing::info;

use crate::aws::fault::{Fault, FaultKind};
use crate::diagnose::{Gap, GapReason, PortRange, Protocol};

/// The longest text of AWS's that is kept, in characters.
const TEXT_MAX: usize = 256;
/// The most pages that are read of one answer: more is no answer.
pub(super) const PAGES_MAX: usize = 20;
/// What is said where a role cannot be taken on, or there is none.
pub(super) const NO_CREDENTIALS: &str = "no credentials for this account";

/// A call that failed, as the gap that it leaves. The operator's log has the rest.
pub(super) fn gap_of<E>(permission: &'static str, error: &SdkError<E, HttpResponse>) -> Gap
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let fault = Fault::of(error);
    let reason = reason_of(&fault);
    if reason != GapReason::NotVisible {
        info!(permission, kind = ?fault.kind, "a question of the diagnosis failed: {}", fault.text);
    }
    Gap::new(permission, reason)
}

fn reason_of(fault: &Fault) -> GapReason {
    let failed = |text: &str| GapReason::Failed(text.to_owned());
    match fault.kind {
        FaultKind::Denied => GapReason::Denied,
        FaultKind::Throttled => GapReason::Throttled,
        FaultKind::Timeout => GapReason::Timeout,
        FaultKind::NoCredentials => failed(NO_CREDENTIALS),
        FaultKind::ServiceFailing => failed("AWS reports a fault of its own"),
        FaultKind::Unreachable => failed("AWS cannot be reached"),
        FaultKind::BadAnswer => failed("the answer could not be understood"),
        FaultKind::Refused => {
            let code = fault.code.as_deref().unwrap_or("no code");
            if is_no_such_thing(code) {
                return GapReason::NotVisible;
            }
            GapReason::Failed(format!("refused: {}", text(Some(code))))
        }
    }
}

/// `InvalidVpcID.NotFound`, `InvalidInstanceID.Malformed`, … (EC2 API reference, "Error codes").
fn is_no_such_thing(code: &str) -> bool {
    code.starts_with("Invalid")
        && [".NotFound", ".Malformed", ".Unavailable"].iter().any(|end| code.ends_with(end))
}

/// A gap for an answer that says something strange.
pub(super) fn strange(permission: &'static str, what: &str) -> Gap {
    info!(permission, "an answer for the diagnosis is strange: {what}");
    Gap::new(permission, GapReason::Failed(what.to_owned()))
}

/// A gap for what is not in an answer.
pub(super) fn not_visible(permission: &'static str) -> Gap {
    Gap::new(permission, GapReason::NotVisible)
}

/// Bounded, without control characters; empty where nothing is said.
pub(super) fn text(foreign: Option<&str>) -> String {
    let foreign = foreign.unwrap_or_default();
    foreign.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_MAX).collect()
}

/// A moment, to the second.
pub(super) fn moment(at: Option<&DateTime>) -> Option<Timestamp> {
    Timestamp::from_second(at?.secs()).ok()
}

/// A range of addresses; bits behind the prefix do not count.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().map(|network| network.trunc())
}

/// An address, as it is dialled.
pub(super) fn address(text: Option<&str>) -> Option<IpAddr> {
    text?.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// A protocol by name or number (EC2 API reference, IpPermission: `-1` means all).
pub(super) fn protocol(text: &str) -> Option<Protocol> {
    const TCP: u8 = 6;
    match text {
        "-1" => Some(Protocol::All),
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Other(17)),
        "icmp" => Some(Protocol::Other(1)),
        "icmpv6" => Some(Protocol::Other(58)),
        number => number
            .parse()
            .ok()
            .map(|number| if number == TCP { Protocol::Tcp } else { Protocol::Other(number) }),
    }
}

/// The ports of a rule. Only TCP's count here; those of ICMP are types and codes.
pub(super) fn ports(protocol: Protocol, from: Option<i32>, to: Option<i32>) -> Option<PortRange> {
    match protocol {
        Protocol::All | Protocol::Other(_) => Some(PortRange::ALL),
        Protocol::Tcp => match (from, to) {
            (None | Some(-1), None | Some(-1)) => Some(PortRange::ALL),
            (from, to) => {
                let range = PortRange { from: u16::try_from(from?).ok()?, to: u16::try_from(to?).ok()? };
                (range.from <= range.to).then_some(range)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_bounded_and_steers_no_terminal() {
        assert_eq!(text(Some("a\u{1b}[2J\r\nb")), "a [2J  b");
        assert_eq!(text(Some(&"ä".repeat(10_000))).chars().count(), TEXT_MAX);
        assert_eq!(text(None), "");
    }

    #[test]
    fn protocols_and_ports_are_read_or_are_strange() {
        assert_eq!(protocol("6"), Some(Protocol::Tcp));
        assert_eq!(protocol("tcp"), Some(Protocol::Tcp));
        assert_eq!(protocol("-1"), Some(Protocol::All));
        assert_eq!(protocol("50"), Some(Protocol::Other(50)));
        for strange in ["", "256", "-2", "TCP ", "六"] {
            assert_eq!(protocol(strange), None, "{strange}");
        }
        let tcp = |from, to| ports(Protocol::Tcp, from, to);
        assert_eq!(tcp(Some(22), Some(22)), Some(PortRange { from: 22, to: 22 }));
        assert_eq!(tcp(Some(0), Some(65_535)), Some(PortRange::ALL));
        assert_eq!(tcp(None, None), Some(PortRange::ALL));
        assert_eq!(tcp(Some(-1), Some(-1)), Some(PortRange::ALL));
        for (from, to) in
            [(Some(23), Some(22)), (Some(22), None), (Some(-1), Some(22)), (Some(22), Some(65_536))]
        {
            assert_eq!(tcp(from, to), None, "{from:?} to {to:?}");
        }
        assert_eq!(ports(Protocol::Other(1), Some(8), Some(-1)), Some(PortRange::ALL));
    }

    #[test]
    fn networks_lose_their_host_bits_and_mapped_addresses_their_prefix() {
        assert_eq!(network("10.1.2.3/8").map(|network| network.to_string()).as_deref(), Some("10.0.0.0/8"));
        assert_eq!(network("fd00::1/64").map(|network| network.to_string()).as_deref(), Some("fd00::/64"));
        assert_eq!(network("10.0.0.0/33"), None);
        assert_eq!(network("10.0.0.0"), None);
        assert_eq!(address(Some("::ffff:10.0.0.1")), Some("10.0.0.1".parse().expect("an address")));
    }

    #[test]
    fn what_does_not_exist_is_not_visible_and_other_refusals_are_failures() {
        let refused = |code: &str| {
            reason_of(&Fault { code: Some(code.to_owned()), ..Fault::new(FaultKind::Refused, "said AWS") })
        };
        for code in ["InvalidInstanceID.NotFound", "InvalidVpcID.NotFound", "InvalidInstanceID.Malformed"] {
            assert_eq!(refused(code), GapReason::NotVisible, "{code}");
        }
        assert_eq!(
            refused("InvalidParameterValue"),
            GapReason::Failed("refused: InvalidParameterValue".to_owned())
        );
    }
}
