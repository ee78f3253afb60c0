//! The login to use where nobody named one.

use std::collections::BTreeSet;

use crate::domain::{Login, Target};

/// The tag that names an instance's default login.
pub const LOGIN_TAG: &str = "drawbridge:login";

/// The OS user that the target's image is made for, or nothing where it cannot be told.
///
/// The tag [`LOGIN_TAG`] wins; one that cannot be a login gives nothing rather than a guess.
/// Otherwise the image's name decides, and failing that the platform (EC2 User Guide, "Manage
/// system users").
#[must_use]
pub fn default_login(target: &Target) -> Option<Login> {
    if let Some(tagged) = target.tags.get(LOGIN_TAG) {
        return Login::parse(tagged.trim()).ok();
    }
    if target.platform.starts_with("Windows") {
        return None;
    }
    let by_image = target.image_name.as_deref().and_then(login_of_image);
    by_image.or_else(|| login_of_platform(&target.platform)).and_then(|login| Login::parse(login).ok())
}

/// Every login that [`default_login`] may answer for an instance without the tag.
#[must_use]
pub fn default_logins() -> BTreeSet<Login> {
    FAMILIES.iter().filter_map(|(_, login)| Login::parse((*login)?).ok()).collect()
}

/// Image names hold the family and much else: the first match wins, so derived images
/// (`bitnami-wordpress-…-debian-12`) stand before what they are derived from.
const FAMILIES: &[(&str, Option<&str>)] = &[
    ("windows", None),
    ("bottlerocket", None), // no sshd on the host
    ("bitnami", Some("bitnami")),
    ("amzn", Some("ec2-user")), // Amazon Linux 2, ECS-optimised and macOS images
    ("al2023", Some("ec2-user")),
    ("amazon-eks-node", Some("ec2-user")),
    ("amazon linux", Some("ec2-user")),
    ("ubuntu", Some("ubuntu")),
    ("debian", Some("admin")),
    ("rhel", Some("ec2-user")),
    ("centos stream", Some("ec2-user")),
    ("centos-stream", Some("ec2-user")),
    ("centos", Some("centos")),
    ("rocky", Some("rocky")),
    ("almalinux", Some("ec2-user")),
    ("fedora", Some("fedora")),
    ("suse", Some("ec2-user")),
    ("sles", Some("ec2-user")),
    ("oraclelinux", Some("ec2-user")),
    ("ol7", Some("ec2-user")),
    ("ol8", Some("ec2-user")),
    ("ol9", Some("ec2-user")),
    ("freebsd", Some("ec2-user")),
    ("arch-linux", Some("arch")),
    ("archlinux", Some("arch")),
    ("alpine", Some("alpine")),
];

fn login_of_image(image_name: &str) -> Option<&'static str> {
    let name = image_name.to_ascii_lowercase();
    FAMILIES.iter().find(|(mark, _)| name.contains(mark)).and_then(|(_, login)| *login)
}

fn login_of_platform(platform: &str) -> Option<&'static str> {
    match platform {
        "Ubuntu Pro" => Some("ubuntu"),
        text if text.starts_with("Red Hat") || text.starts_with("SUSE") => Some("ec2-user"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::testing::target;

    fn login(image_name: &str) -> Option<String> {
        let target = Target { image_name: Some(image_name.to_owned()), ..target("web-1", 1) };
        default_login(&target).map(|login| login.as_str().to_owned())
    }

    #[test]
    fn image_families_have_their_logins() {
        for (image, wanted) in [
            ("al2023-ami-2023.6.20250101.0-kernel-6.1-x86_64", "ec2-user"),
            ("amzn2-ami-hvm-2.0.20240101.0-x86_64-gp2", "ec2-user"),
            ("amazon-eks-node-al2023-x86_64-standard-1.31", "ec2-user"),
            ("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20250101", "ubuntu"),
            ("debian-12-amd64-20250101-1234", "admin"),
            ("RHEL-9.4.0_HVM-20240605-x86_64-82-Hourly2-GP3", "ec2-user"),
            ("CentOS Stream 9 x86_64 20240101", "ec2-user"),
            ("CentOS-7-2111-20220825_1.x86_64", "centos"),
            ("Rocky-9-EC2-Base-9.3-20231113.0.x86_64", "rocky"),
            ("Fedora-Cloud-Base-40-1.14.x86_64-hvm", "fedora"),
            ("suse-sles-15-sp5-v20240129-hvm-ssd-x86_64", "ec2-user"),
            ("bitnami-wordpress-6.4.2-r05-linux-debian-12-x86_64-hvm-ebs", "bitnami"),
        ] {
            assert_eq!(login(image).as_deref(), Some(wanted), "{image}");
        }
        assert_eq!(login("Windows_Server-2022-English-Full-Base"), None);
        assert_eq!(login("golden-image-17"), None);
    }

    #[test]
    fn a_tag_wins_and_a_bad_one_is_no_guess() {
        let mut tagged = Target { image_name: Some("ubuntu-24.04".to_owned()), ..target("web-1", 1) };
        tagged.tags.insert(LOGIN_TAG.to_owned(), "deploy".to_owned());
        assert_eq!(default_login(&tagged).map(|login| login.to_string()).as_deref(), Some("deploy"));
        tagged.tags.insert(LOGIN_TAG.to_owned(), "not a login".to_owned());
        assert_eq!(default_login(&tagged), None);
    }

    #[test]
    fn the_platform_helps_where_the_image_is_unknown() {
        let unknown = Target { image_name: None, ..target("db-1", 2) };
        assert_eq!(default_login(&unknown), None);
        let rhel = Target { platform: "Red Hat Enterprise Linux".to_owned(), ..unknown.clone() };
        assert_eq!(default_login(&rhel).map(|login| login.to_string()).as_deref(), Some("ec2-user"));
        let windows =
            Target { platform: "Windows".to_owned(), image_name: Some("ubuntu".to_owned()), ..unknown };
        assert_eq!(default_login(&windows), None);
    }
}
