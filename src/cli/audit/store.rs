//! The store as verification sees it, with the recordings that it lists.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use aws_lc_rs::digest::{Context, SHA256};

use crate::app;
use crate::audit::verify::{Account, RecordingClaim, RecordingState, Trail};
use crate::audit::{JournalLine, LineHash, NodeHead, known_to_journal};
use crate::cli::CliError;
use crate::config::{Config, StoreConfig};
use crate::domain::{NodeName, RecordingId};
use crate::record::Spool;
use crate::record::vault::Vault;
use crate::store::{self, Store, StoreError};
use crate::tasks::BoxFuture;

/// How many lines are asked for at a time.
const PAGE: u32 = 1000;

/// A store, and where its recordings are.
pub(super) struct StoredTrail {
    store: Store,
    vault: Vault,
    spool: Spool,
    /// This node, which must be among those that the store knows.
    node: NodeName,
    /// Its journal, which knows the last lines.
    journal: PathBuf,
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Failed(format!("The record cannot be checked: {error}."))
}

fn said<T>(answer: Result<T, StoreError>) -> Result<T, String> {
    answer.map_err(|error| error.to_string())
}

impl StoredTrail {
    /// Opens what the configuration names.
    pub(super) async fn open(config: &Config) -> Result<Self, CliError> {
        // Whoever only looks makes no database.
        if let StoreConfig::Sqlite(file) = &config.store
            && !file.try_exists().unwrap_or(true)
        {
            let file = file.display();
            return Err(failed(format!("there is no database {file}; give files of records with --file")));
        }
        Ok(Self {
            store: app::store(config).await?,
            vault: Vault::open(config.recording.upload_to.as_ref()).map_err(failed)?,
            spool: Spool::open(&config.recording.dir).map_err(failed)?,
            node: config.node.name_or_host(),
            journal: config.audit.journal.clone(),
        })
    }

    /// Lets go of the database.
    pub(super) async fn close(self) {
        self.store.close().await;
    }

    async fn look_at(&self, claim: &RecordingClaim) -> RecordingState {
        let Some(id) = RecordingId::parse(&claim.id) else {
            return RecordingState::Broken("that is no id of a recording".to_owned());
        };
        let opened = self.vault.open_recording(&self.spool, id).await;
        let state = match self.store.recording(&id).await {
            Ok(row) => row.map(|row| row.state),
            Err(error) => return RecordingState::Unknown(error.to_string()),
        };
        let elsewhere = claim.node != self.node.as_str() && state != Some(store::RecordingState::Stored);
        match opened {
            Ok(file) => compare(file, claim.clone()).await,
            Err(error) if error.is_absence() && elsewhere => {
                RecordingState::Unknown(format!("it is on the disk of the node {}", claim.node))
            }
            Err(error) if error.is_absence() => RecordingState::Broken("its file is missing".to_owned()),
            Err(error) => RecordingState::Unknown(error.to_string()),
        }
    }
}

/// Compares a file with what the record says of it. Reading blocks.
async fn compare(file: File, claim: RecordingClaim) -> RecordingState {
    let compared = tokio::task::spawn_blocking(move || {
        let (bytes, sha256) = sum(file)?;
        Ok((bytes, sha256) == (claim.compressed_bytes, claim.sha256))
    });
    match compared.await {
        Ok(Ok(true)) => RecordingState::Sound,
        Ok(Ok(false)) => RecordingState::Broken("its file is not the one that was recorded".to_owned()),
        Ok(Err(error)) => {
            let error: io::Error = error;
            RecordingState::Unknown(error.to_string())
        }
        Err(_) => RecordingState::Unknown("reading it failed".to_owned()),
    }
}

fn sum(mut file: File) -> io::Result<(u64, String)> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0_u64;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, data_encoding::HEXLOWER.encode(context.finish().as_ref())));
        }
        bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        context.update(buffer.get(..read).unwrap_or_default());
    }
}

impl Trail for StoredTrail {
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeName>, String>> {
        Box::pin(async {
            let mut nodes = said(self.store.nodes().await)?;
            if !nodes.contains(&self.node) {
                nodes.push(self.node.clone());
            }
            Ok(nodes)
        })
    }

    fn lines<'a>(
        &'a self,
        node: &'a NodeName,
        after: u64,
    ) -> BoxFuture<'a, Result<Vec<JournalLine>, String>> {
        Box::pin(async move {
            let lines = said(self.store.lines(node, after, PAGE).await)?;
            Ok(lines.into_iter().map(|line| JournalLine { seq: line.seq, text: line.text }).collect())
        })
    }

    fn accounts<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Vec<Account>, String>> {
        Box::pin(async move {
            let position = said(self.store.position(node).await)?;
            let stored = position.and_then(|(seq, hash)| Some((seq, LineHash::parse(&hash.to_string())?)));
            let head = |(through, hash)| NodeHead { node: node.clone(), through, hash };
            let mut accounts: Vec<Account> =
                stored.map(|stored| ("the store's account of the node", head(stored))).into_iter().collect();
            if *node == self.node {
                let journal = self.journal.clone();
                let through = stored.map_or(0, |(seq, _)| seq);
                // Reading files blocks.
                let known = tokio::task::spawn_blocking(move || known_to_journal(&journal, through));
                let known = known.await.map_err(|error| error.to_string())?;
                let known = known.map_err(|error| format!("the journal cannot be read: {error}"))?;
                accounts
                    .extend(known.into_iter().map(|tip| ("the node's journal", head((tip.seq, tip.hash)))));
            }
            Ok(accounts)
        })
    }

    fn prunings(&self) -> BoxFuture<'_, Result<Vec<String>, String>> {
        Box::pin(async {
            let prunings = said(self.store.prunings().await)?;
            Ok(prunings.into_iter().map(|pruning| pruning.record).collect())
        })
    }

    fn recording<'a>(&'a self, claim: &'a RecordingClaim) -> BoxFuture<'a, RecordingState> {
        Box::pin(self.look_at(claim))
    }

    fn derived(&self) -> BoxFuture<'_, Result<Vec<String>, String>> {
        Box::pin(async {
            let checked = said(self.store.check_derived().await)?;
            let told =
                checked.mismatches.iter().map(|row| format!("{} {}: {}", row.table, row.row, row.what));
            let mut told: Vec<String> = told.collect();
            if checked.more > 0 {
                told.push(format!("{} rows more are not what the records say", checked.more));
            }
            Ok(told)
        })
    }
}
