//! What heads say: of the node's own chain, and of others'.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::chain::{At, Chain, Seen};
use super::report::{Break, Finding};
use super::wire::HeadWire;
use crate::audit::chain::LineHash;
use crate::audit::{AuditKeys, Distrust, NodeHead, Statement};

/// What the heads of one node have established.
#[derive(Debug, Default)]
pub(super) struct Seals {
    /// The lines that heads vouch for.
    signed: BTreeMap<u64, LineHash>,
    /// The lines since the last of them: number, hash and place.
    recent: VecDeque<(u64, LineHash, At)>,
    /// Heads whose line was not among the recent ones: what they say, and where.
    unplaced: Vec<(u64, Finding)>,
    /// The last line that a head vouches for, and the time of that head.
    through: Option<(u64, String)>,
    /// The first line behind the last head, and the last line; by the times that they tell.
    unsigned: Option<(Seen, String)>,
    heads: u64,
    /// A head has been told whose key is none of those given.
    stranger: bool,
}

/// The most lines between two heads that are remembered.
const RECENT_MAX: usize = 1 << 20;
/// The most heads without their line that are remembered.
const UNPLACED_MAX: usize = 100;

impl Seals {
    /// The hash that a head has signed for a line.
    pub(super) fn signed_hash(&self, seq: u64) -> Option<LineHash> {
        self.signed.get(&seq).copied()
    }

    /// The last line that is vouched for, and the time of the head that does.
    pub(super) fn through(&self) -> Option<(u64, &str)> {
        self.through.as_ref().map(|(seq, time)| (*seq, time.as_str()))
    }

    /// How many heads were taken.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    pub(super) fn line(&mut self, seen: &Seen) {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((seen.seq, seen.hash, seen.at));
        match &mut self.unsigned {
            Some((_, last)) => last.clone_from(&seen.time),
            // A head vouches for what comes before it; itself it is the next one's matter.
            None if seen.event == "head" => {}
            None => self.unsigned = Some((seen.clone(), seen.time.clone())),
        }
    }

    /// Takes a head; what is wrong with it.
    pub(super) fn head(
        &mut self,
        node: &str,
        seen: &Seen,
        text: &str,
        keys: &AuditKeys,
        quotes: &mut Vec<Quote>,
    ) -> Option<Finding> {
        let bad = |what, why: &str| Some(Finding::of(what, node, seen).saying(why).at(seen.at.position));
        let Some(head) = HeadWire::read(text) else {
            return bad(Break::BadHead, "it is no well-formed head");
        };
        if !keys.is_empty() {
            match keys.check(&head.key, &statement(node, &head).text(), &head.signature) {
                Ok(()) => {}
                Err(Distrust::UnknownKey) => {
                    // All later ones are the same stranger's, most likely: the first is told.
                    if std::mem::replace(&mut self.stranger, true) {
                        return None;
                    }
                    return bad(
                        Break::UnknownKey,
                        "its key is none of those given; if it is this node's, give it with --key",
                    );
                }
                Err(Distrust::BadSignature) => {
                    return bad(
                        Break::BadSignature,
                        "its signature is not its key's: the head was changed, or belongs elsewhere",
                    );
                }
            }
        }
        let hash = LineHash::parse(&head.hash)?;
        if head.through >= seen.seq {
            return bad(Break::BadHead, "it vouches for records behind itself");
        }
        self.heads = self.heads.saturating_add(1);
        let found = self.vouch(node, seen, head.through, hash);
        for other in &head.others {
            let hash = LineHash::parse(&other.hash)?;
            Quote::add(
                quotes,
                Quote {
                    by: Witness::Head { node: node.to_owned(), seq: seen.seq },
                    node: other.node.clone(),
                    through: other.through,
                    hash,
                },
            );
        }
        found
    }

    /// A head vouches for a line; says so where the line is another.
    fn vouch(&mut self, node: &str, seen: &Seen, through: u64, hash: LineHash) -> Option<Finding> {
        if self.signed.get(&through) != Some(&hash) {
            let mut its = self.recent.iter().rev().filter(|(seq, _, _)| *seq == through).peekable();
            match its.peek() {
                None => {
                    let finding = Finding::of(Break::BadHead, node, seen)
                        .saying(format!("it vouches for record {through}, which does not stand before it"));
                    if self.unplaced.len() < UNPLACED_MAX {
                        self.unplaced.push((through, finding.at(seen.at.position)));
                    }
                    return None;
                }
                Some((_, _, at)) => {
                    let at = *at;
                    if !its.any(|(_, there, _)| *there == hash) {
                        let text = format!("the head at record {} has signed another hash for it", seen.seq);
                        let mut finding =
                            Finding::of_node(Break::Changed, node, through).saying(text).at(at.position);
                        finding.where_at = Some(at);
                        return Some(finding);
                    }
                }
            }
        }
        self.signed.insert(through, hash);
        while self.recent.front().is_some_and(|(seq, _, _)| *seq < through) {
            self.recent.pop_front();
        }
        if self.through.as_ref().is_none_or(|(before, _)| *before < through) {
            self.through = Some((through, seen.time.clone()));
            self.unsigned = None;
        }
        None
    }

    /// Heads that vouch for a line that an unbroken chain has, but not where it could be compared.
    pub(super) fn unplaced(&self, chain: &Chain) -> Vec<Finding> {
        let first = chain.first().map_or(0, |first| first.seq);
        self.unplaced
            .iter()
            .filter(|(through, _)| *through >= first)
            .map(|(_, finding)| finding.clone())
            .collect()
    }

    /// Whether records have gone unsigned for longer than they should.
    pub(super) fn too_long_unsigned(&self, node: &str, max: Duration) -> Option<Finding> {
        let (first, last) = self.unsigned.as_ref()?;
        let time = |text: &str| text.parse::<Timestamp>().ok();
        let span = time(last)?.duration_since(time(&first.time)?);
        if span.unsigned_abs() <= max || span.is_negative() {
            return None;
        }
        let text = "no head vouches for it and what follows, although it is old enough for one";
        Some(Finding::of(Break::Unsigned, node, first).saying(text).at(first.at.position))
    }
}

fn statement<'a>(node: &'a str, head: &'a HeadWire) -> Statement<'a> {
    Statement {
        node,
        through: head.through,
        hash: &head.hash,
        others: head.others.iter().map(|o| (o.node.as_str(), o.through, o.hash.as_str())).collect(),
    }
}

/// A line that is known from elsewhere by its hash, and is another.
pub(super) fn differs(through: u64, hash: LineHash, whose: &str, node: &str, seen: &Seen) -> Option<Finding> {
    (seen.seq == through && seen.hash != hash).then(|| {
        let text = format!("{whose} has another hash for it");
        Finding::of(Break::Changed, node, seen).saying(text).at(seen.at.position)
    })
}

/// Who says something of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Witness {
    /// The head of a node, in one of its records.
    Head { node: String, seq: u64 },
    /// Whoever asks for the verification.
    Given,
    /// Somebody else, as the words say.
    Other(&'static str),
}

/// What one node's head, or somebody else, says of another node's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Quote {
    by: Witness,
    pub(super) node: String,
    pub(super) through: u64,
    pub(super) hash: LineHash,
}

impl Quote {
    pub(super) fn by(by: Witness, head: &NodeHead) -> Self {
        Self { by, node: head.node.to_string(), through: head.through, hash: head.hash }
    }

    /// Whether it is held against the line itself when that comes, and not against a head.
    pub(super) fn is_of_a_line(&self) -> bool {
        match self.by {
            Witness::Head { .. } => false,
            Witness::Given | Witness::Other(_) => true,
        }
    }

    /// A line that it knows by its hash, and that is another.
    pub(super) fn differs(&self, seen: &Seen) -> Option<Finding> {
        differs(self.through, self.hash, &self.whose(), &self.node, seen)
    }

    /// Keeps one quote for each line that is quoted: the first.
    fn add(quotes: &mut Vec<Self>, quote: Self) {
        // Heads quote the same line until the other node has a new one, so the last quotes are where it is.
        let known = quotes.iter().rev().take(256).any(|known| {
            (&known.node, known.through, known.hash) == (&quote.node, quote.through, quote.hash)
        });
        if !known {
            quotes.push(quote);
        }
    }

    fn whose(&self) -> String {
        match &self.by {
            Witness::Head { node, seq } => {
                format!("the head of the node {} in its record {seq}", super::shown(node))
            }
            Witness::Given => "the head that was given".to_owned(),
            Witness::Other(whose) => (*whose).to_owned(),
        }
    }

    /// The chain ends before the line that was quoted; up to `pruned`, it may.
    pub(super) fn cut_off(&self, pruned: u64, last: Option<&Seen>) -> Finding {
        let text = match last {
            Some(last) => format!(
                "it and all after it are missing: the last record there is was written at {}, and {} knows the chain up to record {}",
                super::shown(&last.time),
                self.whose(),
                self.through
            ),
            None => format!(
                "all its records are missing: {} knows the chain up to record {}",
                self.whose(),
                self.through
            ),
        };
        let from = last.map_or(pruned, |last| last.seq).saturating_add(1);
        Finding::of_node(Break::CutOff, &self.node, from).saying(text)
    }

    /// The chain has a line of that number. It was quoted from a head of the node's own, so there must be that head.
    pub(super) fn against(&self, seals: &Seals, last: &Seen) -> Option<Finding> {
        if let Some(signed) = seals.signed_hash(self.through) {
            let text = format!("{} has another hash for it", self.whose());
            return (signed != self.hash)
                .then(|| Finding::of_node(Break::Rewritten, &self.node, self.through).saying(text));
        }
        if seals.through().is_none_or(|(through, _)| through < self.through) {
            return Some(self.cut_off(0, Some(last)));
        }
        let text = format!("{} knows a head for it that is not there", self.whose());
        Some(Finding::of_node(Break::Rewritten, &self.node, self.through).saying(text))
    }
}
