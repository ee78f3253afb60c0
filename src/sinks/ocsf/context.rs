//! What earlier lines said about a connection or a session, for lines that name it by its id only.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::record::Record;

/// The most connections and the most sessions that are remembered. Those that began last are kept.
const REMEMBERED_MAX: usize = 16_384;

/// Who, from where, to where: as far as it is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Context {
    pub(super) user: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) client_addr: Option<String>,
    pub(super) client_port: Option<u64>,
    pub(super) login: Option<String>,
    /// As the line has it: `id`, `name`, `private_ip`, `region`, …
    pub(super) target: Option<Value>,
}

impl Context {
    /// What one line says by itself.
    fn of(record: &Record<'_>) -> Self {
        let text = |field: &str| record.text_of(field).map(str::to_owned);
        let groups = record.fields.get("groups").and_then(Value::as_array);
        Self {
            user: text("user").or_else(|| text("by")),
            groups: groups.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
            client_addr: text("client_addr"),
            client_port: record.number_of("client_port"),
            login: text("login"),
            target: record.fields.get("target").cloned(),
        }
    }

    /// This, and what it lacks from another.
    fn or(self, other: Option<&Self>) -> Self {
        let Some(other) = other else { return self };
        Self {
            user: self.user.or_else(|| other.user.clone()),
            groups: if self.groups.is_empty() { other.groups.clone() } else { self.groups },
            client_addr: self.client_addr.or_else(|| other.client_addr.clone()),
            client_port: self.client_port.or(other.client_port),
            login: self.login.or_else(|| other.login.clone()),
            target: self.target.or_else(|| other.target.clone()),
        }
    }
}

/// What is known of connections and sessions that have not ended.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    // Ids sort by the time of their making.
    connections: BTreeMap<String, Context>,
    sessions: BTreeMap<String, Context>,
}

impl Contexts {
    /// Everything that is known about a line's who and where. Remembers what the line says itself.
    pub(super) fn learn(&mut self, record: &Record<'_>) -> Context {
        let (connection, session) = (record.text_of("connection"), record.text_of("session"));
        let known =
            |map: &BTreeMap<String, Context>, id: Option<&str>| id.and_then(|id| map.get(id)).cloned();
        let said = Context::of(record);
        let of_session = said.clone().or(known(&self.sessions, session).as_ref());
        let all = of_session.clone().or(known(&self.connections, connection).as_ref());
        match (record.event.as_str(), connection, session) {
            ("connection-opened" | "authentication-succeeded", Some(id), _) => {
                remember(&mut self.connections, id, all.clone());
            }
            ("session-started" | "decision", _, Some(id)) => remember(&mut self.sessions, id, of_session),
            ("session-ended" | "session-interrupted", _, Some(id)) => drop(self.sessions.remove(id)),
            ("connection-ended" | "connection-interrupted", Some(id), _) => drop(self.connections.remove(id)),
            _other => {}
        }
        all
    }
}

fn remember(map: &mut BTreeMap<String, Context>, id: &str, context: Context) {
    map.insert(id.to_owned(), context);
    if map.len() > REMEMBERED_MAX {
        map.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::JournalLine;

    fn learn(contexts: &mut Contexts, text: &str) -> Context {
        let line = JournalLine { seq: 1, text: text.to_owned() };
        contexts.learn(&Record::of(&line))
    }

    #[test]
    fn a_line_that_names_a_session_knows_its_user_client_and_target_until_it_ends() {
        let mut contexts = Contexts::default();
        learn(
            &mut contexts,
            r#"{"event":"connection-opened","connection":"c-1","client_addr":"192.0.2.1","client_port":7}"#,
        );
        learn(
            &mut contexts,
            r#"{"event":"authentication-succeeded","connection":"c-1","user":"alice","groups":["ops"]}"#,
        );
        learn(
            &mut contexts,
            r#"{"event":"session-started","connection":"c-1","session":"s-1","user":"alice","login":"root","target":{"id":"i-1"}}"#,
        );
        let line = r#"{"event":"file-operation","connection":"c-1","session":"s-1"}"#;
        let context = learn(&mut contexts, line);
        assert_eq!(
            (context.user.as_deref(), context.groups.as_slice()),
            (Some("alice"), &["ops".to_owned()][..])
        );
        assert_eq!((context.client_addr.as_deref(), context.client_port), (Some("192.0.2.1"), Some(7)));
        assert_eq!(context.target, Some(serde_json::json!({ "id": "i-1" })));
        let ended = learn(&mut contexts, r#"{"event":"session-ended","connection":"c-1","session":"s-1"}"#);
        assert_eq!(ended.login.as_deref(), Some("root"));
        assert_eq!(learn(&mut contexts, line).login, None);
        learn(&mut contexts, r#"{"event":"connection-ended","connection":"c-1"}"#);
        assert_eq!(learn(&mut contexts, line), Context::default());
    }

    #[test]
    fn what_never_ends_is_forgotten_at_last() {
        let mut contexts = Contexts::default();
        for number in 0..REMEMBERED_MAX + 10 {
            learn(&mut contexts, &format!(r#"{{"event":"connection-opened","connection":"c-{number:08}"}}"#));
        }
        assert_eq!(contexts.connections.len(), REMEMBERED_MAX);
        assert!(!contexts.connections.contains_key("c-00000009"));
    }
}
