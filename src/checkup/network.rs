//! The clock, and the instance metadata service.

use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;

use super::answers::{MetadataOptions, Trouble, TroubleKind, WhereWeRun};
use super::check::{Check, Subject};
use super::cloud::{Desk, finding, in_time};
use super::errands::Errands;
use crate::aws::Needed;
use crate::config::Config;
use crate::iam::Circumstances;
use crate::target::Place;

/// Beyond this, keys that are pushed live shorter than they should, and certificates of clients end early or late.
const CLOCK_DOUBTFUL: SignedDuration = SignedDuration::from_secs(5);
/// Beyond this, a pushed key (60 seconds) may be over before it is used.
const CLOCK_BROKEN: SignedDuration = SignedDuration::from_secs(30);

pub(super) fn send(errands: &mut Errands, config: &Arc<Config>, desk: &Desk, needs: &Arc<Circumstances>) {
    if let Some(place) = first_place(config) {
        let desk = desk.clone();
        errands.send(Subject::Clock, "the clock", async move {
            vec![judge_clock(in_time(desk.cloud.clock_ahead(&place)).await)]
        });
    } else {
        errands.done(vec![Check::unknown(
            Subject::Clock,
            "The configuration names no account and region, so there is nothing to compare the clock with.",
        )]);
    }
    let (desk, config, needs) = (desk.clone(), Arc::clone(config), Arc::clone(needs));
    errands.send(Subject::Metadata, "the instance metadata service", async move {
        let answer = in_time(desk.cloud.where_we_run()).await;
        let told = config.diagnosis.bastion_instance.clone().zip(first_place(&config));
        let told = told.map(|(instance, place)| WhereWeRun { instance, region: place.region });
        let options = match answer.as_ref().ok().or(told.as_ref()) {
            Some(place) => Some(in_time(desk.cloud.metadata_options(place)).await),
            None => None,
        };
        vec![judge_metadata(&Metadata {
            answer,
            options,
            has_credentials: desk.own().await.is_ok(),
            is_needed: told.is_none() && needs.has(Needed::ForDiagnosis),
            in_a_container: in_a_container(),
        })]
    });
}

fn first_place(config: &Config) -> Option<Place> {
    let account = config.inventory.accounts.first()?;
    Some(Place { account_alias: account.alias.clone(), region: account.regions.first()?.clone() })
}

pub(super) fn judge_clock(ahead: Result<SignedDuration, Trouble>) -> Check {
    let ahead = match ahead {
        Ok(ahead) => ahead,
        Err(trouble) if trouble.is_no_way() => {
            return Check::unknown(Subject::Clock, "The clock was not compared: AWS did not answer.");
        }
        Err(trouble) => {
            return Check::unknown(
                Subject::Clock,
                format!("The clock was not compared: {}.", trouble.said()),
            );
        }
    };
    let (off, seconds) = (ahead.abs(), ahead.as_secs().unsigned_abs());
    let direction = if ahead.is_negative() { "behind" } else { "ahead of" };
    let finding = format!("This machine's clock is {seconds} seconds {direction} AWS's.");
    let change =
        "Let this machine follow a time server, such as 169.254.169.123 on EC2, and look at why it does not.";
    if off > CLOCK_BROKEN {
        Check::broken(Subject::Clock, finding, change)
    } else if off > CLOCK_DOUBTFUL {
        Check::unknown(Subject::Clock, finding).change(change)
    } else {
        Check::sound(Subject::Clock, "This machine's clock agrees with AWS's.")
    }
}

/// What is known about the metadata service.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) answer: Result<WhereWeRun, Trouble>,
    /// Nothing where it is not known which instance this is.
    pub(super) options: Option<Result<MetadataOptions, Trouble>>,
    pub(super) has_credentials: bool,
    pub(super) is_needed: bool,
    pub(super) in_a_container: bool,
}

pub(super) fn judge_metadata(known: &Metadata) -> Check {
    match (&known.answer, &known.options) {
        (Ok(here), Some(Ok(options))) => judge_options(here, *options, known.in_a_container),
        (Ok(here), Some(Err(trouble))) => {
            let found = format!(
                "This machine is {} in {}, and the metadata service answers.",
                here.instance, here.region
            );
            // Whoever may not look at the own instance finds others all the same: nothing is broken.
            match trouble.kind {
                TroubleKind::Denied => Check::unknown(
                    Subject::Metadata,
                    format!("{found} Its hop limit could not be looked at: {} is denied for drawbridge's own account.", finding()),
                )
                .permission(finding()),
                TroubleKind::NoCredentials
                | TroubleKind::Throttled
                | TroubleKind::Timeout
                | TroubleKind::Unreachable
                | TroubleKind::Other => {
                    Check::unknown(Subject::Metadata, format!("{found} Its hop limit could not be looked at."))
                }
            }
        }
        (Ok(here), None) => Check::sound(
            Subject::Metadata,
            format!(
                "This machine is {} in {}, and the metadata service answers.",
                here.instance, here.region
            ),
        ),
        (Err(trouble), options) => {
            silent(known, trouble, options.as_ref().and_then(|options| options.as_ref().ok()))
        }
    }
}

fn judge_options(here: &WhereWeRun, options: MetadataOptions, in_a_container: bool) -> Check {
    let MetadataOptions { hop_limit, token_required } = options;
    let WhereWeRun { instance, region } = here;
    let found = format!(
        "This machine is {instance} in {region}; its metadata service answers, with a hop limit of {hop_limit}."
    );
    let modify =
        format!("aws ec2 modify-instance-metadata-options --region {region} --instance-id {instance}");
    if !token_required {
        return Check::unknown(
            Subject::Metadata,
            format!(
                "{found} It answers without a token too (version 1), which forwarded requests can abuse."
            ),
        )
        .change(format!("Run: {modify} --http-tokens required"));
    }
    if hop_limit > 1 && !in_a_container {
        return Check::unknown(
            Subject::Metadata,
            format!("{found} A daemon outside a container needs 1; more lets containers on this machine have its role."),
        )
        .change(format!("Run: {modify} --http-put-response-hop-limit 1"));
    }
    Check::sound(Subject::Metadata, format!("{found} It wants a token (version 2)."))
}

/// It does not answer.
fn silent(known: &Metadata, trouble: &Trouble, options: Option<&MetadataOptions>) -> Check {
    let off = trouble.kind == TroubleKind::Other && trouble.text.contains("AWS_EC2_METADATA_DISABLED");
    let finding = if off {
        "The instance metadata service is switched off by AWS_EC2_METADATA_DISABLED".to_owned()
    } else {
        "The instance metadata service does not answer".to_owned()
    };
    if known.has_credentials && !known.is_needed {
        return Check::sound(
            Subject::Metadata,
            format!("{finding}; nothing in this configuration needs it."),
        );
    }
    if known.in_a_container && options.is_some_and(|options| options.hop_limit < 2) && !off {
        return Check::unknown(
            Subject::Metadata,
            format!("{finding}: drawbridge runs in a container, and the instance's hop limit is 1, which ends at the host."),
        )
        .change("Set the instance's HttpPutResponseHopLimit to 2, or run the container in the host's network; not needed where credentials come from elsewhere.");
    }
    let check = Check::unknown(Subject::Metadata, format!("{finding}."));
    if known.has_credentials {
        check.change(
            "Diagnosis has to know which instance drawbridge runs on: set diagnosis.bastion_instance, or on EC2 let \
             the metadata service answer (in a container its hop limit has to be 2).",
        )
    } else {
        check.change(
            "On EC2 this is where the role's credentials come from: check that it is enabled, and that its hop limit is 2 \
             where drawbridge runs in a container.",
        )
    }
}

fn in_a_container() -> bool {
    let marks = ["/.dockerenv", "/run/.containerenv"];
    let cgroup = std::fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    marks.iter().any(|mark| Path::new(mark).exists())
        || ["docker", "kubepods", "containerd", "/ecs/"].iter().any(|name| cgroup.contains(name))
}
