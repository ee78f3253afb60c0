//! The IAM actions that drawbridge's calls need: every one of them, and no other.
//!
//! `drawbridge iam-policy` writes policies from this table, `drawbridge doctor` tries each line of it, and a test
//! compares it with the calls in the code.

use self::{Needed as N, Scope as S};

/// One action of IAM, and what drawbridge does with it.
#[derive(Debug, PartialEq, Eq)]
pub struct IamAction {
    /// As IAM calls it: `ec2:DescribeInstances`.
    pub name: &'static str,
    /// The calls in the code that need it, by the SDK's names of their methods.
    pub calls: &'static [&'static str],
    /// In which configuration it is needed.
    pub needed: Needed,
    /// What it can be narrowed to.
    pub scope: Scope,
    /// What does not work without it, as a sentence without the full stop.
    pub without: &'static str,
}

/// In which configuration an action is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needed {
    /// In each: it finds instances and lets people in.
    Always,
    /// Where an account has a `role_arn`.
    ForRoles,
    /// Where `upstream.host_keys` has `console`.
    ForConsole,
    /// Where some rule permits `diagnose`, or the operator wants to.
    ForDiagnosis,
    /// Where recordings go to a bucket.
    ForBucket,
    /// Where they are locked there.
    ForLock,
    /// Where they are encrypted there with a key of KMS.
    ForKms,
}

/// What an action can be narrowed to (Service Authorization Reference).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// AWS answers it to whoever has credentials; no policy is asked.
    Everybody,
    /// A region; `Describe…` knows no resources.
    Region,
    /// Instances, by ARN and tag.
    Instance,
    /// Instances, and the OS user on them.
    Login,
    /// The roles.
    Role,
    /// The bucket.
    Bucket,
    /// Objects in it.
    Object,
    /// The key of KMS.
    Key,
}

const fn action(
    name: &'static str,
    calls: &'static [&'static str],
    needed: Needed,
    scope: Scope,
    without: &'static str,
) -> IamAction {
    IamAction { name, calls, needed, scope, without }
}

/// Every action, in the order in which people think of them.
pub const IAM_ACTIONS: &[IamAction] = &[
    action(
        "sts:GetCallerIdentity",
        &["get_caller_identity"],
        N::Always,
        S::Everybody,
        "nobody can say who drawbridge is to AWS",
    ),
    action(
        "sts:AssumeRole",
        &["assume_role"],
        N::ForRoles,
        S::Role,
        "the instances of that account cannot be found or reached",
    ),
    action(
        "ec2:DescribeInstances",
        &["describe_instances"],
        N::Always,
        S::Region,
        "no instance is found there, so none can be reached",
    ),
    action(
        "ec2:DescribeImages",
        &["describe_images"],
        N::Always,
        S::Region,
        "default logins are known only from the tag drawbridge:login",
    ),
    action(
        "ec2-instance-connect:SendSSHPublicKey",
        &["send_ssh_public_key"],
        N::Always,
        S::Login,
        "no instance there lets anybody in",
    ),
    action(
        "ec2:GetConsoleOutput",
        &["get_console_output"],
        N::ForConsole,
        S::Instance,
        "host keys of new instances cannot be verified by their console",
    ),
    action(
        "ec2:DescribeInstanceStatus",
        &["describe_instance_status"],
        N::ForDiagnosis,
        S::Region,
        "a diagnosis cannot tell failed status checks and scheduled events",
    ),
    action(
        "ec2:DescribeSecurityGroups",
        &["describe_security_groups"],
        N::ForDiagnosis,
        S::Region,
        "a diagnosis cannot tell security groups by their names",
    ),
    action(
        "ec2:DescribeSecurityGroupRules",
        &["describe_security_group_rules"],
        N::ForDiagnosis,
        S::Region,
        "a diagnosis cannot tell which rule of a security group is missing",
    ),
    action(
        "ec2:DescribeNetworkAcls",
        &["describe_network_acls"],
        N::ForDiagnosis,
        S::Region,
        "a diagnosis cannot tell whether a network ACL is in the way",
    ),
    action(
        "ec2:DescribeVpcs",
        &["describe_vpcs"],
        N::ForDiagnosis,
        S::Region,
        "a diagnosis cannot tell which addresses a VPC has",
    ),
    action(
        "ec2:DescribeRouteTables",
        &["describe_route_tables"],
        N::ForDiagnosis,
        S::Region,
        "a diagnosis cannot tell whether a route is missing",
    ),
    action(
        "ec2:GetManagedPrefixListEntries",
        &["get_managed_prefix_list_entries"],
        N::ForDiagnosis,
        S::Region,
        "a diagnosis cannot tell what a prefix list in a rule or route contains",
    ),
    action(
        "ec2:DescribeVpcPeeringConnections",
        &["describe_vpc_peering_connections"],
        N::ForDiagnosis,
        S::Region,
        "a diagnosis cannot tell whether the peering of two VPCs is active",
    ),
    action(
        "ec2:DescribeTransitGatewayAttachments",
        &["describe_transit_gateway_attachments"],
        N::ForDiagnosis,
        S::Region,
        "a diagnosis cannot tell whether a VPC is attached to a transit gateway",
    ),
    action(
        "s3:PutObject",
        &["put", "put_multipart", "put_part", "complete"],
        N::ForBucket,
        S::Object,
        "recordings stay on this machine's disk until it is full",
    ),
    action(
        "s3:AbortMultipartUpload",
        &["abort"],
        N::ForBucket,
        S::Object,
        "what is left of an upload that broke off stays in the bucket and costs money",
    ),
    action("s3:GetObject", &["head", "get_range"], N::ForBucket, S::Object, "recordings cannot be replayed"),
    action(
        "s3:ListBucket",
        &["head"],
        N::ForBucket,
        S::Bucket,
        "S3 says \"denied\" for a recording that is not there, so that pruning stops at it",
    ),
    action(
        "s3:DeleteObject",
        &["delete"],
        N::ForBucket,
        S::Object,
        "`drawbridge prune` leaves recordings behind",
    ),
    action(
        "s3:PutObjectRetention",
        &["put", "put_multipart"],
        N::ForLock,
        S::Object,
        "recordings cannot be locked, and so are not taken by the bucket",
    ),
    action(
        "kms:GenerateDataKey",
        &["put", "put_multipart"],
        N::ForKms,
        S::Key,
        "recordings cannot be encrypted, and so are not taken by the bucket",
    ),
    action(
        "kms:Decrypt",
        &["get_range", "put_part"],
        N::ForKms,
        S::Key,
        "recordings cannot be replayed, nor uploaded in parts",
    ),
];

/// The action of that name.
#[must_use]
pub fn iam_action(name: &str) -> Option<&'static IamAction> {
    IAM_ACTIONS.iter().find(|action| action.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// What the names of operations begin with.
    const VERBS: &str = "allocate|assign|associate|assume|attach|authorize|cancel|copy|create|decode|delete|deregister|\
        describe|detach|disable|disassociate|enable|export|get|import|list|modify|monitor|provision|put|reboot|register|\
        release|replace|request|reset|revoke|run|search|send|start|stop|terminate|unassign|unmonitor|update";
    /// What begins so, takes nothing, and is no operation.
    const NO_OPERATIONS: &[&str] = &["get_mut", "request_id"];
    /// It tries every action; that is no use of one.
    const TRIES_THEM: &str = "checkup.rs";

    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(folder).expect("our own source").map(|entry| entry.expect("readable").path());
        let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        let below = folders.iter().flat_map(|folder| sources(folder));
        files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|kind| kind == "rs"))
            .chain(below)
            .collect()
    }

    /// A file's text without its tests.
    fn text(path: &Path) -> String {
        let text = fs::read_to_string(path).expect("our own source");
        text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
    }

    fn is_test(path: &Path) -> bool {
        path.iter().any(|part| part.to_str().is_some_and(|part| part.starts_with("test")))
    }

    fn source_of(folder: &str) -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let below = |path: &PathBuf| !is_test(path.strip_prefix(root).expect("below the root"));
        sources(&root.join(folder)).into_iter().filter(below).collect()
    }

    /// The SDK's operations that a text calls: `.describe_vpcs()`, and taking on a role through `aws-config`.
    fn operations(text: &str) -> BTreeSet<String> {
        let called = text.split('.').skip(1).filter_map(|rest| {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let (verb, _) = name.split_once('_')?;
            let takes_nothing = rest.get(name.len()..).is_some_and(|rest| rest.starts_with("()"));
            let known = VERBS.split('|').any(|known| known == verb);
            (takes_nothing && known && !NO_OPERATIONS.contains(&name.as_str())).then_some(name)
        });
        let role = text.contains("AssumeRoleProvider::builder").then(|| "assume_role".to_owned());
        called.chain(role).collect()
    }

    fn listed(prefixes: &[&str]) -> impl Iterator<Item = &'static IamAction> {
        let fits = |action: &&IamAction| prefixes.iter().any(|prefix| action.name.starts_with(prefix));
        IAM_ACTIONS.iter().filter(fits)
    }

    #[test]
    fn what_the_code_calls_is_what_the_table_lists() {
        let mut used = BTreeSet::new();
        for file in source_of("src/aws") {
            let called = operations(&text(&file));
            for operation in &called {
                let known = IAM_ACTIONS.iter().any(|action| action.calls.contains(&operation.as_str()));
                assert!(known, "{} calls {operation}, which IAM_ACTIONS does not list", file.display());
            }
            if !file.ends_with(TRIES_THEM) {
                used.extend(called);
            }
        }
        assert!(used.contains("describe_instances") && used.contains("send_ssh_public_key"), "{used:?}");
        for action in listed(&["ec2", "sts"]).filter(|action| action.scope != Scope::Everybody) {
            let called = action.calls.iter().all(|call| used.contains(*call));
            assert!(called, "{} is listed, and nothing calls it", action.name);
        }
    }

    #[test]
    fn what_the_vault_asks_of_a_bucket_is_listed() {
        let mut used = BTreeSet::new();
        for file in source_of("src/record/vault") {
            let text = text(&file);
            for receiver in ["store.", "upload."] {
                for rest in text.split(receiver).skip(1) {
                    let name: String =
                        rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                    let is_call = rest.get(name.len()..).is_some_and(|rest| rest.starts_with('('));
                    used.extend((is_call && !name.starts_with("as_")).then_some(name));
                }
            }
        }
        let known: BTreeSet<String> =
            listed(&["s3"]).flat_map(|action| action.calls).map(|call| (*call).to_owned()).collect();
        assert_eq!(used, known);
    }

    #[test]
    fn operations_are_found_however_they_are_written() {
        let text = "client\n    .describe_vpcs()\n    .send(); x.get_mut().describe_it(y); self.ec2.stop_instances();";
        assert_eq!(operations(text).into_iter().collect::<Vec<_>>(), ["describe_vpcs", "stop_instances"]);
        assert!(operations("AssumeRoleProvider::builder(arn)").contains("assume_role"));
    }

    #[test]
    fn each_action_is_listed_once_and_says_what_is_lost() {
        let names: BTreeSet<&str> = IAM_ACTIONS.iter().map(|action| action.name).collect();
        assert_eq!(names.len(), IAM_ACTIONS.len());
        for action in IAM_ACTIONS {
            assert!(action.name.contains(':') && !action.calls.is_empty(), "{action:?}");
            assert!(!action.without.ends_with('.') && !action.without.is_empty(), "{action:?}");
        }
    }
}
