//! Families of images by their names: who has the agent of Instance Connect, and which logins.
//!
//! From the EC2 User Guide ("Install EC2 Instance Connect", "Manage system users"). Only names as their makers give them are
//! recognised, from their beginning; what somebody made of such an image and named otherwise is not known.

/// One family of images.
#[derive(Debug)]
pub(super) struct Family {
    /// How names begin, in lower case.
    begins: &'static str,
    /// What people call it.
    pub(super) words: &'static str,
    agent: fn(&str) -> Agent,
    /// Its logins, the usual one first.
    pub(super) logins: &'static [&'static str],
}

/// Whether an image comes with the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agent {
    /// It does.
    Included,
    /// It does not, and there is a package `ec2-instance-connect` for it.
    Installable,
    /// It does not, and has no package of it.
    Missing,
    /// It does not, and no SSH server on the host either.
    NoServer,
    /// Nobody says.
    Unsaid,
}

/// The family of an image, by its name.
pub(super) fn family_of(image_name: &str) -> Option<&'static Family> {
    let name = image_name.to_ascii_lowercase();
    FAMILIES.iter().find(|family| name.starts_with(family.begins))
}

/// Whether some family has this login of its own.
pub(super) fn is_a_familys(login: &str) -> bool {
    FAMILIES.iter().any(|family| family.logins.contains(&login))
}

impl Family {
    /// Whether the image of this name comes with the agent.
    pub(super) fn agent(&self, image_name: &str) -> Agent {
        (self.agent)(&image_name.to_ascii_lowercase())
    }
}

/// The first match counts: more particular beginnings come first.
const FAMILIES: &[Family] = &[
    family("bottlerocket-", "Bottlerocket", |_| Agent::NoServer, &[]),
    family("al2023-ami-minimal-", "Amazon Linux 2023 (minimal)", |_| Agent::Installable, &["ec2-user"]),
    family("al2023-ami-ecs-", "Amazon Linux 2023 (ECS-optimized)", |_| Agent::Installable, &["ec2-user"]),
    family("al2023-ami-2023", "Amazon Linux 2023", |_| Agent::Included, &["ec2-user"]),
    family("amzn2-ami-ecs-", "Amazon Linux 2 (ECS-optimized)", |_| Agent::Installable, &["ec2-user"]),
    family("amzn2-ami-minimal-", "Amazon Linux 2 (minimal)", |_| Agent::Unsaid, &["ec2-user"]),
    family("amzn2-ami-", "Amazon Linux 2", amazon_linux_2, &["ec2-user"]),
    family("amzn-ami-", "Amazon Linux 1", |_| Agent::Unsaid, &["ec2-user"]),
    family("amzn-ec2-macos-", "macOS", macos, &["ec2-user"]),
    family("amazon-eks-node-", "Amazon's EKS node image", |_| Agent::Unsaid, &["ec2-user"]),
    family("ubuntu/images/", "Ubuntu", ubuntu, &["ubuntu"]),
    family("ubuntu-pro-server/images/", "Ubuntu Pro", ubuntu, &["ubuntu"]),
    family("ubuntu", "Ubuntu", |_| Agent::Unsaid, &["ubuntu"]),
    family("debian-", "Debian", |_| Agent::Missing, &["admin"]),
    family("rhel-", "Red Hat Enterprise Linux", |_| Agent::Installable, &["ec2-user", "cloud-user"]),
    family("centos", "CentOS", |_| Agent::Installable, &["centos", "ec2-user", "cloud-user"]),
    family("rocky-", "Rocky Linux", |_| Agent::Missing, &["rocky"]),
    family("almalinux", "AlmaLinux", |_| Agent::Missing, &["ec2-user", "almalinux"]),
    family("suse-sles-", "SUSE Linux Enterprise Server", |_| Agent::Missing, &["ec2-user"]),
    family("opensuse-", "openSUSE", |_| Agent::Missing, &["ec2-user"]),
    family("fedora-cloud-", "Fedora", |_| Agent::Unsaid, &["fedora", "ec2-user"]),
    family("ol7", "Oracle Linux 7", |_| Agent::Unsaid, &["ec2-user"]),
    family("ol8", "Oracle Linux 8", |_| Agent::Unsaid, &["ec2-user"]),
    family("ol9", "Oracle Linux 9", |_| Agent::Unsaid, &["ec2-user"]),
    family("bitnami-", "a Bitnami image", |_| Agent::Unsaid, &["bitnami"]),
    family("freebsd", "FreeBSD", |_| Agent::Unsaid, &["ec2-user"]),
    family("arch-linux", "Arch Linux", |_| Agent::Unsaid, &["arch"]),
    family("alpine-", "Alpine Linux", |_| Agent::Unsaid, &["alpine"]),
];

const fn family(
    begins: &'static str,
    words: &'static str,
    agent: fn(&str) -> Agent,
    logins: &'static [&'static str],
) -> Family {
    Family { begins, words, agent, logins }
}

/// Since 2.0.20190618: `amzn2-ami-kernel-5.10-hvm-2.0.20240131.0-x86_64-gp2`.
fn amazon_linux_2(name: &str) -> Agent {
    let date =
        name.split('-').find_map(|part| part.strip_prefix("2.0.")?.split('.').next()?.parse::<u32>().ok());
    since(date, 20_190_618)
}

/// Since 20.04: `ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20251022`.
fn ubuntu(name: &str) -> Agent {
    let release = |part: &str| {
        let (year, month) = part.split_once('.')?;
        let two = year.len() == 2 && month.len() == 2;
        Some(year.parse::<u32>().ok()? * 100 + month.parse::<u32>().ok()?).filter(|_| two)
    };
    if name.contains("minimal") {
        return Agent::Unsaid;
    }
    since(name.split(['-', '/']).find_map(release), 2004)
}

/// Since Monterey 12.7.2, Ventura 13.6.3 and Sonoma 14.2.1: `amzn-ec2-macos-14.6.1-20240812-194315`.
fn macos(name: &str) -> Agent {
    let release = name.strip_prefix("amzn-ec2-macos-").and_then(|rest| rest.split('-').next());
    let mut numbers =
        release.into_iter().flat_map(|release| release.split('.')).map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), minor, patch) = (numbers.next(), numbers.next(), numbers.next()) else {
        return Agent::Unsaid;
    };
    let (Some(minor), Some(patch)) = (minor.unwrap_or(Some(0)), patch.unwrap_or(Some(0))) else {
        return Agent::Unsaid;
    };
    match (major, minor, patch) {
        (12, minor, patch) if (minor, patch) >= (7, 2) => Agent::Included,
        (13, minor, patch) if (minor, patch) >= (6, 3) => Agent::Included,
        (14, minor, patch) if (minor, patch) >= (2, 1) => Agent::Included,
        (major, _, _) if major >= 15 => Agent::Included,
        _ => Agent::Installable,
    }
}

fn since(release: Option<u32>, first: u32) -> Agent {
    match release {
        Some(release) if release >= first => Agent::Included,
        Some(_) => Agent::Installable,
        None => Agent::Unsaid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_as_their_makers_name_them() {
        use Agent as A;
        for (image, agent) in [
            ("al2023-ami-2023.9.20251117.1-kernel-6.12-x86_64", A::Included),
            ("al2023-ami-minimal-2023.9.20251117.1-kernel-6.12-x86_64", A::Installable),
            ("al2023-ami-ecs-hvm-2023.0.20251108-kernel-6.1-x86_64", A::Installable),
            ("amzn2-ami-hvm-2.0.20190618-x86_64-gp2", A::Included),
            ("amzn2-ami-hvm-2.0.20190612-x86_64-gp2", A::Installable),
            ("amzn2-ami-kernel-5.10-hvm-2.0.20240131.0-arm64-gp2", A::Included),
            ("amzn2-ami-ecs-hvm-2.0.20240131-x86_64-ebs", A::Installable),
            ("amzn2-ami-hvm-odd", A::Unsaid),
            ("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20251022", A::Included),
            ("ubuntu/images/hvm-ssd/ubuntu-focal-20.04-amd64-server-20230207", A::Included),
            ("ubuntu/images/hvm-ssd/ubuntu-bionic-18.04-amd64-server-20230207", A::Installable),
            ("ubuntu-minimal/images/hvm-ssd/ubuntu-jammy-22.04-amd64-minimal-20230207", A::Unsaid),
            ("ubuntu-eks/k8s_1.31/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20250101", A::Unsaid),
            ("debian-12-arm64-20251112-2294", A::Missing),
            ("RHEL-9.4.0_HVM-20240605-x86_64-82-Hourly2-GP3", A::Installable),
            ("CentOS Stream 9 x86_64 20240101", A::Installable),
            ("Rocky-9-EC2-Base-9.3-20231113.0.x86_64", A::Missing),
            ("AlmaLinux OS 9.4.20240513 x86_64", A::Missing),
            ("suse-sles-15-sp5-v20240129-hvm-ssd-x86_64", A::Missing),
            ("bottlerocket-aws-k8s-1.31-x86_64-v1.26.0-12345678", A::NoServer),
            ("amzn-ec2-macos-14.2.1-20240101-000000", A::Included),
            ("amzn-ec2-macos-14.2-20240101-000000", A::Installable),
            ("amzn-ec2-macos-15.1-20241101-000000", A::Included),
            ("amzn-ec2-macos-11.7.10-20230101-000000", A::Installable),
            ("bitnami-wordpress-6.4.2-r05-linux-debian-12-x86_64-hvm-ebs", A::Unsaid),
        ] {
            let family = family_of(image).unwrap_or_else(|| panic!("{image} is of a family"));
            assert_eq!(family.agent(image), agent, "{image}");
        }
    }

    #[test]
    fn what_somebody_made_of_an_image_is_not_known() {
        for image in ["golden-al2023-2024", "my-ubuntu", "company/debian-12", ""] {
            assert!(family_of(image).is_none(), "{image}");
        }
    }

    #[test]
    fn families_agree_with_the_default_login() {
        use crate::target::{default_login, testing::target};
        for family in FAMILIES.iter().filter(|family| family.begins != "centos") {
            let named =
                crate::domain::Target { image_name: Some(family.begins.to_owned()), ..target("web-1", 1) };
            let usual = default_login(&named).map(|login| login.to_string());
            assert!(
                usual.is_none() || usual.as_deref() == family.logins.first().copied(),
                "{} {usual:?}",
                family.begins
            );
        }
    }
}
