//! Permissions that are taken away, as the real AWS SDK sees it.

use aws_sdk_ec2::error::ProvideErrorMetadata;

use super::tests::{KEY, Lab};

/// Every EC2 action that is served here.
const EC2_ACTIONS: [&str; 14] = [
    "DescribeInstances",
    "DescribeInstanceStatus",
    "DescribeImages",
    "DescribeSecurityGroups",
    "DescribeSecurityGroupRules",
    "DescribeNetworkAcls",
    "DescribeVpcs",
    "DescribeSubnets",
    "DescribeRouteTables",
    "GetManagedPrefixListEntries",
    "DescribeVpcPeeringConnections",
    "DescribeTransitGatewayAttachments",
    "DescribeTransitGatewayVpcAttachments",
    "GetConsoleOutput",
];

#[tokio::test]
async fn a_dry_run_tells_what_is_permitted_and_what_is_denied() {
    let lab = Lab::with_instances(1).await;
    for denied in EC2_ACTIONS {
        lab.denials.set([format!("ec2:{denied}")]);
        for action in EC2_ACTIONS {
            let answer = lab.ask(action, "&DryRun=true").await;
            let (status, code) =
                if action == denied { ("403", "UnauthorizedOperation") } else { ("412", "DryRunOperation") };
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{action}: {answer}");
            assert!(answer.contains(&format!("<Code>{code}</Code>")), "{action}: {answer}");
            let named = answer.contains(&format!("is not authorized to perform: ec2:{denied} "));
            assert_eq!(named, action == denied, "{action}: {answer}");
        }
    }
    let unknown = lab.ask("DescribeDragons", "&DryRun=true").await;
    assert!(unknown.contains("<Code>InvalidAction</Code>"), "{unknown}");
}

#[tokio::test]
async fn ec2_says_who_may_not_do_what() {
    let lab = Lab::with_instances(1).await;
    lab.denials.set(["ec2:DescribeVpcs"]);
    let refused = lab.ec2().describe_vpcs().send().await.expect_err("denied").into_service_error();
    assert_eq!(refused.code(), Some("UnauthorizedOperation"));
    let message = refused.message().expect("a message");
    assert!(
        message.starts_with(
            "You are not authorized to perform this operation. User: \
             arn:aws:sts::111122223333:assumed-role/drawbridge/demo is not authorized to perform: \
             ec2:DescribeVpcs because no identity-based policy allows the ec2:DescribeVpcs action. \
             Encoded authorization failure message: "
        ),
        "{message}"
    );
    assert!(lab.ec2().describe_subnets().send().await.is_ok());
}

#[tokio::test]
async fn instance_connect_names_the_instance() {
    let lab = Lab::with_instances(2).await;
    lab.denials.set(["ec2-instance-connect:SendSSHPublicKey"]);
    let refused = lab.push(&lab.id(1), "ec2-user", KEY, None).await.expect_err("denied");
    assert_eq!(refused.code(), Some("AccessDeniedException"));
    let message = refused.message().expect("a message");
    let resource = format!("on resource: arn:aws:ec2:eu-west-1:111122223333:instance/{} because", lab.id(1));
    assert!(message.contains(&resource), "{message}");
    let blob = ssh_key::PublicKey::from_openssh(KEY).expect("a key").to_bytes().expect("a blob");
    assert!(!lab.world.lets_in(&lab.world.instances[1].id, "ec2-user", &blob));
}

#[tokio::test]
async fn a_role_can_be_closed_but_nobody_is_kept_from_asking_who_they_are() {
    let lab = Lab::with_instances(1).await;
    lab.denials.set(["sts:*"]);
    let role = "arn:aws:iam::444455556666:role/bastion-target";
    let asked = lab.sts().assume_role().role_arn(role).role_session_name("drawbridge").send().await;
    let refused = asked.expect_err("denied").into_service_error();
    assert_eq!(refused.code(), Some("AccessDenied"));
    let message = refused.message().expect("a message");
    assert!(message.contains(&format!("sts:AssumeRole on resource: {role}")), "{message}");
    assert!(lab.sts().get_caller_identity().send().await.is_ok());
}

impl Lab {
    /// One bare request to EC2, with whatever follows its action.
    pub(super) async fn ask(&self, action: &str, rest: &str) -> String {
        let signed = "POST / HTTP/1.1\r\nauthorization: AWS4-HMAC-SHA256 \
                      Credential=AKIATEST/20261122/eu-west-1/ec2/aws4_request";
        self.http(signed, &format!("Action={action}&Version=2016-11-15{rest}")).await
    }
}
