//! Connections: a pool of readers and one writer, none made before it is needed.

use std::path::Path;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};

/// How long SQLite asks for a lock that another process has.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How many read at once.
const READERS: u32 = 4;

/// The pool of readers.
pub(super) async fn readers(path: &Path) -> Result<DatabaseConnection, DbErr> {
    connect(path, READERS, |options| options.pragma("query_only", "ON")).await
}

/// The one writer of this process.
pub(super) async fn writer(path: &Path) -> Result<DatabaseConnection, DbErr> {
    connect(path, 1, |options| options).await
}

async fn connect(
    path: &Path,
    most: u32,
    more: fn(SqliteConnectOptions) -> SqliteConnectOptions,
) -> Result<DatabaseConnection, DbErr> {
    let path = path.to_owned();
    // The name in the address is replaced by the path, which may be any text.
    let mut options = ConnectOptions::new("sqlite:catalog.db");
    options
        .max_connections(most)
        .min_connections(0)
        .connect_lazy(true)
        .sqlx_logging(false)
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_mins(1))
        .map_sqlx_sqlite_opts(move |options| {
            let options = options
                .filename(&path)
                // Only whoever has the lock makes it: a connection that comes while it is set aside leaves no other one.
                .create_if_missing(false)
                .foreign_keys(true)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(PATIENCE);
            more(options)
        });
    Database::connect(options).await
}
