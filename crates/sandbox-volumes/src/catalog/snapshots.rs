//! Rows of snapshots.

use sandbox_types::VolumeName;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::entity::snapshot;
use super::error::is_duplicate;
use super::time::from_micros;
use super::volumes::is_place;
use super::{Catalog, CatalogError, Change};
use crate::record::SnapshotRecord;

/// A snapshot to be written down.
#[derive(Debug)]
pub(crate) struct NewSnapshot<'a> {
    pub(crate) volume: i64,
    pub(crate) name: &'a VolumeName,
    pub(crate) place: &'a str,
    pub(crate) created: i64,
}

impl Catalog {
    /// The snapshots of a volume, newest first.
    pub(crate) async fn snapshots(&self, volume: i64) -> Result<Vec<SnapshotRecord>, CatalogError> {
        let models = snapshot::Entity::find()
            .filter(snapshot::Column::VolumeId.eq(volume))
            .order_by_desc(snapshot::Column::CreatedAt)
            .order_by_desc(snapshot::Column::Id)
            .all(&self.readers)
            .await
            .map_err(self.failed())?;
        models
            .into_iter()
            .map(|model| self.snapshot_record(model))
            .collect()
    }

    /// The places of all snapshots.
    pub(crate) async fn snapshot_places(&self) -> Result<Vec<String>, CatalogError> {
        let models = snapshot::Entity::find()
            .all(&self.readers)
            .await
            .map_err(self.failed())?;
        Ok(models.into_iter().map(|model| model.place).collect())
    }

    /// Whether a place is a snapshot's.
    pub(crate) async fn has_snapshot_place(&self, place: &str) -> Result<bool, CatalogError> {
        let found = snapshot::Entity::find()
            .filter(snapshot::Column::Place.eq(place))
            .one(&self.readers)
            .await;
        Ok(found.map_err(self.failed())?.is_some())
    }

    fn snapshot_record(&self, model: snapshot::Model) -> Result<SnapshotRecord, CatalogError> {
        let bad = |column: &'static str, value: &str| CatalogError::Row {
            path: self.path.clone(),
            table: "snapshot",
            row: model.name.clone(),
            column,
            value: value.to_owned(),
        };
        if !is_place(&model.place) {
            return Err(bad("place", &model.place));
        }
        Ok(SnapshotRecord {
            name: model.name.parse().map_err(|_| bad("name", &model.name))?,
            created_at: from_micros(model.created_at),
            place: model.place,
        })
    }
}

impl Change<'_> {
    /// Writes a snapshot down; false where there is one of that name.
    pub(crate) async fn add_snapshot(&self, new: &NewSnapshot<'_>) -> Result<bool, CatalogError> {
        let model = snapshot::ActiveModel {
            id: NotSet,
            volume_id: Set(new.volume),
            name: Set(new.name.to_string()),
            place: Set(new.place.to_owned()),
            created_at: Set(new.created),
        };
        match snapshot::Entity::insert(model).exec(&self.transaction).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(self.failed()(error)),
        }
    }

    /// Strikes a snapshot out.
    pub(crate) async fn remove_snapshot(&self, place: &str) -> Result<(), CatalogError> {
        snapshot::Entity::delete_many()
            .filter(snapshot::Column::Place.eq(place))
            .exec(&self.transaction)
            .await
            .map(drop)
            .map_err(self.failed())
    }
}
