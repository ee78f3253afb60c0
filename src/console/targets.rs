//! `targets`: which instances you may reach.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::Desk;
use super::answer::{Answer, Verdict};
use super::args::{Filter, Key, TargetsArgs};
use super::text::{Widths, count, shown, shown_json};
use crate::domain::{ActionKind, InstanceId, Login, Target};
use crate::policy::Reach;
use crate::target::Place;

const HEAD: [&str; 8] = ["NAME", "ID", "ACCOUNT", "REGION", "ADDRESS", "STATE", "LOGINS", "ACTIONS"];

pub(super) fn answer(desk: &Desk, args: &TargetsArgs) -> Answer {
    let mut reach = desk.reach();
    reach.retain(|reach| args.filters.iter().all(|filter| fits(filter, reach)));
    let behind = behind(desk, &reach);
    let none = reach.is_empty();
    let answer = if args.json { json(reach, &behind) } else { table(reach, &behind) };
    match (none, args.filters.is_empty()) {
        (false, _) => answer,
        (true, true) => {
            answer.but(Verdict::No, "there is no target that you may reach; ask whoever manages your access.")
        }
        (true, false) => answer.but(Verdict::No, "no target that you may reach fits; try fewer filters."),
    }
}

fn fits(filter: &Filter, reach: &Reach) -> bool {
    let target = reach.target.as_ref();
    match filter {
        Filter::Text(text) => {
            let name = target.display_name().to_lowercase();
            name.contains(text)
                || target.id.as_str().contains(text)
                || target.private_ip.to_string().contains(text)
        }
        Filter::Tag(key, value) => target.tags.get(key) == Some(value),
        Filter::Is(key, value) => match key {
            Key::Account => target.account_alias.eq_ignore_ascii_case(value) || target.account == *value,
            Key::Region => target.region.eq_ignore_ascii_case(value),
            Key::Vpc => target.vpc == *value,
            Key::State => target.state.eq_ignore_ascii_case(value),
            Key::Login => reach.logins.iter().any(|login| login.as_str() == value),
            Key::Action => reach.actions.iter().any(|action| action.name() == value),
        },
    }
}

/// The places whose copies are behind, of those that the list is about. Of a place that was never listed it cannot
/// be known whether anything there is theirs, so it is not named.
fn behind(desk: &Desk, reach: &[Reach]) -> Behind {
    let all = desk.inventory.behind();
    let unlisted = all.iter().any(|(_, age)| age.is_none());
    let of_the_list = |place: &Place| {
        reach.iter().any(|reach| {
            reach.target.account_alias == place.account_alias && reach.target.region == place.region
        })
    };
    let old = all.into_iter().filter_map(|(place, age)| Some((place, age?)));
    Behind { unlisted, old: old.filter(|(place, _)| of_the_list(place)).collect() }
}

struct Behind {
    unlisted: bool,
    old: Vec<(Place, Duration)>,
}

impl Behind {
    fn sentences(&self) -> String {
        let mut text = String::new();
        for (place, age) in &self.old {
            text.push_str(&format!(
                "What is listed of {} in {} is {} old: AWS has not answered since.\n",
                shown(&place.account_alias),
                shown(&place.region),
                friendly(*age)
            ));
        }
        if self.unlisted {
            text.push_str("Some accounts or regions have not answered yet: the list may be incomplete.\n");
        }
        text
    }
}

/// An age in its largest unit.
fn friendly(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    match minutes {
        0..120 => count(usize::try_from(minutes).unwrap_or(usize::MAX), "minute"),
        _ => count(usize::try_from(minutes / 60).unwrap_or(usize::MAX), "hour"),
    }
}

fn joined<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return "-".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The actions in few words: `all` is every kind that a session may have, for `connect` is the bastion's own.
fn actions(permitted: &[ActionKind]) -> String {
    let is_permitted = |kind: &ActionKind| *kind == ActionKind::Connect || permitted.contains(kind);
    if ActionKind::WORK.iter().all(is_permitted) { "all".to_owned() } else { joined(permitted) }
}

fn cells(reach: &Reach) -> [String; 8] {
    let Target { name, id, account_alias, region, private_ip, state, .. } = reach.target.as_ref();
    [
        name.as_deref().filter(|name| !name.is_empty()).map_or_else(|| "-".to_owned(), shown),
        id.to_string(),
        shown(account_alias),
        shown(region),
        private_ip.to_string(),
        shown(state),
        joined(&reach.logins),
        actions(&reach.actions),
    ]
}

fn table(reach: Vec<Reach>, behind: &Behind) -> Answer {
    let widths = Widths::of(HEAD, reach.iter().map(cells));
    let head = (!reach.is_empty()).then(|| widths.line(&HEAD));
    let gap = if reach.is_empty() { "" } else { "\n" };
    let end = format!("{gap}{}\n{}", count(reach.len(), "target"), behind.sentences());
    let rows = reach.into_iter().map(move |reach| widths.line(&cells(&reach)));
    Answer::yes(head.into_iter().chain(rows).chain(std::iter::once(end)))
}

/// One target in JSON.
#[derive(Serialize)]
struct Entry<'a> {
    name: Option<&'a str>,
    id: &'a InstanceId,
    account: &'a str,
    account_alias: &'a str,
    region: &'a str,
    vpc: &'a str,
    address: IpAddr,
    private_dns: Option<&'a str>,
    state: &'a str,
    logins: &'a [Login],
    actions: &'a [ActionKind],
    tags: &'a BTreeMap<String, String>,
}

/// A place whose copy is old, in JSON.
#[derive(Serialize)]
struct Old<'a> {
    account_alias: &'a str,
    region: &'a str,
    age_seconds: u64,
}

fn entry(reach: &Reach) -> String {
    let target = reach.target.as_ref();
    let entry = Entry {
        name: target.name.as_deref(),
        id: &target.id,
        account: &target.account,
        account_alias: &target.account_alias,
        region: &target.region,
        vpc: &target.vpc,
        address: target.private_ip,
        private_dns: target.private_dns.as_deref(),
        state: &target.state,
        logins: &reach.logins,
        actions: &reach.actions,
        tags: &target.tags,
    };
    shown_json(&serde_json::to_string(&entry).unwrap_or_default())
}

/// One object, one target a line.
fn json(reach: Vec<Reach>, behind: &Behind) -> Answer {
    let old = |(place, age): &(Place, Duration)| {
        let Place { account_alias, region } = place;
        serde_json::to_string(&Old { account_alias, region, age_seconds: age.as_secs() }).unwrap_or_default()
    };
    let old = shown_json(&behind.old.iter().map(old).collect::<Vec<_>>().join(","));
    let end = format!("\n],\"complete\":{},\"old\":[{old}]}}\n", !behind.unlisted);
    let rows = reach.into_iter().enumerate().map(|(number, reach)| {
        let separator = if number == 0 { "\n" } else { ",\n" };
        format!("{separator}{}", entry(&reach))
    });
    Answer::yes(std::iter::once("{\"targets\":[".to_owned()).chain(rows).chain(std::iter::once(end)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ask, desk_after, target};
    use super::*;

    const POLICY: &str = r#"
@id("web") @login("deploy, ec2-user")
permit(principal in Group::"eng", action in [Action::"shell", Action::"exec", Action::"sftp"], resource)
when { resource has name && resource.name like "web*" };

@id("db")
permit(principal in Group::"eng", action == Action::"tunnel", resource)
when { resource.hasTag("env") && resource.getTag("env") == "dev" };
"#;

    fn fleet() -> Vec<Target> {
        let mut db = Target { state: "stopped".to_owned(), ..target("db-1", 3) };
        db.tags.insert("env".to_owned(), "dev".to_owned());
        let hostile = target("web-\u{1b}[2J\u{202e}\n9", 4);
        vec![target("web-2", 2), db, target("web-1", 1), target("vault-1", 5), hostile]
    }

    async fn listed(line: &str) -> String {
        let (code, out, err) = ask(POLICY, fleet(), line).await;
        format!("{code}\n{out}{err}")
    }

    #[tokio::test]
    async fn a_table_for_people() {
        insta::assert_snapshot!(listed("targets").await);
    }

    #[tokio::test]
    async fn json_for_scripts() {
        let (_, out, _) = ask(POLICY, fleet(), "targets --json").await;
        let back: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(back["targets"][1]["name"], "web-\u{1b}[2J\u{202e}\n9");
        assert!(!out.contains(['\u{1b}', '\u{202e}']));
        insta::assert_snapshot!(out);
    }

    #[tokio::test]
    async fn filters_narrow_the_list() {
        let names = async |line: &str| {
            let (code, out, _) = ask(POLICY, fleet(), line).await;
            let rows = out.lines().skip(1).take_while(|line| !line.is_empty());
            let names: Vec<&str> = rows.filter_map(|row| row.split(' ').next()).collect();
            format!("{code} {}", names.join(" "))
        };
        for (line, wanted) in [
            ("targets WEB-", r"0 web-\u{1b}[2J\u{202e}\n9 web-1 web-2"),
            ("targets 10.0.0.2", "0 web-2"),
            ("targets 0002", "0 web-2"),
            ("targets tag:env=dev", "0 db-1"),
            ("targets state=stopped", "0 db-1"),
            ("targets action=tunnel account=PROD", "0 db-1"),
            ("targets login=deploy web-2", "0 web-2"),
            ("targets account=123456789012 region=eu-west-1 vpc=vpc-1 db", "0 db-1"),
            ("targets vault", "1 "),
            ("targets region=us-east-1", "1 "),
            ("targets tag:env=prod", "1 "),
        ] {
            assert_eq!(names(line).await, wanted, "{line}");
        }
    }

    #[tokio::test]
    async fn an_old_list_says_how_old_it_is() {
        let listed = async |age: u64, json: bool| -> String {
            let desk = desk_after(POLICY, vec![target("web-1", 1)], Duration::from_secs(age)).await;
            answer(&desk, &TargetsArgs { filters: Vec::new(), json }).output.collect()
        };
        assert!(!listed(60, false).await.contains("old"));
        let old = "What is listed of prod in eu-west-1 is 11 minutes old: AWS has not answered since.\n";
        assert!(listed(660, false).await.ends_with(old));
        assert!(listed(8_000, false).await.contains(" is 2 hours old"));
        let old = r#""old":[{"account_alias":"prod","region":"eu-west-1","age_seconds":660}]"#;
        assert!(listed(660, true).await.contains(old));
    }

    #[tokio::test]
    async fn an_empty_list_says_so() {
        insta::assert_snapshot!(listed("targets nothing-like-it").await);
        let (code, out, err) = ask("", fleet(), "targets --json").await;
        insta::assert_snapshot!(format!("{code}\n{out}{err}"));
    }
}
