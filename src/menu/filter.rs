//! What was typed to narrow the list: every word must be somewhere in what is known of a target.

use std::fmt::Write;

use crate::domain::Target;

/// The longest filter, in characters. A paste may bring any number.
pub(super) const LENGTH_MAX: usize = 128;

/// A filter. Capitals do not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    text: String,
    length: usize,
}

impl Filter {
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Adds a character while there is room. Blanks only divide.
    pub(super) fn push(&mut self, c: char) {
        let c = if c.is_whitespace() { ' ' } else { c };
        let needless = c == ' ' && (self.text.is_empty() || self.text.ends_with(' '));
        if self.length < LENGTH_MAX && !c.is_control() && !needless {
            self.text.push(c);
            self.length += 1;
        }
    }

    pub(super) fn pop(&mut self) {
        if self.text.pop().is_some() {
            self.length -= 1;
        }
    }

    pub(super) fn pop_word(&mut self) {
        let kept = self.text.trim_end().rfind(' ').map_or(0, |blank| blank + 1);
        self.text.truncate(kept);
        self.length = self.text.chars().count();
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.length = 0;
    }

    /// Ready to be put to many targets.
    pub(super) fn question(&self) -> Question {
        let words = self.text.split_whitespace().map(str::to_lowercase).collect();
        Question { words, hay: String::new(), text: String::new() }
    }
}

/// What speaks against a target, the gravest first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    not_running: bool,
    not_in_name: bool,
    not_its_start: bool,
}

/// A filter in use.
#[derive(Debug)]
pub(super) struct Question {
    words: Vec<String>,
    hay: String,
    text: String,
}

impl Question {
    /// Whether each word is in one of the fields: name, id, account, region, address, `tag=value`.
    pub(super) fn fits(&mut self, target: &Target) -> bool {
        if self.words.is_empty() {
            return true;
        }
        self.gather(target);
        self.words.iter().all(|word| self.hay.contains(word.as_str()))
    }

    /// How well a target fits that does: the least is the best. Who types a part of a name means that machine,
    /// and not one that has it in a tag; and one that runs.
    pub(super) fn rank(&self, target: &Target) -> Rank {
        let Some(first) = self.words.first() else { return Rank::default() };
        let name = target.display_name().to_lowercase();
        Rank {
            not_running: target.state != "running",
            not_in_name: !name.contains(first.as_str()),
            not_its_start: !name.starts_with(first.as_str()),
        }
    }

    /// All fields of a target, in small letters; no word goes across a line.
    fn gather(&mut self, target: &Target) {
        let Self { hay, text, .. } = self;
        hay.clear();
        text.clear();
        // Writing to a string cannot fail.
        let _written = write!(text, "{}", target.private_ip).is_ok();
        let fields =
            [target.id.as_str(), &target.account_alias, &target.account, &target.region, &target.state, text];
        for field in target.name.as_deref().into_iter().chain(fields) {
            add(hay, field);
            hay.push('\n');
        }
        for (key, value) in &target.tags {
            add(hay, key);
            hay.push('=');
            add(hay, value);
            hay.push('\n');
        }
        // All at once is much faster than each by itself.
        hay.make_ascii_lowercase();
    }
}

/// Adds a field; what is ASCII of it is put into small letters later.
fn add(hay: &mut String, field: &str) {
    if field.is_ascii() {
        hay.push_str(field);
    } else {
        hay.extend(field.chars().flat_map(char::to_lowercase));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::testing::target;

    fn filter(text: &str) -> Filter {
        let mut filter = Filter::default();
        text.chars().for_each(|c| filter.push(c));
        filter
    }

    #[test]
    fn every_word_must_be_somewhere() {
        let mut web = target("Web-1", 7);
        web.tags.insert("Env".to_owned(), "Größe-1".to_owned());
        let fits = |text: &str| filter(text).question().fits(&web);
        for text in
            ["", "web", "WEB-1 eu-west", "prod 10.0.0.7", "env=größe", "i-000", "1234567890", "running"]
        {
            assert!(fits(text), "{text:?}");
        }
        for text in ["web db", "web-1i-0", "prodeu", "10.0.0.8"] {
            assert!(!fits(text), "{text:?}");
        }
    }

    #[test]
    fn it_has_an_end() {
        let long = filter(&"ä".repeat(1_000_000));
        assert_eq!(long.as_str().chars().count(), LENGTH_MAX);
    }

    #[test]
    fn blanks_divide_and_no_more() {
        assert_eq!(filter("  web \t\n db ").as_str(), "web db ");
        let mut three = filter("web db prod");
        three.pop_word();
        assert_eq!(three.as_str(), "web db ");
        three.pop_word();
        assert_eq!(three.as_str(), "web ");
        three.pop_word();
        three.pop_word();
        three.pop();
        assert!(three.is_empty());
        three.push('x');
        assert_eq!(three.as_str(), "x");
    }
}
