//! Why the catalog cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use sea_orm::{DbErr, RuntimeErr};

/// Why the catalog cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// Others write all the time.
    #[error("{path}: busy for too long", path = path.display())]
    Busy {
        /// The catalog.
        path: PathBuf,
    },
    /// It is not what was written.
    #[error("{path} is damaged: {source}", path = path.display())]
    Damaged {
        /// The catalog.
        path: PathBuf,
        /// As SQLite says it.
        #[source]
        source: DbErr,
    },
    /// A row has something in it that cannot be.
    #[error("{path} is damaged: {table} {row:?} has {value:?} for {column}", path = path.display())]
    Row {
        /// The catalog.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// Which row, by its name.
        row: String,
        /// The column.
        column: &'static str,
        /// What is there.
        value: String,
    },
    /// A later version has made it.
    #[error("{path} is of version {version}, and this program knows {known} at most", path = path.display())]
    Newer {
        /// The catalog.
        path: PathBuf,
        /// Its version.
        version: i64,
        /// The latest that is known.
        known: i64,
    },
    /// There is no space.
    #[error("{path}: no space left; nothing has changed", path = path.display())]
    Full {
        /// The catalog.
        path: PathBuf,
        /// As SQLite says it.
        #[source]
        source: DbErr,
    },
    /// It cannot be written or opened.
    #[error("{path} cannot be written: {source}", path = path.display())]
    ReadOnly {
        /// The catalog.
        path: PathBuf,
        /// As SQLite says it.
        #[source]
        source: DbErr,
    },
    /// Something else.
    #[error("{path}: {source}", path = path.display())]
    Database {
        /// The catalog.
        path: PathBuf,
        /// As SQLite says it.
        #[source]
        source: DbErr,
    },
    /// A table has something in it that cannot be.
    #[error("{path} is damaged: a row of {table} cannot be read: {source}", path = path.display())]
    Unreadable {
        /// The catalog.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// What is wrong with the row.
        #[source]
        source: serde_json::Error,
    },
    /// Its lock cannot be had.
    #[error("{path}: {source}", path = path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What SQLite's primary result codes mean here: <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const BUSY: u32 = 5;
    pub(super) const LOCKED: u32 = 6;
    pub(super) const READONLY: u32 = 8;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const PROTOCOL: u32 = 15;
    pub(super) const NOTADB: u32 = 26;
    /// `SQLITE_IOERR_SHMSIZE`: what processes share could not be made larger, for want of room.
    pub(super) const NO_ROOM_TO_SHARE: u32 = 0x130a;
}

impl CatalogError {
    /// What an error of SQLite means.
    pub(super) fn of(path: &Path) -> impl Fn(DbErr) -> Self + use<'_> {
        |source| {
            let path = path.to_owned();
            if code_of(&source) == Some(code::NO_ROOM_TO_SHARE) {
                return Self::Full { path, source };
            }
            match (code_of(&source).map(|code| code & 0xff), &source) {
                (Some(code::BUSY | code::LOCKED | code::PROTOCOL), _) | (_, DbErr::ConnectionAcquire(_)) => {
                    Self::Busy { path }
                }
                (Some(code::CORRUPT | code::NOTADB), _) => Self::Damaged { path, source },
                (Some(code::FULL), _) => Self::Full { path, source },
                (Some(code::READONLY | code::CANTOPEN), _) => Self::ReadOnly { path, source },
                _ => Self::Database { path, source },
            }
        }
    }

    /// What it means that the file cannot be opened.
    pub(super) fn not_opened(path: &Path) -> impl Fn(io::Error) -> Self + use<'_> {
        |error| {
            let (path, kind) = (path.to_owned(), error.kind());
            let source = DbErr::Conn(RuntimeErr::Internal(error.to_string()));
            if kind == io::ErrorKind::StorageFull {
                Self::Full { path, source }
            } else {
                Self::ReadOnly { path, source }
            }
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Busy { .. } => Some("try again; see which processes use it: fuser -v FILE"),
            Self::Damaged { .. } | Self::Row { .. } | Self::Unreadable { .. } => {
                Some("make it anew from the volumes themselves: sandbox volume fsck --repair")
            }
            Self::Newer { .. } => Some("use the later version of sandbox, or another SANDBOX_HOME"),
            Self::Full { .. } => Some("free some space, or set SANDBOX_HOME to a larger disk"),
            Self::ReadOnly { .. } | Self::Lock { .. } => {
                Some("set SANDBOX_HOME to a directory that you may write")
            }
            Self::Database { .. } => None,
        }
    }

    /// Whether it helps to make the catalog anew.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. } | Self::Row { .. } | Self::Unreadable { .. }
        )
    }
}

/// SQLite's extended result code.
fn code_of(error: &DbErr) -> Option<u32> {
    let (DbErr::Conn(inner) | DbErr::Exec(inner) | DbErr::Query(inner)) = error else {
        return None;
    };
    let RuntimeErr::SqlxError(inner) = inner else {
        return None;
    };
    let code = inner.as_database_error()?.code()?;
    code.parse::<u32>().ok()
}

/// Whether a row of that name is there already.
pub(super) fn is_duplicate(error: &DbErr) -> bool {
    matches!(
        error.sql_err(),
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_))
    )
}
