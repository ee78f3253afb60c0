//! What keeps a pushed key from being taken.

use super::{Row, image, rejected, row, target};
use crate::diagnose::Subject;
use crate::diagnose::testing::{denied, edit, one_vpc};
use crate::domain::FailureClass as Class;

pub(super) const LOGINS: &[Row] = &[
    rejected(
        "the metadata service is off",
        |facts| edit(&mut facts.instance).metadata_enabled = false,
        "ec2-user",
        Some(Subject::Metadata),
        "modify-instance-metadata-options --instance-id i-0000000000000000a --http-endpoint enabled",
    ),
    rejected(
        "Debian has no agent",
        |facts| image(facts, "debian-12-arm64-20251112-2294"),
        "admin",
        Some(Subject::Agent),
        "comes without the agent of EC2 Instance Connect",
    ),
    rejected(
        "the minimal image has no agent",
        |facts| image(facts, "al2023-ami-minimal-2023.9.20251117.1-kernel-6.12-x86_64"),
        "ec2-user",
        Some(Subject::Agent),
        "Install the package ec2-instance-connect",
    ),
    rejected(
        "Bottlerocket has no SSH server",
        |facts| image(facts, "bottlerocket-aws-k8s-1.31-x86_64-v1.26.0-12345678"),
        "ec2-user",
        Some(Subject::Agent),
        "admin container",
    ),
    rejected("ubuntu on Amazon Linux", |_| {}, "ubuntu", Some(Subject::Login), "Connect as ec2-user."),
    rejected(
        "ec2-user on Ubuntu, which the inventory knows",
        |facts| {
            facts.image = denied("ec2:DescribeImages");
            let name = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20251022";
            target(facts, |target| target.image_name = Some(name.to_owned()));
        },
        "ec2-user",
        Some(Subject::Login),
        "Connect as ubuntu.",
    ),
    rejected(
        "nothing is wrong that AWS sees",
        |_| {},
        "ec2-user",
        Some(Subject::Answer),
        "see that `sshd -T` names the agent as AuthorizedKeysCommand",
    ),
    rejected(
        "a login that somebody may have added: no cause",
        |_| {},
        "deploy",
        None,
        "has no login deploy from the start; somebody may have added it",
    ),
    rejected(
        "an image of somebody's own: no cause",
        |facts| image(facts, "golden-image-17"),
        "ec2-user",
        None,
        "whether the image \"golden-image-17\" has the agent of Instance Connect is not known",
    ),
    rejected(
        "Windows takes no pushed key",
        |facts| edit(&mut facts.image).platform = "windows".to_owned(),
        "Administrator",
        Some(Subject::Platform),
        "does not work",
    ),
    row(
        "a login that times out, with the metadata service off",
        one_vpc,
        |facts| edit(&mut facts.instance).metadata_enabled = false,
        Some(Class::LoginTimeout),
        Some(Subject::Metadata),
        "metadata service",
    ),
    row(
        "nobody tried, and the image has no agent",
        one_vpc,
        |facts| image(facts, "Rocky-9-EC2-Base-9.3-20231113.0.x86_64"),
        None,
        Some(Subject::Agent),
        "Rocky Linux",
    ),
];
