//! What is looked at: the lines of the checklist, and which failures each of them can explain.

use crate::domain::FailureClass;

/// One line of the checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// Whether AWS knows the instance.
    Instance,
    /// Whether it runs.
    State,
    /// AWS's health checks.
    Status,
    /// Maintenance that AWS has announced.
    Events,
    /// Whether the address that is dialled is the instance's.
    Address,
    /// The metadata service, from which the agent reads pushed keys.
    Metadata,
    /// Whether it is Windows.
    Platform,
    /// Whether the image comes with the agent of Instance Connect.
    Agent,
    /// Whether the image has the login.
    Login,
    /// The push of the key.
    Push,
    /// Whether the bastion's own place in the network is known and has an address of the right family.
    Bastion,
    /// How the two VPCs are joined.
    Join,
    /// The way from the bastion to the target.
    RouteThere,
    /// The way back.
    RouteBack,
    /// What the bastion's security groups let out.
    BastionGroup,
    /// What the target's security groups let in.
    TargetGroup,
    /// The network ACL at the bastion's subnet, both ways.
    BastionAcl,
    /// The network ACL at the target's subnet, both ways.
    TargetAcl,
    /// What the machine answered, where somebody tried.
    Answer,
    /// The host key that it showed, where that is what failed.
    HostKey,
    /// The bastion's clock against AWS's.
    Clock,
}

impl Subject {
    /// Every subject, in the order of the checklist.
    pub const ALL: [Self; 21] = [
        Self::Instance,
        Self::State,
        Self::Status,
        Self::Events,
        Self::Address,
        Self::Metadata,
        Self::Platform,
        Self::Agent,
        Self::Login,
        Self::Push,
        Self::Bastion,
        Self::Join,
        Self::RouteThere,
        Self::RouteBack,
        Self::BastionGroup,
        Self::TargetGroup,
        Self::BastionAcl,
        Self::TargetAcl,
        Self::Answer,
        Self::HostKey,
        Self::Clock,
    ];

    /// The label in audit and JSON.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::State => "state",
            Self::Status => "status-checks",
            Self::Events => "scheduled-events",
            Self::Address => "address",
            Self::Metadata => "metadata-service",
            Self::Platform => "platform",
            Self::Agent => "agent",
            Self::Login => "login",
            Self::Push => "key-push",
            Self::Bastion => "bastion",
            Self::Join => "vpcs",
            Self::RouteThere => "route-there",
            Self::RouteBack => "route-back",
            Self::BastionGroup => "bastion-security-groups",
            Self::TargetGroup => "target-security-groups",
            Self::BastionAcl => "bastion-network-acl",
            Self::TargetAcl => "target-network-acl",
            Self::Answer => "answer",
            Self::HostKey => "host-key",
            Self::Clock => "clock",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Instance => "Instance",
            Self::State => "State",
            Self::Status => "Status checks",
            Self::Events => "Scheduled events",
            Self::Address => "Address",
            Self::Metadata => "Metadata service",
            Self::Platform => "Platform",
            Self::Agent => "Instance Connect agent",
            Self::Login => "Login",
            Self::Push => "Key push",
            Self::Bastion => "Bastion's place",
            Self::Join => "VPCs",
            Self::RouteThere => "Route there",
            Self::RouteBack => "Route back",
            Self::BastionGroup => "Bastion's security groups",
            Self::TargetGroup => "Target's security groups",
            Self::BastionAcl => "Bastion's network ACL",
            Self::TargetAcl => "Target's network ACL",
            Self::Answer => "What answered",
            Self::HostKey => "Host key",
            Self::Clock => "Clock",
        }
    }

    /// Under which heading it stands in a list for people.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Instance | Self::State | Self::Status | Self::Events | Self::Address => "The machine",
            Self::Metadata | Self::Platform | Self::Agent | Self::Login | Self::Push => "The login",
            Self::Bastion
            | Self::Join
            | Self::RouteThere
            | Self::RouteBack
            | Self::BastionGroup
            | Self::TargetGroup
            | Self::BastionAcl
            | Self::TargetAcl => "The network",
            Self::Answer | Self::HostKey => "What was seen",
            Self::Clock => "Time",
        }
    }

    /// Whether it is about the network between the two machines.
    #[must_use]
    pub(super) fn is_network(self) -> bool {
        matches!(
            self,
            Self::Bastion
                | Self::Join
                | Self::RouteThere
                | Self::RouteBack
                | Self::BastionGroup
                | Self::TargetGroup
                | Self::BastionAcl
                | Self::TargetAcl
        )
    }

    /// Whether packets cannot arrive when it is broken.
    #[must_use]
    pub(super) fn carries_packets(self) -> bool {
        self.is_network() || matches!(self, Self::Instance | Self::State | Self::Address)
    }

    /// Whether it can be why a connection failed in this way. What was merely seen ([`Self::Push`],
    /// [`Self::Answer`], [`Self::HostKey`]) is not among them: see [`super::testimony`].
    #[must_use]
    pub(super) fn explains(self, class: FailureClass) -> bool {
        use Subject as S;
        let machine = matches!(self, S::Instance | S::State | S::Status | S::Events);
        match class {
            FailureClass::PushNoCredentials | FailureClass::PushFailed => self == S::Clock,
            FailureClass::PushInvalid => self == S::Platform,
            FailureClass::InstanceGone => matches!(self, S::Instance | S::State),
            FailureClass::InstanceNotRunning => matches!(self, S::Instance | S::State | S::Events),
            FailureClass::InstanceUnavailable => machine,
            FailureClass::ConnectTimeout => {
                machine || self.is_network() || matches!(self, S::Address | S::Platform)
            }
            // Groups and ACLs drop packets and tell nobody.
            FailureClass::Unreachable => {
                machine || matches!(self, S::Address | S::Bastion | S::Join | S::RouteThere)
            }
            FailureClass::ConnectionRefused => {
                matches!(self, S::Instance | S::State | S::Events | S::Address | S::Platform)
            }
            FailureClass::NoBanner | FailureClass::HandshakeFailed => machine || self == S::Address,
            FailureClass::NotSsh | FailureClass::NoCommonAlgorithm => {
                matches!(self, S::Instance | S::State | S::Address)
            }
            FailureClass::HostKeyChanged => matches!(self, S::Instance | S::Address),
            FailureClass::LoginRejected => {
                matches!(self, S::Instance | S::Address | S::Metadata | S::Platform | S::Agent | S::Login)
            }
            FailureClass::LoginTimeout => machine || matches!(self, S::Address | S::Metadata | S::Platform),
            FailureClass::PushDenied
            | FailureClass::PushThrottled
            | FailureClass::HostKeyUnknown
            | FailureClass::OwnFault => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::testimony::Testimony;

    #[test]
    fn labels_and_titles_are_distinct_and_of_one_form() {
        let labels: std::collections::BTreeSet<_> = Subject::ALL.map(Subject::label).into();
        let titles: std::collections::BTreeSet<_> = Subject::ALL.map(Subject::title).into();
        assert_eq!((labels.len(), titles.len()), (Subject::ALL.len(), Subject::ALL.len()));
        for label in labels {
            assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{label}");
        }
    }

    #[test]
    fn what_cannot_explain_a_failure_is_never_blamed_for_it() {
        use FailureClass as C;
        for network in Subject::ALL.into_iter().filter(|subject| subject.is_network()) {
            for class in C::ALL.into_iter().filter(|class| Testimony::of(*class).proves_arrival) {
                assert!(!network.explains(class), "{network:?} {class:?}");
            }
        }
        assert!(!Subject::Agent.explains(C::ConnectTimeout));
        assert!(!Subject::TargetGroup.explains(C::Unreachable), "a dropped packet tells nobody");
        assert!(Subject::TargetGroup.explains(C::ConnectTimeout));
    }
}
