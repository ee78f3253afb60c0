//! `sessions kill`: an order that the node which carries the session obeys, wherever it is.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::RecordDesk;
use super::args::KillArgs;
use super::permission::Asker;
use super::story::why;
use super::trouble::Trouble;
use crate::console::answer::{Answer, Verdict};
use crate::console::stage::{Live, Stage};
use crate::domain::Action;
use crate::store::{Ordered, SessionRow};

/// How long the node may take to obey before whoever asked is told that it did not answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often the store is asked meanwhile.
const LOOK: Duration = Duration::from_millis(250);
/// Who ordered, where it was done on a node's command line.
const OPERATOR: &str = "operator";

pub(super) async fn kill(desk: RecordDesk, args: KillArgs) -> Result<Answer, Trouble> {
    let row = desk.find(&args.session, Some(&Action::Kill)).await?;
    if !desk.is_own(&row) && !desk.may(&Action::Kill, &row).await {
        return Err(Trouble::say(lacking(&row, "kill")));
    }
    if row.ended.is_some() {
        return Err(over(&row));
    }
    let by_operator = desk.is_operator();
    Ok(Answer::live(Live::new(move |stage| async move {
        let given = order(&stage, &desk, &row, args.reason.as_deref()).await;
        Trouble::conclude(given, &stage, by_operator).await
    })))
}

impl RecordDesk {
    /// Who gives an order, and from where.
    pub(super) fn orderer(&self) -> (String, Option<IpAddr>) {
        match &self.asker {
            Asker::Operator => (OPERATOR.to_owned(), None),
            Asker::Person(person) => (person.identity.user.to_string(), Some(person.identity.client_addr)),
        }
    }
}

pub(super) fn over(row: &SessionRow) -> Trouble {
    Trouble::say(format!("the session {} has ended already.", row.id))
}

/// What is said to somebody who may see a session and do nothing to it.
pub(super) fn lacking(row: &SessionRow, permission: &str) -> String {
    format!(
        "you do not have the permission `{permission}` for the session {}; ask whoever manages your access.",
        row.id
    )
}

async fn order(
    stage: &Stage,
    desk: &RecordDesk,
    row: &SessionRow,
    reason: Option<&str>,
) -> Result<Verdict, Trouble> {
    let store = &desk.archive.store;
    let (by, from) = desk.orderer();
    match store.order_kill(&row.id, &by, from, reason, desk.now).await? {
        Ordered::Placed(_) => {}
        Ordered::NoSuchSession | Ordered::Ended => return Err(over(row)),
    }
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let ended = store.session_by_id(&row.id).await?.filter(|row| row.ended.is_some());
        if let Some(ended) = ended {
            let ending = ended.ending.as_deref().unwrap_or_default();
            stage.say(format!("The session {} has ended: {}.\n", row.id, why(ending))).await?;
            return Ok(Verdict::Yes);
        }
        sleep(LOOK).await;
    }
    Err(Trouble::say(format!(
        "the order is given, but the bastion {} that carries the session has not obeyed within {} seconds; it will when \
         it reaches the database again, and if it is down the session is over.",
        row.node,
        PATIENCE.as_secs()
    )))
}
