//! Volumes and their labels.

use sea_orm_migration::prelude::*;

use super::{id, index, number, optional_number, reference, table, text};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(volumes()).await?;
        manager
            .create_index(index("volumes_by_age", "volumes", &["created_at", "id"]))
            .await?;
        manager.create_table(labels()).await?;
        manager
            .create_index(index("labels_by_value", "labels", &["key", "value"]))
            .await
    }
}

fn volumes() -> TableCreateStatement {
    table("volumes")
        .col(id())
        .col(text("name").unique_key())
        .col(text("kind"))
        .col(text("place").unique_key())
        .col(optional_number("quota_bytes"))
        .col(optional_number("quota_inodes"))
        .col(optional_number("size_bytes"))
        .col(number("created_at"))
        .col(optional_number("used_bytes"))
        .col(optional_number("used_inodes"))
        .col(optional_number("used_at"))
        .to_owned()
}

fn labels() -> TableCreateStatement {
    table("labels")
        .col(number("volume_id"))
        .col(text("key"))
        .col(text("value"))
        .col(number("position"))
        .primary_key(
            Index::create()
                .col(Alias::new("volume_id"))
                .col(Alias::new("key")),
        )
        .foreign_key(&mut reference(
            "labels",
            "volume_id",
            "volumes",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}
