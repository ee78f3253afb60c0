//! Lines of the store as OCSF events: of any nodes, mixed, with more or fewer lines between them.

use std::collections::HashMap;

use super::Translator;
use crate::audit::JournalLine;
use crate::domain::NodeName;
use crate::sinks::record::Record;

/// Makes OCSF events of lines in the order in which they are given. What a line leaves to earlier ones of its session
/// and connection is known where these were given, too.
#[derive(Debug, Default)]
pub struct OcsfExport(HashMap<NodeName, Translator>);

impl OcsfExport {
    /// Takes note of a line that is not exported.
    pub fn recall(&mut self, node: &NodeName, line: &JournalLine) {
        self.of(node).recall(&Record::of(line));
    }

    /// A line as an event, in JSON without control characters.
    pub fn event(&mut self, node: &NodeName, line: &JournalLine) -> String {
        String::from_utf8(self.of(node).event(&Record::of(line))).unwrap_or_default()
    }

    fn of(&mut self, node: &NodeName) -> &mut Translator {
        self.0.entry(node.clone()).or_insert_with(|| Translator::new(node.as_str()))
    }
}
