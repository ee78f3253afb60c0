//! Whether the derived rows are what the lines make of them.

use std::collections::{BTreeMap, BTreeSet};

use super::append::EVENT_COLUMNS;
use super::derive::Folded;
use super::events::EventRow;
use super::line::Said;
use super::rows::{Cells, ConnectionRow, DecisionRow, HeadRow, RecordedRow, SessionRow, Table};
use super::sql::{Sql, signed};
use super::{LineHash, Store, StoreError, answered};
use crate::domain::NodeName;

/// One row that is not what the lines say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The table.
    pub table: &'static str,
    /// The row's id; of an event or a decision, its node and number.
    pub row: String,
    /// What is wrong with it.
    pub what: &'static str,
}

/// What came out of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many rows were compared.
    pub rows: u64,
    /// The first that differ, at most [`Checked::TOLD_MAX`].
    pub mismatches: Vec<Mismatch>,
    /// How many more differ.
    pub more: u64,
}

impl Checked {
    /// How many rows that differ are told.
    pub const TOLD_MAX: usize = 100;

    fn differs(&mut self, table: &'static str, row: impl Into<String>, what: &'static str) {
        if self.mismatches.len() < Self::TOLD_MAX {
            self.mismatches.push(Mismatch { table, row: row.into(), what });
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    fn compared(&mut self, rows: usize) {
        self.rows = self.rows.saturating_add(u64::try_from(rows).unwrap_or(u64::MAX));
    }
}

/// How many rows are compared at a time.
const PAGE: u32 = 200;

/// How often a row that changes while it is compared is looked at: more often than one can change.
const LOOKS_MAX: u32 = 32;

/// What a row says that its lines do not.
const NOT_AS_LINES: &str = "it does not say what its lines say";

impl Store {
    /// Compares every derived row with what the lines make of it: the columns of events, connections,
    /// sessions, decisions, the index of recordings, heads. Words for searching are not compared. May
    /// run beside writers.
    ///
    /// # Errors
    /// When the database does not answer. A row that cannot be read is a mismatch.
    pub async fn check_derived(&self) -> Result<Checked, StoreError> {
        let mut checked = Checked::default();
        for node in self.nodes().await? {
            self.check_events(&node, &mut checked).await?;
            self.check_position(&node, &mut checked).await?;
            self.check_head(&node, &mut checked).await?;
        }
        self.check_table::<ConnectionRow>(&mut checked).await?;
        self.check_table::<SessionRow>(&mut checked).await?;
        self.check_table::<RecordedRow>(&mut checked).await?;
        Ok(checked)
    }

    /// The columns of events, decisions, and whether the rows that the lines begin are there.
    async fn check_events(&self, node: &NodeName, checked: &mut Checked) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let mut sql = Sql::default();
            sql.push("SELECT ").push(&EVENT_COLUMNS.join(", ")).push(" FROM events WHERE node = ");
            sql.bind(node.as_str()).push(" AND seq > ").bind(signed(after)).push(" ORDER BY seq LIMIT ");
            sql.bind(i64::from(PAGE));
            let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            let (from, to) = (after, Cells { row: last, table: "events" }.count("seq")?);
            after = to;
            checked.compared(rows.len());
            let mut lines = Vec::with_capacity(rows.len());
            for row in &rows {
                let cells = Cells { row, table: "events" };
                let (seq, line) = (cells.count("seq")?, cells.text("line")?);
                match (EventRow::read(row), Said::read(&line)) {
                    (Ok(event), Ok(said)) => {
                        if !same(&event, cells.maybe_text("text")?, &said) {
                            checked.differs(
                                "events",
                                format!("{node} {seq}"),
                                "its columns are not what its line says",
                            );
                        }
                        lines.push((seq, said));
                    }
                    _ => checked.differs("events", format!("{node} {seq}"), "it cannot be read"),
                }
            }
            self.check_decisions(node, from, to, &lines, checked).await?;
            self.check_begun::<ConnectionRow>(node, &lines, checked).await?;
            self.check_begun::<SessionRow>(node, &lines, checked).await?;
            self.check_begun::<RecordedRow>(node, &lines, checked).await?;
        }
    }

    async fn check_decisions(
        &self,
        node: &NodeName,
        after: u64,
        to: u64,
        lines: &[(u64, Said)],
        checked: &mut Checked,
    ) -> Result<(), StoreError> {
        let mut sql = Sql::default();
        sql.push("SELECT ").push(&DecisionRow::COLUMNS.join(", ")).push(" FROM decisions WHERE node = ");
        sql.bind(node.as_str()).push(" AND seq > ").bind(signed(after)).push(" AND seq <= ").bind(signed(to));
        let held: Vec<DecisionRow> = self.rows(sql).await?;
        let mut held: BTreeMap<u64, DecisionRow> = held.into_iter().map(|row| (row.seq, row)).collect();
        checked.compared(held.len());
        for said in lines.iter().filter_map(|(seq, said)| DecisionRow::of(node, *seq, said)) {
            let name = || format!("{node} {}", said.seq);
            match held.remove(&said.seq) {
                Some(row) if row == said => {}
                Some(_) => checked.differs(DecisionRow::NAME, name(), NOT_AS_LINES),
                None => checked.differs(DecisionRow::NAME, name(), "it is missing"),
            }
        }
        for seq in held.keys() {
            checked.differs(DecisionRow::NAME, format!("{node} {seq}"), "there is no such line");
        }
        Ok(())
    }

    /// Whether there are the rows that these lines begin.
    async fn check_begun<T: Folded>(
        &self,
        node: &NodeName,
        lines: &[(u64, Said)],
        checked: &mut Checked,
    ) -> Result<(), StoreError> {
        let begins = |said: &Said| {
            let about = T::EVENTS.contains(&said.event.as_str());
            T::after(None, node, said).filter(|_| about).map(|row| row.own_id())
        };
        let ids: BTreeSet<String> = lines.iter().filter_map(|(_, said)| begins(said)).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut sql = Sql::default();
        sql.push("SELECT id FROM ")
            .push(T::NAME)
            .push(" WHERE id IN ")
            .bind_all(ids.iter().map(String::as_str));
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        let mut present = BTreeSet::new();
        for row in &rows {
            present.insert(Cells { row, table: T::NAME }.text("id")?);
        }
        for id in ids.difference(&present) {
            checked.differs(T::NAME, id, "it is missing");
        }
        Ok(())
    }

    /// Whether the rows of a table are what their lines make of them.
    async fn check_table<T: Folded>(&self, checked: &mut Checked) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let mut sql = Sql::default();
            sql.push("SELECT ")
                .push(&T::COLUMNS.join(", "))
                .push(" FROM ")
                .push(T::NAME)
                .push(" WHERE id > ");
            sql.bind(after.as_str()).push(" ORDER BY id LIMIT ").bind(i64::from(PAGE));
            let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Cells { row: last, table: T::NAME }.text("id")?;
            checked.compared(rows.len());
            for row in &rows {
                let id = Cells { row, table: T::NAME }.text("id")?;
                match T::read(row) {
                    Err(_) => checked.differs(T::NAME, id, "it cannot be read"),
                    Ok(row) => {
                        if !self.as_its_lines(row).await? {
                            checked.differs(T::NAME, id, NOT_AS_LINES);
                        }
                    }
                }
            }
        }
    }

    /// Whether a row is what its lines make of it. Lines may be stored meanwhile, so a row that differs is judged only
    /// where it was the same before and after its lines were read: a line and what follows from it are stored together.
    async fn as_its_lines<T: Folded>(&self, mut row: T) -> Result<bool, StoreError> {
        let id = row.own_id();
        for _ in 0..LOOKS_MAX {
            if self.made_of_lines::<T>(&row).await?.as_ref() == Some(&row) {
                return Ok(true);
            }
            match self.row_now::<T>(&id).await? {
                Some(now) if now == row => return Ok(false),
                Some(now) => row = now,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// The row with that id, if there is one.
    async fn row_now<T: Folded>(&self, id: &str) -> Result<Option<T>, StoreError> {
        let mut sql = Sql::default();
        sql.push("SELECT ").push(&T::COLUMNS.join(", ")).push(" FROM ").push(T::NAME).push(" WHERE id = ");
        sql.bind(id);
        Ok(self.rows(sql).await?.pop())
    }

    /// What the lines make of a row.
    async fn made_of_lines<T: Folded>(&self, row: &T) -> Result<Option<T>, StoreError> {
        let Some(under) = row.found_under() else { return Ok(T::without_lines(row)) };
        let mut sql = Sql::new("SELECT node, line FROM events WHERE ");
        sql.push(T::FOUND_BY)
            .push(" = ")
            .bind(under)
            .push(" AND event IN ")
            .bind_all(T::EVENTS.iter().copied());
        sql.push(" ORDER BY node, seq");
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        let (id, mut made) = (row.own_id(), None);
        for row in &rows {
            let cells = Cells { row, table: "events" };
            let (node, line) = (cells.parsed("node", NodeName::parse)?, cells.text("line")?);
            let said = Said::read(&line).ok().filter(|said| T::id(said).as_ref() == Some(&id));
            if let Some(said) = said {
                made = T::after(made, &node, &said);
            }
        }
        Ok(made)
    }

    /// Whether the last line is the one that was written last.
    async fn check_position(&self, node: &NodeName, checked: &mut Checked) -> Result<(), StoreError> {
        checked.compared(1);
        if !self.position_is_last(node).await? {
            checked.differs("nodes", node.as_str(), "the last line is not the one that was stored last");
        }
        Ok(())
    }

    async fn position_is_last(&self, node: &NodeName) -> Result<bool, StoreError> {
        // One statement sees one state, whatever is stored meanwhile.
        let mut sql = Sql::new(
            "SELECT n.seq AS stored, n.hash AS hash, e.seq AS seq, e.line AS line FROM nodes n \
             LEFT JOIN events e ON e.node = n.node AND e.seq = (SELECT MAX(seq) FROM events WHERE node = n.node) \
             WHERE n.node = ",
        );
        sql.bind(node.as_str());
        let row = answered(async { Ok(sql.query().fetch_optional(&self.pool).await?) }).await?;
        // A node that has lines has a row that says how many.
        let Some(row) = row else { return Ok(false) };
        let cells = Cells { row: &row, table: "nodes" };
        let stored = cells.count("stored")?;
        let (Some(seq), Some(line)) = (cells.maybe_count("seq")?, cells.maybe_text("line")?) else {
            // Where all lines are gone, they were pruned, or somebody removed them.
            let through = self.prunings().await?.into_iter().filter(|pruning| pruning.node == *node);
            return Ok(through.map(|pruning| pruning.through).max() == Some(stored));
        };
        Ok((stored, cells.text("hash")?) == (seq, LineHash::of(&line).to_string()))
    }

    /// Whether the head of a node is its last one. Judged only where it was the same before and after its line was read.
    async fn check_head(&self, node: &NodeName, checked: &mut Checked) -> Result<(), StoreError> {
        checked.compared(1);
        let mut held = self.held_head(node).await?;
        for _ in 0..LOOKS_MAX {
            if held == self.head_of_lines(node).await? {
                return Ok(());
            }
            let now = self.held_head(node).await?;
            if now == held {
                break;
            }
            held = now;
        }
        checked.differs(HeadRow::NAME, node.as_str(), NOT_AS_LINES);
        Ok(())
    }

    async fn held_head(&self, node: &NodeName) -> Result<Option<HeadRow>, StoreError> {
        Ok(self.heads().await?.into_iter().find(|head| head.node == *node))
    }

    /// The last head among a node's lines.
    async fn head_of_lines(&self, node: &NodeName) -> Result<Option<HeadRow>, StoreError> {
        let mut sql = Sql::new("SELECT seq, line FROM events WHERE event = 'head' AND node = ");
        sql.bind(node.as_str()).push(" ORDER BY seq DESC LIMIT 1");
        let row = answered(async { Ok(sql.query().fetch_optional(&self.pool).await?) }).await?;
        let Some(row) = row else { return Ok(None) };
        let cells = Cells { row: &row, table: "events" };
        let (seq, line) = (cells.count("seq")?, cells.text("line")?);
        Ok(Said::read(&line).ok().and_then(|said| HeadRow::of(node, seq, &said)))
    }
}

fn same(event: &EventRow, text: Option<String>, said: &Said) -> bool {
    event.time.as_millisecond() == said.time
        && event.event == said.event
        && event.connection == said.connection
        && event.session == said.session
        && text == said.text()
}
