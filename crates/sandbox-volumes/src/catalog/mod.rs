//! The catalog: which volumes there are, in SQLite.
//!
//! It guarantees: what is committed survives the machine (WAL, `synchronous=FULL`); any number of processes use it
//! at once, readers never waiting for writers; a schema that a later version has made is refused, an earlier one
//! migrated. Writers take the one write lock at the begin of their transaction (`BEGIN IMMEDIATE`), so that none
//! fails in its middle; they are retried a bounded number of times.

mod connect;
mod entity;
mod error;
mod leases;
mod migration;
mod schema;
mod snapshots;
#[cfg(test)]
mod tests;
mod time;
mod volumes;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};

use crate::lock::{Lock, Share};

pub use error::CatalogError;
pub(crate) use leases::{NewAttachment, NewSandbox};
pub(crate) use snapshots::NewSnapshot;
pub(crate) use time::{from_micros, now};
pub(crate) use volumes::{NewVolume, VolumeRow, is_place};

/// How often a writer asks for the lock, each time for as long as [`connect::PATIENCE`].
const ATTEMPTS: u32 = 6;

/// The catalog of one home.
#[derive(Debug)]
pub(crate) struct Catalog {
    path: PathBuf,
    /// Which file that was, by device and number.
    file: (u64, u64),
    readers: DatabaseConnection,
    writer: DatabaseConnection,
}

/// A transaction that holds the write lock.
#[derive(Debug)]
pub(crate) struct Change<'c> {
    transaction: DatabaseTransaction,
    path: &'c Path,
}

impl Catalog {
    /// Opens the catalog at `path`, and makes or migrates it where that is needed. Whoever makes, migrates or mends it has
    /// the lock of the file `lock` to himself, and is waited for.
    pub(crate) async fn open(path: &Path, lock: &Path) -> Result<Self, CatalogError> {
        let shared = hold(path, lock, Share::Shared).await?;
        if path.exists() {
            let catalog = Self::connect(path).await?;
            if schema::is_known(&catalog).await? {
                return Ok(catalog);
            }
            catalog.close().await;
        }
        drop(shared);
        let alone = hold(path, lock, Share::Exclusive).await?;
        Self::open_alone(path, &alone).await
    }

    /// The same for whoever has the lock to himself.
    pub(crate) async fn open_alone(path: &Path, _alone: &Lock) -> Result<Self, CatalogError> {
        // One that is there is not opened: closing it would give up what SQLite has locked of it in this process (fcntl(2)).
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => drop(made.map_err(CatalogError::not_opened(path))?),
        }
        let catalog = Self::connect(path).await?;
        schema::bring_up(&catalog).await?;
        Ok(catalog)
    }

    async fn connect(path: &Path) -> Result<Self, CatalogError> {
        Ok(Self {
            path: path.to_owned(),
            file: file_at(path).map_err(CatalogError::not_opened(path))?,
            readers: connect::readers(path).await.map_err(CatalogError::of(path))?,
            writer: connect::writer(path).await.map_err(CatalogError::of(path))?,
        })
    }

    /// Whether this is still the catalog: one that is damaged is moved away, and another made.
    pub(crate) fn is_in_place(&self) -> bool {
        file_at(&self.path).is_ok_and(|file| file == self.file)
    }

    /// Begins to write; others who want to wait.
    pub(crate) async fn change(&self) -> Result<Change<'_>, CatalogError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.writer.begin_with_options(options).await {
                Ok(transaction) => {
                    return Ok(Change {
                        transaction,
                        path: &self.path,
                    });
                }
                Err(error) => match CatalogError::of(&self.path)(error) {
                    CatalogError::Busy { .. } if attempt < ATTEMPTS => {
                        tokio::time::sleep(jitter(attempt)).await;
                    }
                    error => return Err(error),
                },
            }
        }
    }

    /// What SQLite finds wrong with the file; nothing when it is sound.
    pub(crate) async fn integrity(&self) -> Result<Vec<String>, CatalogError> {
        let mut problems = Vec::new();
        for check in ["PRAGMA integrity_check", "PRAGMA foreign_key_check"] {
            for row in self.query(check).await? {
                let text: String = row.try_get_by_index(0).map_err(CatalogError::of(&self.path))?;
                if text != "ok" {
                    problems.push(text);
                }
            }
        }
        Ok(problems)
    }

    /// Gives what is written down from now on other numbers than any earlier catalog: whoever still knows one of those finds
    /// nothing by it, rather than something else.
    pub(crate) async fn number_anew(&self) -> Result<(), CatalogError> {
        let change = self.change().await?;
        for table in ["volumes", "snapshots"] {
            let sql = format!(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('{table}', {})",
                now()
            );
            let executed = change.transaction.execute_unprepared(&sql).await;
            executed.map_err(change.failed())?;
        }
        change.commit().await
    }

    /// The error for one in which something was found to be wrong.
    pub(crate) fn damaged(&self, what: String) -> CatalogError {
        CatalogError::Damaged {
            path: self.path.clone(),
            source: DbErr::Custom(what),
        }
    }

    /// Ends all connections.
    pub(crate) async fn close(self) {
        for connection in [self.readers, self.writer] {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "closing the catalog");
            }
        }
    }

    async fn query(&self, sql: &str) -> Result<Vec<sea_orm::QueryResult>, CatalogError> {
        let statement = Statement::from_string(DbBackend::Sqlite, sql);
        let rows = self.readers.query_all_raw(statement).await;
        rows.map_err(CatalogError::of(&self.path))
    }

    fn failed(&self) -> impl Fn(DbErr) -> CatalogError + use<'_> {
        CatalogError::of(&self.path)
    }
}

impl Change<'_> {
    /// Makes it so. It survives the machine when this returns.
    pub(crate) async fn commit(self) -> Result<(), CatalogError> {
        self.transaction
            .commit()
            .await
            .map_err(CatalogError::of(self.path))
    }

    fn failed(&self) -> impl Fn(DbErr) -> CatalogError + use<'_> {
        CatalogError::of(self.path)
    }
}

/// Takes the lock of the catalog at `path`.
pub(crate) async fn hold(path: &Path, lock: &Path, share: Share) -> Result<Lock, CatalogError> {
    let file = lock.to_owned();
    let taken = tokio::task::spawn_blocking(move || Lock::file(&file, share)).await;
    match taken.map_err(std::io::Error::from).flatten() {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(CatalogError::Busy {
            path: path.to_owned(),
        }),
        Err(source) if source.kind() == ErrorKind::StorageFull => Err(CatalogError::not_opened(lock)(source)),
        Err(source) => Err(CatalogError::Lock {
            path: lock.to_owned(),
            source,
        }),
    }
}

fn file_at(path: &Path) -> std::io::Result<(u64, u64)> {
    let found = std::fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// A pause before the lock is asked for again: not the same for all who were refused at once.
fn jitter(attempt: u32) -> Duration {
    let spread = u64::from(std::process::id()).wrapping_mul(0x9e37_79b9) >> 7;
    Duration::from_millis(u64::from(attempt) * 5 + spread % 20)
}
