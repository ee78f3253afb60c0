//! Who may see what of the record.

use std::sync::Arc;

use super::RecordDesk;
use super::ids::SessionStart;
use super::trouble::Trouble;
use crate::domain::{Action, Identity, Login, Target, TargetRef};
use crate::policy::{Permit, Policy, Question};
use crate::store::{Found, SessionRow};
use crate::target::{Inventory, Resolution};

/// Who asks.
#[derive(Debug, Clone)]
pub enum Asker {
    /// Whoever reads the configuration file and the database: they have everything already.
    Operator,
    /// Somebody who logged in.
    Person(Person),
}

/// Somebody who logged in, and what decides about them.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who they are.
    pub identity: Arc<Identity>,
    /// The policy of this moment.
    pub policy: Arc<Policy>,
    /// The machines there are.
    pub inventory: Inventory,
}

/// What lets somebody do something to a session.
#[derive(Debug)]
pub(super) enum Permitted {
    /// They are at the node itself.
    Operator,
    /// Policy does.
    By(Box<Permit>),
}

impl Permitted {
    /// The permit, where one is needed.
    pub(super) fn permit(self) -> Option<Permit> {
        match self {
            Self::Operator => None,
            Self::By(permit) => Some(*permit),
        }
    }
}

/// What those need who may see their own sessions only.
pub(super) const ASK_FOR_AUDIT: &str =
    "for other people's you need the permission `audit`; ask whoever manages your access.";

impl RecordDesk {
    /// Whether they may read the whole record.
    pub(super) fn may_audit(&self) -> bool {
        match &self.asker {
            Asker::Operator => true,
            Asker::Person(person) => person.policy.decide_audit(&person.identity, self.now).is_ok(),
        }
    }

    /// The whole record is needed for `what`.
    pub(super) fn need_audit(&self, what: &str) -> Result<(), Trouble> {
        if self.may_audit() {
            return Ok(());
        }
        Err(Trouble::say(format!("{what} needs the permission `audit`; ask whoever manages your access.")))
    }

    /// Whether the session is the asker's own.
    pub(super) fn is_own(&self, row: &SessionRow) -> bool {
        match &self.asker {
            Asker::Operator => false,
            Asker::Person(person) => row.user == person.identity.user.as_str(),
        }
    }

    /// Whether policy lets them watch or end that session, by the copies of the inventory alone.
    pub(super) fn may_by_copy(&self, action: &Action, row: &SessionRow) -> bool {
        match &self.asker {
            Asker::Operator => true,
            Asker::Person(person) => {
                let Ok(wanted) = TargetRef::parse(&row.target_id) else { return false };
                self.decide(person, action, row, person.inventory.known(&wanted)).is_some()
            }
        }
    }

    /// Whether policy lets them watch or end that session.
    pub(super) async fn may(&self, action: &Action, row: &SessionRow) -> bool {
        self.permitted(action, row).await.is_some()
    }

    /// By what they may watch or end that session; nothing where they may not.
    pub(super) async fn permitted(&self, action: &Action, row: &SessionRow) -> Option<Permitted> {
        match &self.asker {
            Asker::Operator => Some(Permitted::Operator),
            Asker::Person(person) => {
                let wanted = TargetRef::parse(&row.target_id).ok()?;
                let found = person.inventory.resolve(&wanted).await;
                self.decide(person, action, row, found).map(Box::new).map(Permitted::By)
            }
        }
    }

    /// The rules are about the machine as it is now; of one that is listed no more they can say nothing, and what no
    /// rule permits is refused.
    fn decide(
        &self,
        person: &Person,
        action: &Action,
        row: &SessionRow,
        found: Resolution,
    ) -> Option<Permit> {
        let candidates = match found {
            Resolution::Found(target) => vec![target],
            Resolution::Ambiguous(targets) => targets,
            Resolution::Unknown | Resolution::Unavailable => Vec::new(),
        };
        let login = Login::parse(&row.login).ok()?;
        let target = candidates.iter().find(|target| is_of(target, row))?;
        let question = Question { identity: &person.identity, target, login: &login, action, now: self.now };
        person.policy.decide(&question).ok()
    }

    /// The one session whose id begins like that, of those that they may see, `watch` or `kill` included where that is
    /// what they are about to do.
    pub(super) async fn find(
        &self,
        start: &SessionStart,
        to: Option<&Action>,
    ) -> Result<SessionRow, Trouble> {
        let audits = self.may_audit();
        let rows = match self.archive.store.session(start.as_str()).await? {
            Found::One(row) => vec![*row],
            Found::Several(rows) => rows,
            Found::Nothing => Vec::new(),
        };
        let mut theirs = Vec::new();
        for row in rows {
            let of_them = match to {
                // What is done to a session needs a permission of its own, and does not need to see the record.
                Some(action) => {
                    self.may(action, &row).await || (*action == Action::Kill && self.is_own(&row)) || audits
                }
                None => audits || self.is_own(&row),
            };
            if of_them {
                theirs.push(row);
            }
        }
        let mut theirs = theirs.into_iter();
        match (theirs.next(), theirs.next()) {
            (Some(row), None) => Ok(row),
            (Some(first), Some(second)) => Err(Trouble::say(format!(
                "several sessions begin with {start}: {}, {}{}; give more of the id.",
                first.id,
                second.id,
                if theirs.next().is_some() { " and others" } else { "" }
            ))),
            (None, _) => Err(Trouble::say(self.no_session(start, to, audits))),
        }
    }

    fn no_session(&self, start: &SessionStart, to: Option<&Action>, audits: bool) -> String {
        if audits {
            return format!("there is no session {start}; `sessions list` has those there are.");
        }
        match to {
            Some(action) => format!(
                "there is no session {start} for which you have the permission `{}`; ask whoever manages your access.",
                action.kind().name()
            ),
            None => format!("there is no session {start} of yours; {ASK_FOR_AUDIT}"),
        }
    }
}

/// Whether that is the very machine of the session: ids are unique within an account and a region.
fn is_of(target: &Target, row: &SessionRow) -> bool {
    target.id.as_str() == row.target_id
        && target.account == row.target_account
        && target.region == row.target_region
}
