//! What the image decides: Windows or not, the agent of Instance Connect, and which logins there are.

use super::case::{Case, Doubt, End};
use super::family::{Agent, Family, family_of, is_a_familys};
use crate::diagnose::facts::{GapReason, Known};
use crate::diagnose::subject::Subject;
use crate::diagnose::verdict::Check;
use crate::diagnose::words;
use crate::target::LOGIN_TAG;

/// Is it Windows?
pub(super) fn platform(case: &Case<'_>) -> Option<Check> {
    let facts = case.facts;
    let says = |platform: &str| platform.to_ascii_lowercase().starts_with("windows");
    let image = facts.image.get();
    let windows = says(&facts.target.platform)
        || facts.instance.get().is_some_and(|instance| says(&instance.platform))
        || image.is_some_and(|image| says(&image.platform));
    if windows {
        return Some(Check::broken(
            Subject::Platform,
            "The instance runs Windows, on which EC2 Instance Connect does not work.",
            "Reach it in another way, such as Remote Desktop.",
        ));
    }
    let asked = facts.instance.get().is_some() || image.is_some() || !facts.target.platform.is_empty();
    match &facts.instance {
        Known::Not(gap) if !asked => Some(case.gap(Subject::Platform, gap, End::Target)),
        Known::As(_) | Known::Not(_) => {
            Some(Check::sound(Subject::Platform, "The instance does not run Windows."))
        }
    }
}

/// Does the image come with the agent?
pub(super) fn agent(case: &Case<'_>) -> Option<Check> {
    let name = match image_name(case) {
        Ok(name) => name,
        Err(doubt) => return Some(case.doubt(Subject::Agent, &doubt)),
    };
    let shown = words::foreign(name);
    let Some(family) = family_of(name) else {
        return Some(Check::unknown(
            Subject::Agent,
            format!(
                "Could not check: whether the image \"{shown}\" has the agent of Instance Connect is not known."
            ),
        ));
    };
    Some(agent_of(family, name))
}

fn agent_of(family: &Family, name: &str) -> Check {
    let (words, shown) = (family.words, words::foreign(name));
    let missing = format!(
        "The image \"{shown}\" ({words}) comes without the agent of EC2 Instance Connect, without which no pushed key is taken."
    );
    match family.agent(name) {
        Agent::Included => Check::sound(
            Subject::Agent,
            format!("The image \"{shown}\" ({words}) comes with the agent of Instance Connect."),
        ),
        Agent::Installable => Check::broken(
            Subject::Agent,
            missing,
            "Install the package ec2-instance-connect on the instance, if that has not been done.",
        ),
        Agent::Missing => Check::broken(
            Subject::Agent,
            missing,
            "Use an image that has it, such as Amazon Linux 2023 or Ubuntu, or install the agent from its sources.",
        ),
        Agent::NoServer => Check::broken(
            Subject::Agent,
            format!(
                "The image \"{shown}\" ({words}) has neither an SSH server on the host nor the agent of Instance Connect."
            ),
            "Reach it through its control or admin container.",
        ),
        Agent::Unsaid => Check::unknown(
            Subject::Agent,
            format!(
                "Could not check: whether \"{shown}\" ({words}) has the agent of Instance Connect is not known."
            ),
        ),
    }
}

/// Does the image have this login?
pub(super) fn login(case: &Case<'_>) -> Option<Check> {
    let login = case.login?;
    if case.facts.target.tags.get(LOGIN_TAG).is_some_and(|tag| tag.trim() == login.as_str()) {
        let said = format!("{login} is the login that the instance's tag {LOGIN_TAG} names.");
        return Some(Check::sound(Subject::Login, said));
    }
    let name = match image_name(case) {
        Ok(name) => name,
        Err(doubt) => return Some(case.doubt(Subject::Login, &doubt)),
    };
    Some(match family_of(name) {
        Some(family) => login_of(family, login.as_str()),
        None => Check::unknown(
            Subject::Login,
            format!("Could not check: the logins of the image \"{}\" are not known.", words::foreign(name)),
        ),
    })
}

fn login_of(family: &Family, login: &str) -> Check {
    let words = family.words;
    if family.logins.contains(&login) {
        return Check::sound(Subject::Login, format!("{login} is a login of {words}."));
    }
    match family.logins.first() {
        Some(usual) if is_a_familys(login) => Check::broken(
            Subject::Login,
            format!("{login} is a login of other images; the instance runs {words}, whose login is {usual}."),
            format!("Connect as {usual}."),
        ),
        Some(_) | None => Check::unknown(
            Subject::Login,
            format!(
                "Could not check: {words} has no login {login} from the start; somebody may have added it."
            ),
        ),
    }
}

/// What AWS says, else the inventory's copy: the name of an image does not change.
fn image_name<'a>(case: &Case<'a>) -> Result<&'a str, Doubt<'a>> {
    let listed = case.facts.target.image_name.as_deref().filter(|name| !name.is_empty());
    match (&case.facts.image, listed) {
        (Known::As(image), _) if !image.name.is_empty() => Ok(&image.name),
        (Known::As(_) | Known::Not(_), Some(listed)) => Ok(listed),
        (Known::As(_), None) => Err(Doubt::Said("AWS gives no name for the image.".to_owned())),
        (Known::Not(gap), None) if gap.reason == GapReason::NotVisible => {
            let image = words::foreign(&case.facts.target.image);
            Err(Doubt::Said(format!("the image {image} is not shared with drawbridge's account any more.")))
        }
        (Known::Not(gap), None) => Err(Doubt::Gap(gap, End::Target)),
    }
}
