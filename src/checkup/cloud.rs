//! Credentials, permissions and endpoints, account by account.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answers::{Caller, Cloud, Trouble, TroubleKind};
use super::check::{Check, Subject};
use super::errands::Errands;
use super::network;
use crate::aws::{IamAction, iam_action};
use crate::config::{AccountConfig, Config};
use crate::iam::Circumstances;
use crate::target::Place;

/// Questions to AWS at the same time, over all accounts.
const AT_ONCE: usize = 32;
/// The longest that one question may take.
const QUESTION_MAX: Duration = Duration::from_secs(6);
const FIND: &str = "ec2:DescribeInstances";
const PUSH: &str = "ec2-instance-connect:SendSSHPublicKey";
const ENTER: &str = "sts:AssumeRole";

/// What everybody needs who asks AWS.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) cloud: Arc<dyn Cloud>,
    needs: Arc<Circumstances>,
    logins: Arc<Vec<String>>,
    turns: Arc<Semaphore>,
    own: Arc<OnceCell<Result<Caller, Trouble>>>,
}

impl Desk {
    /// Who drawbridge is by its own credentials; asked once.
    pub(super) async fn own(&self) -> &Result<Caller, Trouble> {
        self.own.get_or_init(|| in_time(self.cloud.who(None))).await
    }
}

/// Sends out everything that is asked of AWS.
pub(super) fn send(
    errands: &mut Errands,
    config: &Arc<Config>,
    needs: &Arc<Circumstances>,
    logins: &Arc<Vec<String>>,
    cloud: &Arc<dyn Cloud>,
) {
    let desk = Desk {
        cloud: Arc::clone(cloud),
        needs: Arc::clone(needs),
        logins: Arc::clone(logins),
        turns: Arc::new(Semaphore::new(AT_ONCE)),
        own: Arc::default(),
    };
    let own = desk.clone();
    errands.send(Subject::Credentials, "drawbridge's own credentials", async move {
        vec![judge_own(own.own().await)]
    });
    for account in &config.inventory.accounts {
        let (desk, account) = (desk.clone(), account.clone());
        let what = format!("the account \"{}\"", account.alias);
        errands.send(Subject::Permissions, what, async move { look_at(&desk, &account).await });
    }
    network::send(errands, config, &desk, needs);
}

pub(super) async fn in_time<T>(question: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let late = || Err(Trouble::new(TroubleKind::Timeout, "no answer in time"));
    timeout(QUESTION_MAX, question).await.unwrap_or_else(|_| late())
}

fn judge_own(own: &Result<Caller, Trouble>) -> Check {
    match own {
        Ok(Caller { arn, account }) => {
            Check::sound(Subject::Credentials, format!("drawbridge is {arn} in account {account}."))
        }
        Err(trouble) if trouble.is_no_way() => Check::unknown(
            Subject::Credentials,
            format!("Who drawbridge is could not be asked: STS cannot be reached, {}.", trouble.where_it_ended()),
        )
        .change("Give this machine a way to AWS's STS: through the Internet, a proxy (HTTPS_PROXY), or a VPC endpoint for sts."),
        Err(trouble) => Check::broken(
            Subject::Credentials,
            format!("drawbridge has no credentials that AWS takes: {}.", trouble.said()),
            "Give the instance a role, or set a profile or variables of the AWS SDK for the user that runs drawbridge; \
             a clock that is minutes off makes good credentials fail, too.",
        ),
    }
}

async fn look_at(desk: &Desk, account: &AccountConfig) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(role) = &account.role_arn {
        let own = match desk.own().await {
            Ok(own) => own,
            Err(_) => {
                return vec![
                    Check::unknown(
                        Subject::Credentials,
                        format!("Whether {role} can be taken on was not tried: drawbridge's own credentials come first."),
                    )
                    .about(&account.alias),
                ];
            }
        };
        let entered = in_time(desk.cloud.who(Some(&account.alias))).await;
        let sound = entered.is_ok();
        checks.push(judge_role(account, role, own, &entered));
        if !sound {
            return checks;
        }
    } else if desk.own().await.is_err() {
        return vec![
            Check::unknown(
                Subject::Permissions,
                "What AWS permits here was not tried: drawbridge's own credentials come first.",
            )
            .about(&account.alias),
        ];
    }
    let mut asking = JoinSet::new();
    for (at, region) in account.regions.iter().enumerate() {
        let place = Arc::new(Place { account_alias: account.alias.clone(), region: region.clone() });
        let desk = desk.clone();
        asking.spawn(async move { (at, judge_place(&place, &ask(&desk, &place).await)) });
    }
    let mut places = asking.join_all().await;
    places.sort_by_key(|(at, _)| *at);
    checks.extend(places.into_iter().flat_map(|(_, checks)| checks));
    checks
}

/// Whether drawbridge comes into an account by its role.
fn judge_role(account: &AccountConfig, role: &str, own: &Caller, entered: &Result<Caller, Trouble>) -> Check {
    let check = match entered {
        Ok(Caller { arn, account }) => {
            Check::sound(Subject::Credentials, format!("There drawbridge is {arn} in account {account}."))
        }
        Err(trouble) if trouble.is_no_way() => Check::unknown(
            Subject::Credentials,
            format!("{role} could not be taken on: STS cannot be reached, {}.", trouble.where_it_ended()),
        ),
        Err(trouble) if trouble.text.contains("AccessDenied") => Check::broken(
            Subject::Credentials,
            format!("{role} cannot be taken on: AWS denies {ENTER}{}.", reason(trouble)),
            format!(
                "Two policies have to agree: that of {} must allow {ENTER} on this role, and the role's trust policy \
                 must name it{}. `drawbridge iam-policy` prints both.",
                role_behind(&own.arn),
                match &account.external_id {
                    Some(_) => " and ask for the external id of the configuration",
                    None => "; if it asks for an external id, set `external_id` for this account",
                }
            ),
        )
        .permission(ENTER),
        Err(trouble) => Check::broken(
            Subject::Credentials,
            format!("{role} cannot be taken on: {}.", trouble.said()),
            "Check that the role exists in that account and that its ARN is spelt as here.",
        ),
    };
    check.about(&account.alias)
}

/// The role behind a session's ARN, as policies name it; roles' paths are not in it.
fn role_behind(arn: &str) -> String {
    let role = arn.split_once(":assumed-role/").and_then(|(before, after)| {
        let (name, _session) = after.split_once('/')?;
        Some(format!("{}:role/{name}", before.replacen(":sts:", ":iam:", 1)))
    });
    role.unwrap_or_else(|| arn.to_owned())
}

fn reason(trouble: &Trouble) -> String {
    trouble.because().map(|reason| format!(", {reason}")).unwrap_or_default()
}

/// Each action that is needed there, and what AWS said.
type Answers = Vec<(&'static IamAction, Result<(), Trouble>)>;

async fn ask(desk: &Desk, place: &Arc<Place>) -> Answers {
    let mut asking = JoinSet::new();
    for (at, action) in desk.needs.actions_in_a_place().enumerate() {
        let (desk, place) = (desk.clone(), Arc::clone(place));
        asking.spawn(async move {
            let _turn = desk.turns.acquire().await;
            (at, (action, in_time(desk.cloud.may(&place, action, &desk.logins)).await))
        });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// What the answers of one account and region say.
pub(super) fn judge_place(place: &Place, answers: &Answers) -> Vec<Check> {
    let mut checks = endpoints(answers);
    let names = |wanted: &dyn Fn(&Result<(), Trouble>) -> bool| -> Vec<&str> {
        answers.iter().filter(|(_, answer)| wanted(answer)).map(|(action, _)| action.name).collect()
    };
    let permitted = names(&|answer| answer.is_ok());
    if !permitted.is_empty() {
        checks.push(Check::sound(Subject::Permissions, format!("Permitted: {}.", permitted.join(", "))));
    }
    let not_reached = names(&|answer| answer.as_ref().is_err_and(Trouble::is_no_way));
    if !not_reached.is_empty() {
        let text = format!("Could not be tried, because AWS did not answer: {}.", not_reached.join(", "));
        checks.push(Check::unknown(Subject::Permissions, text));
    }
    let region_is_off = |trouble: &Trouble| trouble.code.as_deref() == Some("OptInRequired");
    if answers.iter().any(|(_, answer)| answer.as_ref().is_err_and(region_is_off)) {
        checks.push(Check::broken(
            Subject::Permissions,
            format!("The region {} is not switched on in this account.", place.region),
            "Switch the region on there, or take it out of the account's `regions`.",
        ));
    } else {
        checks.extend(answers.iter().filter_map(|(action, answer)| denied(action, answer.as_ref().err()?)));
    }
    checks.into_iter().map(|check| check.about(place.to_string())).collect()
}

fn denied(action: &'static IamAction, trouble: &Trouble) -> Option<Check> {
    let IamAction { name, without, .. } = action;
    let check = match trouble.kind {
        TroubleKind::Timeout | TroubleKind::Unreachable => return None,
        TroubleKind::Denied => Check::broken(
            Subject::Permissions,
            format!("{name} is denied{}. Without it {without}.", reason(trouble)),
            format!(
                "Allow {name} to drawbridge's role there; `drawbridge iam-policy` prints the whole policy."
            ),
        ),
        TroubleKind::Throttled => Check::unknown(
            Subject::Permissions,
            format!("{name} could not be tried: AWS is asked too much at the moment. Try again in a minute."),
        ),
        TroubleKind::NoCredentials | TroubleKind::Other => {
            Check::unknown(Subject::Permissions, format!("{name} could not be tried: {}.", trouble.said()))
        }
    };
    Some(check.permission(name))
}

/// Whether the two services that every session needs can be reached.
fn endpoints(answers: &Answers) -> Vec<Check> {
    let way = |name: &str| {
        let (_, answer) = answers.iter().find(|(action, _)| action.name == name)?;
        Some(answer.as_ref().err().filter(|trouble| trouble.is_no_way()))
    };
    let found = [
        (
            way(FIND),
            "EC2",
            "Give this machine a way to it: through the Internet, a proxy (HTTPS_PROXY), or a VPC endpoint for ec2.",
        ),
        (
            way(PUSH),
            "EC2 Instance Connect",
            "This service has no VPC endpoint (PrivateLink): it needs a way out through a NAT or Internet gateway, \
             or a proxy (HTTPS_PROXY, with NO_PROXY=169.254.169.254). The prefix list com.amazonaws.REGION.ec2-instance-connect \
             is something else.",
        ),
    ];
    let reached: Vec<&str> =
        found.iter().filter(|(way, _, _)| *way == Some(None)).map(|(_, service, _)| *service).collect();
    let broken = found.iter().filter_map(|(way, service, change)| {
        let trouble = (*way)??;
        let finding = format!("{service} cannot be reached: {}.", trouble.where_it_ended());
        Some(Check::broken(Subject::Endpoints, finding, *change))
    });
    let sound = (!reached.is_empty())
        .then(|| Check::sound(Subject::Endpoints, format!("{} can be reached.", reached.join(" and "))));
    sound.into_iter().chain(broken).collect()
}

/// The action of finding instances, for those who name it.
pub(super) fn finding() -> &'static str {
    iam_action(FIND).map_or(FIND, |action| action.name)
}
