//! Rows of volumes, with their labels.

use std::cmp::Reverse;
use std::collections::HashMap;

use sandbox_types::{ByteSize, Label, Quota, VolumeForm, VolumeName};
use sea_orm::ActiveValue::{NotSet, Set, Unchanged};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use serde::de::DeserializeOwned;

use super::entity::{label, volume};
use super::error::is_duplicate;
use super::time::{from_micros, to_micros};
use super::{Catalog, CatalogError, Change};
use crate::record::{Usage, VolumeFilter};

/// A volume to be written down.
#[derive(Debug)]
pub(crate) struct NewVolume<'a> {
    pub(crate) name: &'a VolumeName,
    pub(crate) form: VolumeForm,
    pub(crate) labels: &'a [Label],
    pub(crate) place: &'a str,
    pub(crate) created: i64,
}

/// A volume that is written down.
#[derive(Debug, Clone)]
pub(crate) struct VolumeRow {
    pub(crate) id: i64,
    pub(crate) name: VolumeName,
    pub(crate) form: VolumeForm,
    pub(crate) labels: Vec<Label>,
    pub(crate) place: String,
    pub(crate) created: i64,
    pub(crate) usage: Option<Usage>,
}

impl Catalog {
    /// The volume of that name.
    pub(crate) async fn volume(&self, name: &VolumeName) -> Result<Option<VolumeRow>, CatalogError> {
        self.one_volume(volume::Column::Name.eq(name.as_str())).await
    }

    async fn one_volume(&self, which: SimpleExpr) -> Result<Option<VolumeRow>, CatalogError> {
        let found = volume::Entity::find()
            .filter(which)
            .one(&self.readers)
            .await
            .map_err(self.failed())?;
        let Some(model) = found else { return Ok(None) };
        let labels = label::Entity::find()
            .filter(label::Column::VolumeId.eq(model.id))
            .order_by_asc(label::Column::Position)
            .all(&self.readers)
            .await
            .map_err(self.failed())?;
        self.row(model, labels).map(Some)
    }

    /// Those that are meant, newest first.
    pub(crate) async fn volumes(&self, filter: &VolumeFilter) -> Result<Vec<VolumeRow>, CatalogError> {
        let mut query = volume::Entity::find();
        if let Some(before) = filter.before {
            query = query.filter(volume::Column::CreatedAt.lt(to_micros(before)));
        }
        let mut models: Vec<volume::Model> = self.packed("volumes", query, volume::PACKED).await?;
        // Sorted here, which is quicker than going through an index to every row.
        models.sort_unstable_by_key(|model| Reverse((model.created_at, model.id)));
        let labels = self
            .packed("labels", label::Entity::find(), label::PACKED)
            .await?;
        let mut labels = by_volume(labels);
        let wanted = models
            .into_iter()
            .map(|model| (labels.remove(&model.id).unwrap_or_default(), model))
            .filter(|(labels, _)| is_meant(filter, labels));
        wanted.map(|(labels, model)| self.row(model, labels)).collect()
    }

    /// All rows as one text of SQLite's: one by one they cost several times as much, nearly all of it for getting each
    /// value from the thread that reads the file to this one.
    async fn packed<E: EntityTrait, M: DeserializeOwned>(
        &self,
        table: &'static str,
        query: Select<E>,
        row: &'static str,
    ) -> Result<Vec<M>, CatalogError> {
        let packed = query
            .select_only()
            .expr(Expr::cust(format!("json_group_array({row})")))
            .into_tuple::<String>()
            .one(&self.readers)
            .await
            .map_err(self.failed())?;
        let text = packed.unwrap_or_else(|| "[]".to_owned());
        serde_json::from_str(&text).map_err(|source| CatalogError::Unreadable {
            path: self.path.clone(),
            table,
            source,
        })
    }

    /// The volume that a place is of, if any.
    pub(crate) async fn volume_at(&self, place: &str) -> Result<Option<VolumeRow>, CatalogError> {
        self.one_volume(volume::Column::Place.eq(place)).await
    }

    fn row(&self, model: volume::Model, labels: Vec<label::Model>) -> Result<VolumeRow, CatalogError> {
        let bad = |column: &'static str, value: String| CatalogError::Row {
            path: self.path.clone(),
            table: "volume",
            row: model.name.clone(),
            column,
            value,
        };
        let unsigned = |column: &'static str, value: Option<i64>| match value {
            Some(value) => u64::try_from(value)
                .map(Some)
                .map_err(|_| bad(column, value.to_string())),
            None => Ok(None),
        };
        let name: VolumeName = model.name.parse().map_err(|_| bad("name", model.name.clone()))?;
        let bytes = unsigned("quota_bytes", model.quota_bytes)?.map(ByteSize::from_bytes);
        let inodes = unsigned("quota_inodes", model.quota_inodes)?;
        let size = unsigned("size_bytes", model.size_bytes)?.map(ByteSize::from_bytes);
        let form = match (model.kind.as_str(), size) {
            ("directory", None) => VolumeForm::Directory {
                quota: Quota { bytes, inodes },
            },
            ("disk", Some(size)) => VolumeForm::Disk { size },
            (kind, _) => return Err(bad("kind", kind.to_owned())),
        };
        let usage = match (
            unsigned("used_bytes", model.used_bytes)?,
            unsigned("used_inodes", model.used_inodes)?,
            model.used_at,
        ) {
            (Some(bytes), Some(inodes), Some(at)) => Some(Usage {
                bytes: ByteSize::from_bytes(bytes),
                inodes,
                measured_at: from_micros(at),
            }),
            _ => None,
        };
        if !is_place(&model.place) {
            return Err(bad("place", model.place.clone()));
        }
        Ok(VolumeRow {
            id: model.id,
            name,
            form,
            labels: labels.into_iter().filter_map(readable).collect(),
            place: model.place,
            created: model.created_at,
            usage,
        })
    }
}

/// The labels of each volume, in the order they were given.
fn by_volume(all: Vec<label::Model>) -> HashMap<i64, Vec<label::Model>> {
    let mut by_volume: HashMap<i64, Vec<label::Model>> = HashMap::with_capacity(all.len());
    for label in all {
        by_volume.entry(label.volume_id).or_default().push(label);
    }
    for labels in by_volume.values_mut() {
        labels.sort_unstable_by_key(|label| label.position);
    }
    by_volume
}

/// A place is a name of our own: 16 hexadecimal digits, and never a path that leads elsewhere.
pub(crate) fn is_place(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A label that cannot be is no reason to lose the volume.
fn readable(model: label::Model) -> Option<Label> {
    match Label::new(model.key, model.value) {
        Ok(label) => Some(label),
        Err(error) => {
            tracing::warn!(volume = model.volume_id, %error, "label left out");
            None
        }
    }
}

fn is_meant(filter: &VolumeFilter, labels: &[label::Model]) -> bool {
    let has = |wanted: &Label| {
        labels
            .iter()
            .any(|label| label.key == wanted.key() && label.value == wanted.value())
    };
    let has_key = |wanted: &String| labels.iter().any(|label| label.key == *wanted);
    filter.labels.iter().all(has) && filter.keys.iter().all(has_key)
}

fn kept(number: u64) -> i64 {
    // Specifications are checked to fit.
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The columns `quota_bytes`, `quota_inodes` and `size_bytes`.
fn limits(form: VolumeForm) -> [Option<i64>; 3] {
    match form {
        VolumeForm::Directory { quota } => [
            quota.bytes.map(|bytes| kept(bytes.bytes())),
            quota.inodes.map(kept),
            None,
        ],
        VolumeForm::Disk { size } => [None, None, Some(kept(size.bytes()))],
    }
}

impl Change<'_> {
    /// Writes a volume down; its number, or none where there is one of that name.
    pub(crate) async fn add_volume(&self, new: &NewVolume<'_>) -> Result<Option<i64>, CatalogError> {
        let [quota_bytes, quota_inodes, size_bytes] = limits(new.form);
        let model = volume::ActiveModel {
            id: NotSet,
            name: Set(new.name.to_string()),
            kind: Set(new.form.kind().name().to_owned()),
            place: Set(new.place.to_owned()),
            quota_bytes: Set(quota_bytes),
            quota_inodes: Set(quota_inodes),
            size_bytes: Set(size_bytes),
            created_at: Set(new.created),
            used_bytes: Set(None),
            used_inodes: Set(None),
            used_at: Set(None),
        };
        let id = match volume::Entity::insert(model).exec(&self.transaction).await {
            Ok(inserted) => inserted.last_insert_id,
            Err(error) if is_duplicate(&error) => return Ok(None),
            Err(error) => return Err(self.failed()(error)),
        };
        self.add_labels(id, new.labels).await?;
        Ok(Some(id))
    }

    async fn add_labels(&self, volume: i64, labels: &[Label]) -> Result<(), CatalogError> {
        if labels.is_empty() {
            return Ok(());
        }
        let models = labels
            .iter()
            .zip(0..)
            .map(|(label, position)| label::ActiveModel {
                volume_id: Set(volume),
                key: Set(label.key().to_owned()),
                value: Set(label.value().to_owned()),
                position: Set(position),
            });
        let inserted = label::Entity::insert_many(models)
            .exec_without_returning(&self.transaction)
            .await;
        inserted.map(drop).map_err(self.failed())
    }

    /// Gives it another name; false where there is one of that name.
    pub(crate) async fn rename_volume(&self, id: i64, name: &VolumeName) -> Result<bool, CatalogError> {
        let model = volume::ActiveModel {
            id: Unchanged(id),
            name: Set(name.to_string()),
            ..Default::default()
        };
        match model.update(&self.transaction).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(self.failed()(error)),
        }
    }

    /// Another place has what is in it now.
    pub(crate) async fn move_volume(&self, id: i64, place: &str) -> Result<(), CatalogError> {
        self.update(volume::ActiveModel {
            id: Unchanged(id),
            place: Set(place.to_owned()),
            ..Default::default()
        })
        .await
    }

    /// Another quota or size.
    pub(crate) async fn reshape_volume(&self, id: i64, form: VolumeForm) -> Result<(), CatalogError> {
        let [quota_bytes, quota_inodes, size_bytes] = limits(form);
        self.update(volume::ActiveModel {
            id: Unchanged(id),
            quota_bytes: Set(quota_bytes),
            quota_inodes: Set(quota_inodes),
            size_bytes: Set(size_bytes),
            ..Default::default()
        })
        .await
    }

    /// What was counted. A volume that is gone meanwhile is fine.
    pub(crate) async fn note_usage(&self, place: &str, usage: Usage) -> Result<(), CatalogError> {
        use volume::Column;
        volume::Entity::update_many()
            .col_expr(Column::UsedBytes, Expr::value(kept(usage.bytes.bytes())))
            .col_expr(Column::UsedInodes, Expr::value(kept(usage.inodes)))
            .col_expr(Column::UsedAt, Expr::value(to_micros(usage.measured_at)))
            .filter(Column::Place.eq(place))
            .exec(&self.transaction)
            .await
            .map(drop)
            .map_err(self.failed())
    }

    /// Strikes a volume out, with its labels.
    pub(crate) async fn remove_volume(&self, id: i64) -> Result<(), CatalogError> {
        let deleted = volume::Entity::delete_by_id(id).exec(&self.transaction).await;
        deleted.map(drop).map_err(self.failed())
    }

    async fn update(&self, model: volume::ActiveModel) -> Result<(), CatalogError> {
        model
            .update(&self.transaction)
            .await
            .map(drop)
            .map_err(self.failed())
    }
}
