//! What the SSH user name says about where the client wants to go.

use crate::domain::UserName;

/// What was meant, as far as the name alone can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Addressing {
    /// `login@target` before the bastion's own name: direct.
    Direct {
        /// The login on the target.
        login: String,
        /// The target as typed.
        target: String,
    },
    /// A single word: the user's name, a local user name that ssh filled in, or a target.
    Word(String),
}

/// Reads the user name of the outer SSH login. The last `@` divides: targets have none, logins may.
pub(super) fn read(ssh_user: &str) -> Addressing {
    match ssh_user.rsplit_once('@') {
        Some((login, target)) if !login.is_empty() && !target.is_empty() => {
            Addressing::Direct { login: login.to_owned(), target: target.to_owned() }
        }
        Some(_) | None => Addressing::Word(ssh_user.to_owned()),
    }
}

/// The login that stands behind a user's name, `user+login`: for targets that are passed through, where drawbridge
/// does not see the inner user name. Neither user names nor logins have a `+`.
pub(super) fn named_login(ssh_user: &str) -> Option<&str> {
    match read(ssh_user) {
        Addressing::Word(_) => {
            ssh_user.split_once('+').map(|(_, login)| login).filter(|login| !login.is_empty())
        }
        Addressing::Direct { .. } => None,
    }
}

/// Whether a word is a user's own name, with a login behind it or without.
pub(super) fn is_own_name(word: &str, user: &UserName) -> bool {
    word.split_once('+').map_or(word, |(name, _)| name) == user.as_str()
}

/// Reads a word that was typed to the console: `target` or `login@target`.
pub(super) fn read_word(word: &str) -> (Option<&str>, &str) {
    match word.rsplit_once('@') {
        Some((login, target)) if !login.is_empty() && !target.is_empty() => (Some(login), target),
        Some(_) | None => (None, word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_and_a_target_are_divided_by_the_last_at() {
        let direct = |login: &str, target: &str| Addressing::Direct {
            login: login.to_owned(),
            target: target.to_owned(),
        };
        assert_eq!(read("ec2-user@web-1"), direct("ec2-user", "web-1"));
        assert_eq!(read("a@corp@web-1"), direct("a@corp", "web-1"));
        assert_eq!(read("web-1"), Addressing::Word("web-1".to_owned()));
        assert_eq!(read("@web-1"), Addressing::Word("@web-1".to_owned()));
        assert_eq!(read(""), Addressing::Word(String::new()));
        assert_eq!(read_word("a@corp@web-1"), (Some("a@corp"), "web-1"));
        assert_eq!(read_word("web-1"), (None, "web-1"));
        assert_eq!(read_word("@web-1"), (None, "@web-1"));
    }

    #[test]
    fn a_login_may_stand_behind_a_user_s_name() {
        assert_eq!(named_login("alice+ec2-user"), Some("ec2-user"));
        assert_eq!(named_login("alice"), None);
        assert_eq!(named_login("alice+"), None);
        assert_eq!(named_login("alice+ec2-user@web-1"), None);
        let alice = UserName::parse("alice").expect("a name");
        for own in ["alice", "alice+", "alice+ec2-user", "alice+a+b"] {
            assert!(is_own_name(own, &alice), "{own}");
        }
        for other in ["", "alic", "alice-2", "bob+alice", "+alice", "web-1"] {
            assert!(!is_own_name(other, &alice), "{other}");
        }
    }
}
