//! Puts lines of a node's journal into the database, with all that follows from them.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AnyConnection;
use sqlx::Row as _;

use super::derive::{Folded, subject};
use super::line::{self, Said};
use super::rows::{ConnectionRow, DecisionRow, HeadRow, RecordedRow, SessionRow, Table};
use super::sql::{Sql, Value, piece, signed};
use super::{JournalLine, LineHash, Store, StoreError, answered};
use crate::domain::NodeName;

/// A line, read and numbered.
struct Numbered<'a> {
    seq: u64,
    text: &'a str,
    said: Said,
}

impl Store {
    /// Appends lines of a node, which must follow one another, in one transaction: all of them
    /// and all that is derived from them, or nothing. Lines that are stored already are passed
    /// over, so whoever does not know whether an earlier call came through just repeats it.
    /// Returns the number of the last line that is stored.
    ///
    /// The lines of a node of which nothing is stored may begin at any number.
    ///
    /// # Errors
    /// When lines are missing, do not belong to the chain that is stored, or are no events, and
    /// when the database does not answer.
    pub async fn append(&self, node: &NodeName, lines: &[JournalLine]) -> Result<u64, StoreError> {
        let Some(first) = lines.first() else {
            return Ok(self.position(node).await?.map_or(0, |(seq, _)| seq));
        };
        answered(async {
            let mut transaction = self.events.begin().await?;
            let stored = locked(&mut transaction, node, first).await?;
            let new: Vec<&JournalLine> = lines.iter().filter(|line| line.seq > stored.0).collect();
            same_chain(node, &stored, lines)?;
            let Some(last) = new.last() else {
                transaction.rollback().await?;
                return Ok(stored.0);
            };
            let numbered = read(node, &stored, &new)?;
            write(&mut transaction, node, &numbered).await?;
            let mut moved = Sql::new("UPDATE nodes SET seq = ");
            moved.bind(signed(last.seq)).push(", hash = ").bind(LineHash::of(&last.text).to_string());
            moved.push(" WHERE node = ").bind(node.as_str());
            moved.query().execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(last.seq)
        })
        .await
    }

    /// The last line of the node that is stored and its hash; none where nothing of it is.
    ///
    /// # Errors
    /// When the database does not answer or its row is damaged.
    pub async fn position(&self, node: &NodeName) -> Result<Option<(u64, LineHash)>, StoreError> {
        let mut sql = Sql::new("SELECT seq, hash FROM nodes WHERE node = ");
        sql.bind(node.as_str());
        let row = answered(async { Ok(sql.query().fetch_optional(&self.pool).await?) }).await?;
        row.as_ref().map(position_of).transpose()
    }

    /// Makes sure that everything that is stored survives a power cut, up to the line `seq`, which
    /// was stored before. Events go in without waiting for the disk: the journal has them too.
    /// What forgets journal lines must call this first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn make_durable(&self, node: &NodeName, seq: u64) -> Result<(), StoreError> {
        // A commit on a connection that syncs puts the whole write-ahead log before it on the disk.
        let mut sql = Sql::new("UPDATE nodes SET durable = ");
        sql.bind(signed(seq)).push(" WHERE node = ").bind(node.as_str());
        answered(async { Ok(sql.query().execute(&self.pool).await?) }).await?;
        Ok(())
    }
}

/// Makes the node's row where it is missing, keeps others from writing the node's lines until the
/// transaction ends, and says what is stored.
async fn locked(
    connection: &mut AnyConnection,
    node: &NodeName,
    first: &JournalLine,
) -> Result<(u64, LineHash), StoreError> {
    let before = Said::read(&first.text).ok().and_then(|said| said.prev().and_then(LineHash::parse));
    let mut sql = Sql::new("INSERT INTO nodes (node, begins, seq, hash, durable) VALUES ");
    sql.bind_all([
        Value::from(node.as_str()),
        signed(first.seq).into(),
        signed(first.seq.saturating_sub(1)).into(),
        before.unwrap_or(LineHash::NONE).to_string().into(),
        Value::from(0_i64),
    ]);
    // The update that changes nothing locks the row and makes RETURNING answer with it.
    sql.push(" ON CONFLICT (node) DO UPDATE SET node = excluded.node RETURNING seq, hash");
    position_of(&sql.query().fetch_one(connection).await?)
}

fn position_of(row: &sqlx::any::AnyRow) -> Result<(u64, LineHash), StoreError> {
    let damaged = |field| StoreError::Unreadable { table: "nodes", field };
    let seq = u64::try_from(row.try_get::<i64, _>("seq")?).map_err(|_| damaged("seq"))?;
    let hash: String = row.try_get("hash")?;
    Ok((seq, LineHash::parse(&hash).ok_or_else(|| damaged("hash"))?))
}

/// Where the last stored line is among the given ones, it must be the same.
fn same_chain(node: &NodeName, stored: &(u64, LineHash), lines: &[JournalLine]) -> Result<(), StoreError> {
    let same = lines.iter().find(|line| line.seq == stored.0);
    match same {
        Some(line) if LineHash::of(&line.text) != stored.1 => {
            Err(StoreError::OtherChain { node: node.clone(), seq: stored.0 })
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads the lines and checks that they follow what is stored.
fn read<'a>(
    node: &NodeName,
    stored: &(u64, LineHash),
    lines: &[&'a JournalLine],
) -> Result<Vec<Numbered<'a>>, StoreError> {
    let mut numbered = Vec::with_capacity(lines.len());
    let mut last = stored.0;
    for line in lines {
        let seq = line.seq;
        if seq != last.saturating_add(1) {
            return Err(StoreError::Gap { node: node.clone(), stored: last, next: seq });
        }
        let wrong = |what| StoreError::Line { node: node.clone(), seq, what };
        let said = Said::read(&line.text).map_err(wrong)?;
        if said.fields().number("seq").is_some_and(|own| own != signed(seq)) {
            return Err(wrong("it has another number"));
        }
        if said.fields().text("node").is_some_and(|own| own != node.as_str()) {
            return Err(wrong("it is of another node"));
        }
        let follows = said.prev().is_none_or(|prev| prev == stored.1.to_string());
        if last == stored.0 && !follows {
            return Err(StoreError::OtherChain { node: node.clone(), seq: last });
        }
        last = seq;
        numbered.push(Numbered { seq, text: &line.text, said });
    }
    Ok(numbered)
}

/// Writes the lines and everything that follows from them.
async fn write(
    connection: &mut AnyConnection,
    node: &NodeName,
    lines: &[Numbered<'_>],
) -> Result<(), StoreError> {
    let mut events = Vec::with_capacity(lines.len());
    let (mut words, mut mentions) = (BTreeSet::new(), BTreeSet::new());
    for line in lines {
        let text = line.said.text();
        if let (Some(text), Some(whose)) = (&text, subject(line.said.session, line.said.connection)) {
            for word in words_of(text) {
                mentions.insert((word.clone(), whose.clone()));
                words.insert(word);
            }
        }
        events.push(vec![
            Value::from(node.as_str()),
            signed(line.seq).into(),
            line.said.time.into(),
            line.said.event.as_str().into(),
            line.said.connection.map(|id| id.to_string()).into(),
            line.said.session.map(|id| id.to_string()).into(),
            text.into(),
            line.text.into(),
        ]);
    }
    insert(connection, "events", EVENT_COLUMNS, events, "").await?;
    // In order, so that two nodes that write the same words do not wait for each other in a circle.
    let words = words.into_iter().map(|word| vec![Value::from(word)]).collect();
    insert(connection, "words", &["word"], words, " ON CONFLICT DO NOTHING").await?;
    let mentions = mentions.into_iter().map(|(word, whose)| vec![Value::from(word), whose.into()]).collect();
    insert(connection, "mentions", &["word", "subject"], mentions, " ON CONFLICT DO NOTHING").await?;

    fold::<ConnectionRow>(connection, node, lines).await?;
    fold::<SessionRow>(connection, node, lines).await?;
    fold::<RecordedRow>(connection, node, lines).await?;
    let decisions = lines.iter().filter_map(|line| DecisionRow::of(node, line.seq, &line.said)).collect();
    put::<DecisionRow>(connection, decisions).await?;
    let head = lines.iter().rev().find_map(|line| HeadRow::of(node, line.seq, &line.said));
    put::<HeadRow>(connection, head.into_iter().collect()).await
}

pub(super) const EVENT_COLUMNS: &[&str] =
    &["node", "seq", "time", "event", "connection", "session", "text", "line"];

/// Stands for words that are too many to be looked up: whose it is must be looked into.
pub(super) const MORE_WORDS: &str = "…";

/// The words under which a text is found.
pub(super) fn words_of(text: &str) -> BTreeSet<String> {
    let mut words = line::words(text);
    if !line::wholly_in_words(text) {
        words.insert(MORE_WORDS.to_owned());
    }
    words
}

/// Brings the rows of one table up to date.
async fn fold<T: Folded>(
    connection: &mut AnyConnection,
    node: &NodeName,
    lines: &[Numbered<'_>],
) -> Result<(), StoreError> {
    let about = |line: &Numbered<'_>| T::EVENTS.contains(&line.said.event.as_str());
    let of_table: Vec<_> =
        lines.iter().filter(|line| about(line)).filter_map(|line| Some((T::id(&line.said)?, line))).collect();
    let ids: BTreeSet<&str> = of_table.iter().map(|(id, _)| id.as_str()).collect();
    let before = present::<T>(connection, &ids).await?;
    let mut after = before.clone();
    for (id, line) in &of_table {
        let row = T::after(after.remove(id), node, &line.said);
        after.extend(row.map(|row| (id.clone(), row)));
    }
    let changed = after.into_iter().filter(|(id, row)| before.get(id) != Some(row)).map(|(_, row)| row);
    put::<T>(connection, changed.collect()).await
}

/// The rows with these ids that there are.
pub(super) async fn present<T: Folded>(
    connection: &mut AnyConnection,
    ids: &BTreeSet<&str>,
) -> Result<BTreeMap<String, T>, StoreError> {
    let mut found = BTreeMap::new();
    let mut left: &[&str] = &ids.iter().copied().collect::<Vec<_>>();
    while let Some((now, later)) = left.split_at_checked(piece(left.len())).filter(|(now, _)| !now.is_empty())
    {
        left = later;
        let mut sql = Sql::default();
        sql.push("SELECT ").push(&T::COLUMNS.join(", ")).push(" FROM ").push(T::NAME).push(" WHERE id IN ");
        sql.bind_all(now.iter().copied());
        for row in sql.query().fetch_all(&mut *connection).await? {
            let row = T::read(&row)?;
            found.insert(row.own_id(), row);
        }
    }
    Ok(found)
}

/// Writes rows; one that is there already gets the new derived values.
pub(super) async fn put<T: Table>(connection: &mut AnyConnection, rows: Vec<T>) -> Result<(), StoreError> {
    let others = T::COLUMNS.iter().filter(|column| !T::KEY.contains(column));
    let set: Vec<String> = others.map(|column| format!("{column} = excluded.{column}")).collect();
    let conflict = format!(" ON CONFLICT ({}) DO UPDATE SET {}", T::KEY.join(", "), set.join(", "));
    let rows = rows.iter().map(Table::values).collect();
    insert(connection, T::NAME, T::COLUMNS, rows, &conflict).await
}

/// Writes rows in pieces.
async fn insert(
    connection: &mut AnyConnection,
    table: &str,
    columns: &[&str],
    mut rows: Vec<Vec<Value>>,
    conflict: &str,
) -> Result<(), StoreError> {
    rows.reverse();
    while !rows.is_empty() {
        let now = rows.split_off(rows.len().saturating_sub(piece(rows.len())));
        let mut sql = Sql::default();
        sql.push("INSERT INTO ").push(table).push(" (").push(&columns.join(", ")).push(") VALUES ");
        for (number, row) in now.into_iter().rev().enumerate() {
            sql.push(if number == 0 { "" } else { ", " }).bind_all(row);
        }
        sql.push(conflict);
        sql.query().execute(&mut *connection).await?;
    }
    Ok(())
}
