//! Large answers come in pages, and endless ones end.

use super::network::{Bench, SSH, list, rule};
use crate::aws::testing::{Reply, Seen};
use crate::diagnose::{GapReason, Known};

/// One page of many items, which the token numbers.
fn page(seen: &Seen, action: &str, set: &str, pages: usize, item: impl Fn(usize) -> String) -> Reply {
    const PER_PAGE: usize = 100;
    let number = seen.field("NextToken").and_then(|token| token.parse().ok()).unwrap_or(0_usize);
    let items: Vec<String> = (number * PER_PAGE..(number + 1) * PER_PAGE).map(item).collect();
    let next = (number + 1 < pages).then(|| (number + 1).to_string());
    Reply::xml(200, list(action, set, &items, next.as_deref()))
}

fn rules_page(seen: &Seen, pages: usize) -> Reply {
    let group = seen.field("Filter.1.Value.2").map_or("sg-bastion", |_| "sg-web");
    page(seen, "DescribeSecurityGroupRules", "securityGroupRuleSet", pages, |number| {
        rule(
            number,
            group,
            false,
            &format!("{SSH}<cidrIpv4>10.{}.{}.0/24</cidrIpv4>", number / 256, number % 256),
        )
    })
}

fn entries_page(seen: &Seen, pages: usize) -> Reply {
    page(seen, "GetManagedPrefixListEntries", "entrySet", pages, |number| {
        format!("<cidr>10.{}.{}.0/24</cidr>", number / 256, number % 256)
    })
}

#[tokio::test]
async fn a_thousand_rules_are_read_page_by_page() {
    let bench = Bench::but_for("DescribeSecurityGroupRules", |seen| rules_page(seen, 10)).await;
    let facts = bench.facts().await;
    let groups = facts.target_end.groups.get().expect("known");
    let web = groups.iter().find(|group| group.id == "sg-web").expect("it is there");
    assert_eq!(web.rules.len(), 1000);
    assert_eq!(web.rules[999].id, "sgr-0999");
    let first = bench.stub.seen().into_iter().find(|seen| seen.body.contains("GroupRules"));
    assert_eq!(first.and_then(|seen| seen.field("MaxResults")).as_deref(), Some("1000"));
}

#[tokio::test]
async fn a_prefix_list_of_a_thousand_entries_is_read_page_by_page() {
    let bench = Bench::but_for("GetManagedPrefixListEntries", |seen| entries_page(seen, 10)).await;
    let facts = bench.facts().await;
    let entries = facts.prefix_lists["pl-1"].get().expect("known");
    assert_eq!((entries.len(), entries[999].to_string().as_str()), (1000, "10.3.231.0/24"));
    assert_eq!(bench.calls("GetManagedPrefixListEntries"), 20, "ten pages of each of two lists");
}

#[tokio::test]
async fn pages_without_an_end_are_no_answer() {
    let bench = Bench::but_for("GetManagedPrefixListEntries", |seen| entries_page(seen, usize::MAX)).await;
    let facts = bench.facts().await;
    assert!(
        matches!(&facts.prefix_lists["pl-1"], Known::Not(gap) if matches!(gap.reason, GapReason::Failed(_)))
    );
    assert!(bench.calls("GetManagedPrefixListEntries") <= 42);
    let bench = Bench::but_for("DescribeSecurityGroupRules", |seen| rules_page(seen, usize::MAX)).await;
    let facts = bench.facts().await;
    let groups = &facts.target_end.groups;
    assert!(matches!(groups, Known::Not(gap) if matches!(gap.reason, GapReason::Failed(_))), "{groups:?}");
}
