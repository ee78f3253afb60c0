use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::config::{Config, Overrides};
use crate::domain::Login;
use crate::policy::Policy;

const BARE: &str = r#"permit (principal, action, resource);"#;
const NARROW: &str = r#"permit (principal, action in Action::"session", resource) when { ["ubuntu", "deploy"].contains(context.login) };"#;

/// The config of a file with these lines, in a folder that has all it names.
fn config(text: &str) -> Config {
    let folder = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("users.toml", "");
    write("policy.cedar", "");
    let head =
        format!("[data]\ndir = {:?}\n[identity]\nusers = \"users.toml\"\n", folder.path().join("data"));
    write("drawbridge.toml", &format!("{head}{text}"));
    let file: &Path = &folder.path().join("drawbridge.toml");
    Config::load(Some(file), std::iter::empty(), &Overrides::default()).expect("a sound config")
}

fn policies(config_text: &str, policy: &str, options: &Options) -> Policies {
    Policies::of(&config(config_text), &Policy::from_text("p.cedar", policy).expect("a policy"), options)
}

const OWN: &str = "[[inventory.accounts]]\nalias = \"main\"\nregions = [\"eu-west-1\", \"eu-central-1\"]\n";
const ROLE: &str = "[[inventory.accounts]]\nalias = \"prod\"\nregions = [\"us-gov-east-1\"]\n\
    role_arn = \"arn:aws-us-gov:iam::123456789012:role/drawbridge-target\"\nexternal_id = \"agreed\"\n";
const BUCKET: &str = "[recording]\nupload_to = \"s3://example-recordings/drawbridge\"\ns3_region = \"eu-west-1\"\n\
    s3_object_lock = \"governance\"\ns3_kms_key = \"alias/recordings\"\n";

fn actions(document: &Document) -> BTreeSet<&'static str> {
    document.statement.iter().flat_map(|statement| statement.action.iter().copied()).collect()
}

#[test]
fn the_own_account_gets_what_it_needs_and_no_more() {
    let options =
        Options { required_tag: RequiredTag::parse("drawbridge=allowed").ok(), ..Options::default() };
    let policies = policies(OWN, NARROW, &options);
    insta::assert_snapshot!(policies.bastion.pretty(), @r#"
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "FindInstances",
          "Effect": "Allow",
          "Action": [
            "ec2:DescribeInstances",
            "ec2:DescribeImages"
          ],
          "Resource": [
            "*"
          ],
          "Condition": {
            "StringEquals": {
              "aws:RequestedRegion": [
                "eu-central-1",
                "eu-west-1"
              ]
            }
          }
        },
        {
          "Sid": "PushKeys",
          "Effect": "Allow",
          "Action": [
            "ec2-instance-connect:SendSSHPublicKey"
          ],
          "Resource": [
            "arn:aws:ec2:eu-central-1:*:instance/*",
            "arn:aws:ec2:eu-west-1:*:instance/*"
          ],
          "Condition": {
            "StringEquals": {
              "aws:ResourceTag/drawbridge": [
                "allowed"
              ],
              "ec2:osuser": [
                "deploy",
                "ubuntu"
              ]
            }
          }
        },
        {
          "Sid": "ReadConsoles",
          "Effect": "Allow",
          "Action": [
            "ec2:GetConsoleOutput"
          ],
          "Resource": [
            "arn:aws:ec2:eu-central-1:*:instance/*",
            "arn:aws:ec2:eu-west-1:*:instance/*"
          ],
          "Condition": {
            "StringEquals": {
              "aws:ResourceTag/drawbridge": [
                "allowed"
              ]
            }
          }
        }
      ]
    }
    "#);
    assert!(policies.accounts.is_empty());
    let notes = policies.notes.join("\n");
    assert!(
        notes.contains("Keys may be pushed for deploy, ubuntu. They are those that the policy's rules name."),
        "{notes}"
    );
    assert!(notes.contains("--diagnosis"), "{notes}");
}

#[test]
fn a_role_gets_the_account_s_share_and_a_trust_policy() {
    let role = Principal::parse("arn:aws-us-gov:iam::111122223333:role/bastion").expect("an ARN");
    let options = Options { bastion_role: Some(role), ..Options::default() };
    let policies = policies(ROLE, BARE, &options);
    let hub = serde_json::to_value(&policies.bastion).expect("JSON");
    let enter = hub["Statement"].as_array().expect("statements").last().expect("one").clone();
    assert_eq!(
        enter,
        serde_json::json!({
            "Sid": "EnterOtherAccounts", "Effect": "Allow", "Action": ["sts:AssumeRole"],
            "Resource": ["arn:aws-us-gov:iam::123456789012:role/drawbridge-target"],
        })
    );
    // Its own end of a diagnosis is looked at with its own credentials; pushing is the role's.
    assert!(actions(&policies.bastion).contains("ec2:DescribeRouteTables"));
    assert!(!actions(&policies.bastion).contains("ec2-instance-connect:SendSSHPublicKey"));
    let [account] = policies.accounts.as_slice() else { panic!("one role") };
    assert!(!actions(&account.permissions).contains("sts:AssumeRole"));
    let push = account.permissions.statement.iter().find(|one| one.sid == "PushKeys").expect("pushes");
    assert_eq!(push.resource, ["arn:aws-us-gov:ec2:us-gov-east-1:123456789012:instance/*"]);
    assert_eq!(
        serde_json::to_value(&account.trust).expect("JSON")["Statement"],
        serde_json::json!([{
            "Sid": "LetDrawbridgeIn", "Effect": "Allow",
            "Principal": {"AWS": "arn:aws-us-gov:iam::111122223333:role/bastion"},
            "Action": ["sts:AssumeRole"],
            "Condition": {"StringEquals": {"sts:ExternalId": ["agreed"]}},
        }])
    );
    assert!(!policies.notes.iter().any(|note| note.contains("--bastion-role")), "{:?}", policies.notes);
}

#[test]
fn nobody_is_trusted_by_accident() {
    let policies = policies(ROLE, BARE, &Options::default());
    let [account] = policies.accounts.as_slice() else { panic!("one role") };
    let principal = account.trust.statement.first().and_then(|one| one.principal.clone()).expect("somebody");
    assert!(Principal::parse(&principal["AWS"]).is_err(), "IAM would take {principal:?}");
    assert!(policies.notes.iter().any(|note| note.contains("--bastion-role")), "{:?}", policies.notes);
}

#[test]
fn what_is_not_used_is_not_permitted() {
    let everything = format!("{OWN}{ROLE}{BUCKET}");
    let with = |config: &str, policy: &str| -> BTreeSet<&'static str> {
        let policies = policies(config, policy, &Options::default());
        let accounts = policies.accounts.iter().flat_map(|account| actions(&account.permissions));
        actions(&policies.bastion).into_iter().chain(accounts).collect()
    };
    let narrow = with(&format!("{OWN}[upstream]\nhost_keys = [\"pins\", \"tofu\"]\n"), NARROW);
    let kinds = ["sts:", "s3:", "kms:", "ec2:DescribeNetworkAcls", "ec2:GetConsoleOutput"];
    for kind in kinds {
        assert!(!narrow.iter().any(|action| action.starts_with(kind)), "{kind}: {narrow:?}");
    }
    let wide = with(&everything, BARE);
    for kind in [
        "sts:AssumeRole",
        "s3:PutObjectRetention",
        "kms:GenerateDataKey",
        "ec2:DescribeNetworkAcls",
        "ec2:GetConsoleOutput",
    ] {
        assert!(wide.contains(kind), "{kind}: {wide:?}");
    }
    // Whatever is needed is in one of the documents.
    let needs = Circumstances::of(&config(&everything), Policy::from_text("p", BARE).ok().as_ref());
    let needed: BTreeSet<&str> = needs
        .actions()
        .filter(|action| action.scope != crate::aws::Scope::Everybody)
        .map(|action| action.name)
        .collect();
    assert_eq!(wide, needed);
}

#[test]
fn recordings_are_written_below_their_prefix_with_their_key() {
    let policies = policies(&format!("{OWN}{BUCKET}"), NARROW, &Options::default());
    let statement = |sid: &str| {
        let found = policies.bastion.statement.iter().find(|statement| statement.sid == sid);
        serde_json::to_value(found.expect("a statement")).expect("JSON")
    };
    assert_eq!(
        statement("KeepRecordings")["Resource"],
        serde_json::json!(["arn:aws:s3:::example-recordings/drawbridge/*"])
    );
    let listing = statement("TellMissingRecordings");
    assert_eq!(listing["Resource"], serde_json::json!(["arn:aws:s3:::example-recordings"]));
    let key = statement("EncryptRecordings");
    assert_eq!(key["Resource"], serde_json::json!(["arn:aws:kms:eu-west-1:*:key/*"]));
    assert_eq!(
        key["Condition"],
        serde_json::json!({
            "StringLike": {"kms:ViaService": ["s3.eu-west-1.amazonaws.com"]},
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/recordings"]},
        })
    );
}

#[test]
fn logins_that_are_said_replace_those_of_the_policy() {
    let options = Options { logins: vec![Login::parse("svc").expect("a login")], ..Options::default() };
    let push = |options: &Options, policy: &str| {
        let policies = policies(OWN, policy, options);
        let push =
            policies.bastion.statement.iter().find(|one| one.sid == "PushKeys").expect("pushes").clone();
        push.condition
            .get("StringEquals")
            .and_then(|keys| keys.get("ec2:osuser"))
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(push(&options, BARE), ["svc"]);
    let open = push(&Options::default(), BARE);
    assert!(
        ["ec2-user", "ubuntu", "admin"].iter().all(|usual| open.iter().any(|login| login == usual)),
        "{open:?}"
    );
}

#[test]
fn a_policy_that_is_too_long_for_iam_is_said_to_be() {
    let account = |number: u32| {
        format!(
            "[[inventory.accounts]]\nalias = \"a{number}\"\nregions = [\"eu-west-1\"]\n\
             role_arn = \"arn:aws:iam::{number:012}:role/drawbridge-target-with-a-long-name\"\n"
        )
    };
    let many: String = (1..=90).map(account).collect();
    let notes = policies(&many, NARROW, &Options::default()).notes;
    assert!(notes.iter().any(|note| note.contains("a managed policy takes 6144")), "{notes:?}");
}

#[test]
fn tags_and_principals_are_parsed_and_not_pasted() {
    assert!(RequiredTag::parse("team=a b:c/d").is_ok());
    for bad in ["", "tag", "=x", "a=*", "a$b=c", "aws:x=y", "a=\"", "a=\u{1b}"] {
        assert!(RequiredTag::parse(bad).is_err(), "{bad:?}");
    }
    assert!(Principal::parse("arn:aws:iam::123456789012:user/path/me").is_ok());
    for bad in [
        "",
        "drawbridge",
        "arn:aws:iam::1:role/x",
        "arn:aws:iam::123456789012:role/*",
        "arn:aws:iam::123456789012:root",
        "arn:aws:sts::123456789012:assumed-role/a/b",
    ] {
        assert!(Principal::parse(bad).is_err(), "{bad:?}");
    }
}

/// The example of `deploy/`: an account of its own, and another one by a role.
fn example() -> Policies {
    let config = "[[inventory.accounts]]\nalias = \"main\"\nregions = [\"eu-west-1\"]\n\
        [[inventory.accounts]]\nalias = \"production\"\nregions = [\"eu-west-1\"]\n\
        role_arn = \"arn:aws:iam::123456789012:role/drawbridge-target\"\nexternal_id = \"an-agreed-text\"\n";
    let options = Options {
        logins: ["admin", "ec2-user", "ubuntu"]
            .iter()
            .map(|login| Login::parse(login).expect("a login"))
            .collect(),
        required_tag: RequiredTag::parse("drawbridge=allowed").ok(),
        bastion_role: Principal::parse("arn:aws:iam::111122223333:role/drawbridge").ok(),
        diagnosis: true,
    };
    policies(config, BARE, &options)
}

#[test]
fn the_examples_are_what_is_printed() {
    let policies = example();
    let [account] = policies.accounts.as_slice() else { panic!("one role") };
    for (printed, example) in [
        (&policies.bastion, include_str!("../../deploy/iam-policy.json")),
        (&account.permissions, include_str!("../../deploy/iam-target-role.json")),
        (&account.trust, include_str!("../../deploy/iam-target-trust.json")),
    ] {
        assert_eq!(format!("{}\n", printed.pretty()), example);
    }
}

#[test]
fn the_documentation_lists_every_action_and_no_other() {
    let document = include_str!("../../docs/doctor.md");
    let (_, table) = document.split_once("| action | needed | without it |").expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let listed: Vec<&str> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split('`').filter(|part| part.contains(':')))
        .collect();
    let actions: Vec<&str> = crate::aws::IAM_ACTIONS.iter().map(|action| action.name).collect();
    assert_eq!(listed, actions);
}
