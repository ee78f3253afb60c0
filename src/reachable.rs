//! What the bastion never connects to for anybody, whatever a policy says (decision 0007).
//!
//! What always holds: an address is judged in its plainest form, so that `::ffff:127.0.0.1` is `127.0.0.1`, and an
//! IPv4 address that hides in an IPv6 one (NAT64, 6to4, Teredo) is judged too. Pure but for [`is_own`], which asks
//! the kernel.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Why an address is never connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// 127.0.0.0/8, `::1`: the bastion itself.
    #[error("it is a loopback address")]
    Loopback,
    /// 0.0.0.0/8, `::`: Linux takes it for the bastion itself.
    #[error("it is an unspecified address")]
    Unspecified,
    /// 169.254.0.0/16, `fe80::/10`: the instance metadata service above all.
    #[error("it is a link-local address")]
    LinkLocal,
    /// `fd00:ec2::/32`: the metadata service and its neighbours by IPv6.
    #[error("it is an address of AWS's own services on each instance")]
    AwsService,
    /// 224.0.0.0/4, `ff00::/8`.
    #[error("it is a multicast address")]
    Multicast,
    /// 240.0.0.0/4, the broadcast address in it.
    #[error("it is a reserved or broadcast address")]
    Reserved,
    /// An address of the machine that drawbridge runs on.
    #[error("it is an address of the bastion's own machine")]
    Own,
    /// Neither an instance's nor private (RFC 1918, RFC 6598, RFC 4193).
    #[error("it is no private address")]
    Public,
}

/// Whether the bastion may ever connect there, and to which address exactly: the plainest form of the one that was
/// given. An instance's address need not be private, for a VPC may use any range.
///
/// The machine's own addresses are not known here: see [`is_own`].
///
/// # Errors
/// Why not.
pub fn judge(address: IpAddr, is_an_instance: bool) -> Result<IpAddr, Unreachable> {
    let address = address.to_canonical();
    never(address)?;
    if let IpAddr::V6(outer) = address {
        for hidden in hidden_in(outer).into_iter().flatten() {
            never(IpAddr::V4(hidden))?;
        }
    }
    if is_an_instance || is_private(address) { Ok(address) } else { Err(Unreachable::Public) }
}

/// Whether an address is one of this machine's, by the kernel's own routing: a socket towards it would come from it.
/// Nothing is sent.
///
/// # Errors
/// When the kernel knows no way there, or has no socket left.
pub fn is_own(address: IpAddr) -> io::Result<bool> {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    // The port is the discard service's; it plays no part in routing.
    socket.connect(SocketAddr::new(address, 9))?;
    Ok(socket.local_addr()?.ip().to_canonical() == address.to_canonical())
}

fn never(address: IpAddr) -> Result<(), Unreachable> {
    match address {
        IpAddr::V4(address) => never_v4(address),
        IpAddr::V6(address) => never_v6(address),
    }
}

fn never_v4(address: Ipv4Addr) -> Result<(), Unreachable> {
    let [first, ..] = address.octets();
    if first == 0 {
        Err(Unreachable::Unspecified)
    } else if address.is_loopback() {
        Err(Unreachable::Loopback)
    } else if address.is_link_local() {
        Err(Unreachable::LinkLocal)
    } else if address.is_multicast() {
        Err(Unreachable::Multicast)
    } else if first >= 240 {
        Err(Unreachable::Reserved)
    } else {
        Ok(())
    }
}

fn never_v6(address: Ipv6Addr) -> Result<(), Unreachable> {
    let [first, second, ..] = address.segments();
    if address.is_loopback() {
        Err(Unreachable::Loopback)
    } else if address.is_unspecified() {
        Err(Unreachable::Unspecified)
    } else if first & 0xffc0 == 0xfe80 {
        Err(Unreachable::LinkLocal)
    } else if (first, second) == (0xfd00, 0x0ec2) {
        Err(Unreachable::AwsService)
    } else if address.is_multicast() {
        Err(Unreachable::Multicast)
    } else {
        Ok(())
    }
}

/// The IPv4 addresses that an IPv6 address may lead to: IPv4-compatible (RFC 4291 §2.5.5.1), IPv4-translated
/// (RFC 2765), NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380), ISATAP (RFC 5214).
/// Mapped ones are plain IPv4 by then.
fn hidden_in(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let segments = address.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x0064, 0xff9b, 1, _, _, _, high, low]
        | [_, _, _, _, 0x0000 | 0x0200, 0x5efe, high, low] => [Some(of(high, low)), None],
        [0x2002, high, low, ..] => [Some(of(high, low)), None],
        // The server as it is, the client with every bit turned over.
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            [Some(of(high, low)), Some(of(!client_high, !client_low))]
        }
        _ => [None, None],
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text} is an address"))
    }

    #[test]
    fn what_is_never_reachable_is_so_in_every_form_and_for_instances_too() {
        let table = [
            (Unreachable::Loopback, "127.0.0.1"),
            (Unreachable::Loopback, "127.255.255.254"),
            (Unreachable::Loopback, "::1"),
            (Unreachable::Loopback, "::ffff:127.0.0.1"),
            (Unreachable::Loopback, "::127.0.0.1"),
            (Unreachable::Loopback, "::ffff:0:127.0.0.1"),
            (Unreachable::Loopback, "64:ff9b::127.0.0.1"),
            (Unreachable::Loopback, "64:ff9b:1::7f00:1"),
            (Unreachable::Loopback, "64:ff9b:1:2:3:4:127.0.0.1"),
            (Unreachable::Loopback, "2002:7f00:1::"),
            (Unreachable::Loopback, "2002:7f00:1:5::9"),
            (Unreachable::Loopback, "2001:0:7f00:1::"),
            (Unreachable::Loopback, "2001:0:c000:201:0:0:80ff:fffe"),
            (Unreachable::Loopback, "fd00::5efe:127.0.0.1"),
            (Unreachable::Loopback, "fd00::200:5efe:127.0.0.1"),
            (Unreachable::Unspecified, "0.0.0.0"),
            (Unreachable::Unspecified, "0.1.2.3"),
            (Unreachable::Unspecified, "::"),
            (Unreachable::Unspecified, "::ffff:0.0.0.0"),
            (Unreachable::Unspecified, "::2"),
            (Unreachable::LinkLocal, "169.254.169.254"),
            (Unreachable::LinkLocal, "169.254.170.2"),
            (Unreachable::LinkLocal, "169.254.0.1"),
            (Unreachable::LinkLocal, "::ffff:169.254.169.254"),
            (Unreachable::LinkLocal, "::169.254.169.254"),
            (Unreachable::LinkLocal, "64:ff9b::a9fe:a9fe"),
            (Unreachable::LinkLocal, "2002:a9fe:a9fe::1"),
            (Unreachable::LinkLocal, "fe80::1"),
            (Unreachable::LinkLocal, "febf:ffff::1"),
            (Unreachable::AwsService, "fd00:ec2::254"),
            (Unreachable::AwsService, "fd00:ec2::253"),
            (Unreachable::AwsService, "fd00:ec2:1::1"),
            (Unreachable::Multicast, "224.0.0.1"),
            (Unreachable::Multicast, "239.255.255.255"),
            (Unreachable::Multicast, "::ffff:224.0.0.1"),
            (Unreachable::Multicast, "ff02::1"),
            (Unreachable::Reserved, "240.0.0.1"),
            (Unreachable::Reserved, "255.255.255.255"),
            (Unreachable::Reserved, "64:ff9b::255.255.255.255"),
        ];
        for (why, address) in table {
            assert_eq!(judge(ip(address), false), Err(why), "{address}");
            assert_eq!(judge(ip(address), true), Err(why), "{address} as an instance's");
        }
    }

    #[test]
    fn private_addresses_are_reachable_in_their_plainest_form() {
        let table = [
            ("10.0.3.7", "10.0.3.7"),
            ("172.16.0.1", "172.16.0.1"),
            ("172.31.255.255", "172.31.255.255"),
            ("192.168.1.1", "192.168.1.1"),
            ("100.64.0.1", "100.64.0.1"),
            ("100.127.255.254", "100.127.255.254"),
            ("::ffff:10.0.3.7", "10.0.3.7"),
            ("fd12:3456::1", "fd12:3456::1"),
            ("fd00:ec3::1", "fd00:ec3::1"),
            ("fc00::1", "fc00::1"),
        ];
        for (address, dialled) in table {
            assert_eq!(judge(ip(address), false), Ok(ip(dialled)), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_reachable_where_an_instance_has_them_in_its_vpc() {
        for address in [
            "8.8.8.8",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.0",
            "192.0.2.1",
            "2001:db8::1",
            "2600:1f18::1",
            "fec0::1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::1",
        ] {
            assert_eq!(judge(ip(address), false), Err(Unreachable::Public), "{address}");
            assert_eq!(judge(ip(address), true), Ok(ip(address)), "{address}");
        }
    }

    #[test]
    fn the_machine_s_own_addresses_are_found_without_a_list_of_them() {
        assert!(is_own(ip("127.0.0.1")).expect("every machine has it"));
        assert!(is_own(ip("::ffff:127.0.0.1")).expect("every machine has it"));
        // Where there is no way to it at all, nothing can be dialled either.
        assert!(!is_own(ip("192.0.2.123")).unwrap_or(false));
    }
}
