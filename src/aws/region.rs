//! In which region this machine is. STS is asked there: a bastion's network, its endpoints and its policies are made for
//! its own region, and another partition (China, GovCloud) has an STS of its own.

use std::time::Duration;

use aws_config::Region;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;

use super::access::direct_http_client;

/// The longest that starting waits for somebody to say it.
const PATIENCE: Duration = Duration::from_secs(2);
/// The metadata service is on the same machine or on none.
const METADATA_MAX: Duration = Duration::from_secs(1);

/// The first region of each partition: its STS knows every account of it, and is never switched off.
const PARTITIONS: [(&str, &str); 6] = [
    ("cn-", "cn-north-1"),
    ("us-gov-", "us-gov-west-1"),
    ("us-isob-", "us-isob-east-1"),
    ("us-isof-", "us-isof-south-1"),
    ("us-iso-", "us-iso-east-1"),
    ("eusc-", "eusc-de-east-1"),
];
/// The first region of the partition that all others are in.
const FIRST: &str = "us-east-1";

/// What the environment, the profile or the metadata service says, in this order.
pub(super) async fn of_this_machine() -> Option<Region> {
    let plain = ProviderConfig::without_region().with_http_client(direct_http_client());
    let client = imds::Client::builder()
        .configure(&plain)
        .max_attempts(1)
        .connect_timeout(METADATA_MAX)
        .read_timeout(METADATA_MAX)
        .build();
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::builder().build())
        .or_else(ImdsRegionProvider::builder().imds_client(client).build());
    tokio::time::timeout(PATIENCE, chain.region()).await.ok().flatten()
}

/// The first region of the partition that a region is in.
pub(super) fn first_of_partition(region: &str) -> &'static str {
    PARTITIONS.iter().find(|(start, _)| region.starts_with(start)).map_or(FIRST, |(_, first)| *first)
}

/// Where STS is asked for credentials that are to be used in `target`: in the own region, unless that is in
/// another partition. A region that is switched on in the target's account need not be in ours.
pub(super) fn of_sts(own: Option<&Region>, target: &Region) -> Region {
    let first = first_of_partition(target.as_ref());
    own.filter(|own| first_of_partition(own.as_ref()) == first)
        .cloned()
        .unwrap_or_else(|| Region::from_static(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sts_is_asked_in_the_own_region_and_never_in_another_partition() {
        let asked = |own: Option<&'static str>, target: &'static str| {
            of_sts(own.map(Region::from_static).as_ref(), &Region::from_static(target)).to_string()
        };
        for (own, target, wanted) in [
            (Some("eu-central-1"), "eu-central-1", "eu-central-1"),
            (Some("eu-central-1"), "me-south-1", "eu-central-1"),
            (Some("eu-central-1"), "cn-northwest-1", "cn-north-1"),
            (Some("cn-northwest-1"), "cn-north-1", "cn-northwest-1"),
            (Some("us-gov-east-1"), "us-gov-west-1", "us-gov-east-1"),
            (Some("us-east-1"), "us-gov-east-1", "us-gov-west-1"),
            (None, "eusc-de-east-1", "eusc-de-east-1"),
            (None, "ap-southeast-4", "us-east-1"),
        ] {
            assert_eq!(asked(own, target), wanted, "{own:?} {target}");
        }
    }
}
