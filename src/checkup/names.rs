//! Names in the policy that the users file does not have.
//!
//! Cedar cannot know which users and groups exist: a rule about a misspelt one is about nobody, and where it is a
//! `forbid`, it forbids nothing.

use crate::auth::Directory;
use crate::domain::UserName;
use crate::policy::{Policy, Rule};
use crate::problem::Problem;

/// The users and groups that rules name and the users file does not have, each at the first rule that names it.
#[must_use]
pub fn unknown_names(directory: &Directory, policy: &Policy) -> Vec<Problem> {
    let groups = policy.named_groups().into_iter().filter(|(name, _)| !directory.has_group(name));
    let groups = groups.map(|(name, rule)| {
        let message = format!("the rule {} names the group \"{name}\", in which nobody is", rule.id);
        at(rule, message)
            .with_hint("correct its name, put somebody into it, or list it under [groups] in the users file")
    });
    let is_user = |name: &str| UserName::parse(name).is_ok_and(|name| directory.user(&name).is_some());
    let users = policy.named_users().into_iter().filter(|(name, _)| !is_user(name));
    let users = users.map(|(name, rule)| {
        let message = format!("the rule {} names \"{name}\", whom the users file does not have", rule.id);
        at(rule, message).with_hint("correct the name, or add them to the users file")
    });
    let mut problems: Vec<Problem> = groups.chain(users).collect();
    problems.sort_by(|a, b| (&a.origin, a.line, a.column).cmp(&(&b.origin, b.line, b.column)));
    problems
}

fn at(rule: &Rule, message: String) -> Problem {
    Problem::new(&rule.place.file, message).at_line(rule.place.line).at_column(rule.place.column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::IdentitySources;

    fn told(users: &str, policy: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a directory");
        let users_file = folder.path().join("users.toml");
        std::fs::write(&users_file, users).expect("a file");
        let sources = IdentitySources { users_file, ..IdentitySources::default() };
        let directory = Directory::load(&sources).expect("users");
        let policy = Policy::from_text("policy.cedar", policy).expect("a policy");
        unknown_names(&directory, &policy).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_misspelt_group_and_a_misspelt_user_are_told_at_their_rules() {
        let rules = "@id(\"a\") permit (principal in Group::\"engg\", action, resource);\n\
                     @id(\"b\") forbid (principal == User::\"malory\", action, resource);\n";
        let users = "[users.mallory]\ngroups = [\"eng\"]\n";
        assert_eq!(
            told(users, rules),
            [
                "policy.cedar:1:1: the rule a names the group \"engg\", in which nobody is\n    \
                 hint: correct its name, put somebody into it, or list it under [groups] in the users file",
                "policy.cedar:2:1: the rule b names \"malory\", whom the users file does not have\n    \
                 hint: correct the name, or add them to the users file",
            ]
        );
        let right = rules.replace("engg", "eng").replace("malory", "mallory");
        assert_eq!(told(users, &right), Vec::<String>::new());
    }

    #[test]
    fn a_group_that_is_listed_may_be_empty() {
        let rule = "permit (principal in Group::\"oncall\", action, resource);";
        assert_eq!(told("[groups]\noncall = \"Whoever is on call\"\n", rule), Vec::<String>::new());
        assert_eq!(told("", rule).len(), 1);
    }
}
