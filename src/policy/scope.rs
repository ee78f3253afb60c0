//! What the rules are about at most, without a case to decide: for whoever has to grant AWS's permissions beforehand.

use std::collections::BTreeSet;

use cedar_policy::{ActionConstraint, EntityUid, PolicyId};

use super::{Effect, Policy, Rule, depth, excluded};
use crate::domain::{ActionKind, Login};

/// The groups of actions that lead to a login on an instance.
const GROUPS: [&str; 2] = ["session", "forward"];

/// Stands for every login that no rule names. It is none itself.
const NAMED_BY_NO_RULE: &str = "\0";

/// The OS users that the rules speak of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyLogins {
    /// Those that conditions and `@login` name.
    pub named: BTreeSet<Login>,
    /// Whether some rule leaves the login open.
    pub open: bool,
}

impl Policy {
    /// Whether some rule may permit an action, as far as its head says. Conditions are not looked at.
    #[must_use]
    pub fn may_permit(&self, kind: ActionKind) -> bool {
        self.permits().any(|rule| match self.actions(rule) {
            None => true,
            Some(actions) => actions.iter().any(|action| action == kind.name()),
        })
    }

    /// The OS users that people may log in as, as far as the rules name them. A login that a rule excludes is not
    /// among them on its account.
    #[must_use]
    pub fn named_logins(&self) -> PolicyLogins {
        let mut logins = PolicyLogins::default();
        for rule in self.permits().filter(|rule| self.leads_to_a_login(rule)) {
            depth::with_room(self.levels, || {
                let policy = self.set.policy(&PolicyId::new(&rule.id.0));
                let conditions = policy.and_then(|policy| policy.to_json().ok()).unwrap_or_default();
                let admitted = |login: &Login| excluded::may_admit(&conditions, login.as_str());
                let named = rule.named.logins.iter().filter_map(|login| Login::parse(login).ok());
                logins.named.extend(named.chain(rule.preferred_logins.iter().cloned()).filter(admitted));
                logins.open |= excluded::may_admit(&conditions, NAMED_BY_NO_RULE);
            });
        }
        logins
    }

    fn permits(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.effect == Effect::Permit)
    }

    fn leads_to_a_login(&self, rule: &Rule) -> bool {
        self.actions(rule).is_none_or(|actions| {
            actions.iter().any(|action| {
                GROUPS.contains(&action.as_str()) || ActionKind::parse(action).is_some_and(needs_a_login)
            })
        })
    }

    /// The names of the actions and groups in a rule's head; nothing where it is about every action.
    fn actions(&self, rule: &Rule) -> Option<Vec<String>> {
        let name = |uid: &EntityUid| uid.id().unescaped().to_owned();
        match self.set.policy(&PolicyId::new(&rule.id.0))?.action_constraint() {
            ActionConstraint::Any => None,
            ActionConstraint::In(uids) => Some(uids.iter().map(name).collect()),
            ActionConstraint::Eq(uid) => Some(vec![name(&uid)]),
        }
    }
}

fn needs_a_login(kind: ActionKind) -> bool {
    match kind {
        ActionKind::Shell
        | ActionKind::Exec
        | ActionKind::Sftp
        | ActionKind::Subsystem
        | ActionKind::Tunnel
        | ActionKind::LocalForward
        | ActionKind::RemoteForward
        | ActionKind::LocalSocket
        | ActionKind::RemoteSocket
        | ActionKind::Agent
        | ActionKind::X11 => true,
        ActionKind::Connect
        | ActionKind::Watch
        | ActionKind::Kill
        | ActionKind::Diagnose
        | ActionKind::Audit => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy::from_text("test.cedar", text).expect("a policy")
    }

    #[test]
    fn an_action_may_be_permitted_by_name_by_list_and_by_a_bare_head() {
        for (text, expected) in [
            (r#"permit (principal, action, resource);"#, true),
            (r#"permit (principal, action == Action::"diagnose", resource);"#, true),
            (r#"permit (principal, action in [Action::"shell", Action::"diagnose"], resource);"#, true),
            (r#"permit (principal, action in Action::"session", resource);"#, false),
            (r#"forbid (principal, action, resource);"#, false),
        ] {
            assert_eq!(policy(text).may_permit(ActionKind::Diagnose), expected, "{text}");
        }
    }

    #[test]
    fn logins_are_those_of_rules_that_let_in() {
        let logins = policy(
            r#"permit (principal, action in Action::"session", resource) when { context.login == "ubuntu" };
               permit (principal, action == Action::"watch", resource) when { context.login == "root" };
               forbid (principal, action, resource) when { context.login == "backup" };"#,
        )
        .named_logins();
        let names: Vec<&str> = logins.named.iter().map(Login::as_str).collect();
        assert_eq!((names, logins.open), (vec!["ubuntu"], false));
        let open = policy(r#"@login("deploy") permit (principal, action == Action::"shell", resource);"#)
            .named_logins();
        assert_eq!((open.named.len(), open.open), (1, true));
        let all_but_root = policy(
            r#"@login("deploy") permit (principal, action in Action::"session", resource)
               unless { context.login == "root" };"#,
        )
        .named_logins();
        let names: Vec<&str> = all_but_root.named.iter().map(Login::as_str).collect();
        assert_eq!((names, all_but_root.open), (vec!["deploy"], true), "root is what nobody may be");
        assert_eq!(
            policy(r#"permit (principal, action == Action::"audit", resource);"#).named_logins(),
            PolicyLogins::default()
        );
    }
}
