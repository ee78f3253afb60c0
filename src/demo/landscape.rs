//! Where the demo plays: one VPC on loopback, with a public subnet for the bastion and a private one for
//! the rest.
//!
//! Everything in it lets the bastion's SSH through, but for the one group that `locked-1` is in. The
//! kernel knows nothing of it: these are words that the look-alike says.

use super::aws::network::{
    AclEntry, GroupRule, Network, NetworkAcl, PrefixList, Route, RouteTable, RulePeer, SecurityGroup, Subnet,
    Vpc,
};
use super::cast::{ACCOUNT, REGION};

pub(super) const ZONE: &str = "eu-west-1a";
pub(super) const VPC: &str = "vpc-0de3000000000001e";
pub(super) const PUBLIC_SUBNET: &str = "subnet-0de3000000000001e";
pub(super) const PRIVATE_SUBNET: &str = "subnet-0de3000000000001f";

/// The bastion's group: people come in, and everything goes out.
pub(super) const BASTION_GROUP: &str = "sg-0de300000000000ba";
/// Lets SSH in from the bastion.
pub(super) const SSH_GROUP: &str = "sg-0de300000000000aa";
/// Lets HTTPS in, and no SSH.
pub(super) const WEB_GROUP: &str = "sg-0de300000000000e1";

/// Where SSH is, for instances that publish no port of their own.
const SSH: (u16, u16) = (22, 22);
/// The instances of the demo listen where the system lets them, and not on 22, which is for the privileged.
const UNPRIVILEGED: (u16, u16) = (1024, u16::MAX);

pub(super) fn network() -> Network {
    Network {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        vpcs: vec![Vpc { id: VPC.to_owned(), ranges: vec![VPC_RANGE.to_owned()] }],
        subnets: vec![subnet(PUBLIC_SUBNET, "127.0.0.0/24"), subnet(PRIVATE_SUBNET, "127.0.1.0/24")],
        groups: groups(),
        acls: acls(),
        route_tables: route_tables(),
        prefix_lists: vec![PrefixList {
            id: S3_LIST.to_owned(),
            entries: ["3.5.64.0/21", "52.218.0.0/17"].map(str::to_owned).to_vec(),
        }],
        peerings: Vec::new(),
        attachments: Vec::new(),
    }
}

const VPC_RANGE: &str = "127.0.0.0/16";
const EVERYWHERE: &str = "0.0.0.0/0";
/// AWS's own list of the addresses of S3, to which a gateway endpoint leads.
const S3_LIST: &str = "pl-0de30000000000053";

fn subnet(id: &str, range: &str) -> Subnet {
    Subnet {
        id: id.to_owned(),
        vpc: VPC.to_owned(),
        availability_zone: ZONE.to_owned(),
        range: range.to_owned(),
    }
}

fn groups() -> Vec<SecurityGroup> {
    let group = |id: &str, name: &str, rules| SecurityGroup {
        id: id.to_owned(),
        name: name.to_owned(),
        vpc: VPC.to_owned(),
        rules,
    };
    let everyone = || RulePeer::Range(EVERYWHERE.to_owned());
    let bastion = || RulePeer::Group(BASTION_GROUP.to_owned());
    vec![
        group(
            BASTION_GROUP,
            "bastion",
            vec![
                GroupRule::tcp_in("sgr-0de300000000000b1", (2222, 2222), everyone()),
                GroupRule::all_out("sgr-0de300000000000b2"),
            ],
        ),
        group(
            SSH_GROUP,
            "ssh-from-bastion",
            vec![
                GroupRule::tcp_in("sgr-0de300000000000a1", SSH, bastion()),
                GroupRule::tcp_in("sgr-0de300000000000a2", UNPRIVILEGED, bastion()),
                GroupRule::all_out("sgr-0de300000000000a3"),
            ],
        ),
        group(
            WEB_GROUP,
            "web-only",
            vec![
                GroupRule::tcp_in("sgr-0de300000000000e1", (443, 443), everyone()),
                GroupRule::all_out("sgr-0de300000000000e2"),
            ],
        ),
    ]
}

/// The VPC's default one at the public subnet, and one of its own at the private one, which needs an entry
/// for each way: ACLs are stateless.
fn acls() -> Vec<NetworkAcl> {
    let acl = |id: &str, is_default, subnet: &str, entries| NetworkAcl {
        id: id.to_owned(),
        vpc: VPC.to_owned(),
        is_default,
        subnets: vec![subnet.to_owned()],
        entries,
    };
    vec![
        acl(
            "acl-0de3000000000001e",
            true,
            PUBLIC_SUBNET,
            vec![AclEntry::all(100, false), AclEntry::all(100, true)],
        ),
        acl(
            "acl-0de3000000000001f",
            false,
            PRIVATE_SUBNET,
            vec![
                AclEntry::tcp(90, false, SSH, VPC_RANGE),
                AclEntry::tcp(100, false, UNPRIVILEGED, VPC_RANGE),
                AclEntry::tcp(110, false, (443, 443), EVERYWHERE),
                AclEntry::tcp(100, true, UNPRIVILEGED, VPC_RANGE),
                AclEntry::tcp(110, true, (443, 443), EVERYWHERE),
            ],
        ),
    ]
}

fn route_tables() -> Vec<RouteTable> {
    let table = |id: &str, is_main, subnets, routes| RouteTable {
        id: id.to_owned(),
        vpc: VPC.to_owned(),
        is_main,
        subnets,
        routes,
    };
    let local = || Route::active(VPC_RANGE, "local");
    vec![
        // Of the public subnet, which has none of its own.
        table(
            "rtb-0de3000000000001e",
            true,
            Vec::new(),
            vec![local(), Route::active(EVERYWHERE, "igw-0de3000000000001e")],
        ),
        table(
            "rtb-0de3000000000001f",
            false,
            vec![PRIVATE_SUBNET.to_owned()],
            vec![
                local(),
                Route::active(S3_LIST, "vpce-0de3000000000001f"),
                Route::active(EVERYWHERE, "nat-0de3000000000001f"),
            ],
        ),
    ]
}
