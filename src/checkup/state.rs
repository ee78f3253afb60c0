//! The store, and the bucket that recordings are kept in.

use std::sync::Arc;

use super::check::{Check, Subject};
use super::errands::Errands;
use crate::aws::IAM_ACTIONS;
use crate::config::Config;
use crate::record::vault::{TryOut, TryOutStep, Vault};
use crate::store::{Glance, Store};

pub(super) fn send(errands: &mut Errands, config: &Arc<Config>) {
    let ours = Arc::clone(config);
    errands.send(Subject::Store, "the store", async move { vec![store(&ours).await] });
    if let Some(bucket) = config.recording.upload_to.clone() {
        let name = bucket.bucket.clone();
        errands.send(Subject::Recordings, format!("the bucket {name}"), async move {
            let tried = match Vault::open(Some(&bucket)) {
                Ok(vault) => vault.try_out().await,
                Err(error) => Err(TryOut { step: TryOutStep::Begin, denied: false, text: error.to_string() }),
            };
            vec![recordings(tried).about(format!("s3://{name}"))]
        });
    }
}

async fn store(config: &Config) -> Check {
    match Store::glance(&config.store).await {
        Ok(Glance::Absent) => Check::sound(Subject::Store, "The database is made at the first start."),
        Ok(Glance::Current) => Check::sound(Subject::Store, "The database answers, and its tables are those of this version."),
        Ok(Glance::Older) => Check::unknown(
            Subject::Store,
            "The database answers; its tables are of an older version, and are brought up to date at the next start.",
        )
        .change("Make a backup first: an older drawbridge does not open them afterwards."),
        Err(error) => {
            let text = error.to_string();
            Check::broken(
                Subject::Store,
                format!("The database cannot be used: {}.", text.trim_end_matches('.')),
                "Repair it, or correct store.url; until then no session can begin.",
            )
        }
    }
}

pub(super) fn recordings(tried: Result<(), TryOut>) -> Check {
    let Err(TryOut { step, denied, text }) = tried else {
        return Check::sound(Subject::Recordings, "The bucket takes recordings and gives them back.");
    };
    let text = text.trim_end_matches('.');
    let (what, permission) = match step {
        TryOutStep::Begin => ("an upload could not be begun", "s3:PutObject"),
        TryOutStep::CallOff => {
            ("an upload that was begun could not be called off", "s3:AbortMultipartUpload")
        }
        TryOutStep::Read => ("S3 does not say whether a recording is there", "s3:ListBucket"),
    };
    // S3 names the action that is missing, where that is another one.
    let named = IAM_ACTIONS.iter().map(|action| action.name).filter(|name| text.contains(name));
    let permission = named.max_by_key(|name| name.len()).unwrap_or(permission);
    if denied {
        return Check::broken(
            Subject::Recordings,
            format!("{permission} is denied: {what}."),
            format!(
                "Allow {permission} to drawbridge's role, and look into the bucket's own policy; `drawbridge iam-policy` \
                 prints all that is needed."
            ),
        )
        .permission(permission);
    }
    Check::broken(
        Subject::Recordings,
        format!("The bucket cannot be used, {what}: {text}."),
        "Check the bucket's name and region, and that this machine has a way to S3; until then recordings stay on its disk.",
    )
}
