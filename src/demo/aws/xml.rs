//! A small XML writer: elements and text, escaped.

use std::fmt::Write as _;

/// An XML document under construction.
#[derive(Debug)]
pub(super) struct Xml(String);

impl Xml {
    pub(super) fn new() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    /// Writes an element around what `body` writes.
    pub(super) fn element(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        self.root(name, None, body);
    }

    /// Writes an element with a default namespace.
    pub(super) fn root(&mut self, name: &str, namespace: Option<&str>, body: impl FnOnce(&mut Self)) {
        self.raw("<");
        self.raw(name);
        if let Some(namespace) = namespace {
            self.raw(" xmlns=\"");
            self.escaped(namespace);
            self.raw("\"");
        }
        self.raw(">");
        body(self);
        self.raw("</");
        self.raw(name);
        self.raw(">");
    }

    /// Writes an element that holds text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.element(name, |xml| xml.escaped(text));
    }

    /// Writes `<name>` with one `<item>` for each item, as EC2 writes its lists.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut body: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for item in items {
                xml.element("item", |xml| body(xml, item));
            }
        });
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn raw(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '&' => self.raw("&amp;"),
                '"' => self.raw("&quot;"),
                '\'' => self.raw("&apos;"),
                '\r' => self.raw("&#13;"),
                other => self.0.write_char(other).unwrap_or_default(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_lists_have_items() {
        let mut xml = Xml::new();
        xml.root("r", Some("urn:x"), |xml| {
            xml.text("t", "a<b&\"c\"");
            xml.list("set", [1, 2], |xml, n| xml.text("n", &n.to_string()));
        });
        let (_, body) =
            xml.finish().split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("two lines");
        assert_eq!(
            body,
            "<r xmlns=\"urn:x\"><t>a&lt;b&amp;&quot;c&quot;</t><set><item><n>1</n></item><item><n>2</n></item></set></r>"
        );
    }
}
