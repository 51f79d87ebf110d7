//! Bringing the schema to the version that this build knows.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use sea_orm_migration::MigratorTrait;

use super::migration::{Migrator, VERSION};
use super::{Catalog, CatalogError};

/// Whether nothing has to be done. A later schema is refused.
pub(super) async fn is_known(catalog: &Catalog) -> Result<bool, CatalogError> {
    Ok(version(catalog).await? == VERSION)
}

/// Refuses a later schema, and makes or migrates an earlier one. Nobody else does so meanwhile.
pub(super) async fn bring_up(catalog: &Catalog) -> Result<(), CatalogError> {
    if !is_known(catalog).await? {
        use_wal(catalog).await?;
        migrate(catalog, None, VERSION).await?;
    }
    Ok(())
}

/// The version of the schema; 0 for a catalog that was just made.
async fn version(catalog: &Catalog) -> Result<i64, CatalogError> {
    let rows = catalog.query("PRAGMA user_version").await?;
    let version = match rows.first() {
        Some(row) => row.try_get_by_index::<i64>(0).map_err(catalog.failed())?,
        None => 0,
    };
    if version > VERSION {
        let path = catalog.path.clone();
        return Err(CatalogError::Newer {
            path,
            version,
            known: VERSION,
        });
    }
    Ok(version)
}

/// It is kept in the file, and cannot be said within a transaction.
async fn use_wal(catalog: &Catalog) -> Result<(), CatalogError> {
    let statement = Statement::from_string(DbBackend::Sqlite, "PRAGMA journal_mode=WAL");
    catalog
        .writer
        .query_one_raw(statement)
        .await
        .map(drop)
        .map_err(catalog.failed())
}

/// All steps, or as many as `steps` says, and their number, in one transaction.
pub(super) async fn migrate(catalog: &Catalog, steps: Option<u32>, version: i64) -> Result<(), CatalogError> {
    let change = catalog.change().await?;
    Migrator::up(&change.transaction, steps)
        .await
        .map_err(change.failed())?;
    change
        .transaction
        .execute_unprepared(&format!("PRAGMA user_version={version}"))
        .await
        .map_err(change.failed())?;
    change.commit().await
}
