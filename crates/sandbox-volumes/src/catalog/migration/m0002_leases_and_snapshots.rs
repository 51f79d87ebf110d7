//! Who uses which volume, and what volumes were like earlier.

use sea_orm_migration::prelude::*;

use super::{id, index, number, optional_text, reference, table, text};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(sandboxes()).await?;
        manager.create_table(attachments()).await?;
        manager
            .create_index(index("attachments_by_volume", "attachments", &["volume_id"]))
            .await?;
        manager
            .create_index(index("attachments_by_sandbox", "attachments", &["sandbox_id"]))
            .await?;
        manager.create_table(snapshots()).await?;
        manager
            .create_index(
                index("snapshots_by_name", "snapshots", &["volume_id", "name"])
                    .unique()
                    .to_owned(),
            )
            .await
    }
}

fn sandboxes() -> TableCreateStatement {
    table("sandboxes")
        .col(text("id").primary_key())
        .col(optional_text("name"))
        .col(number("pid"))
        .col(text("command"))
        .col(text("status"))
        .col(number("started_at"))
        .to_owned()
}

fn attachments() -> TableCreateStatement {
    const NAME: &str = "attachments";
    table(NAME)
        .col(id())
        .col(text("sandbox_id"))
        .col(number("volume_id"))
        .col(text("access"))
        .col(text("at"))
        .foreign_key(&mut reference(
            NAME,
            "sandbox_id",
            "sandboxes",
            ForeignKeyAction::Cascade,
        ))
        .foreign_key(&mut reference(
            NAME,
            "volume_id",
            "volumes",
            ForeignKeyAction::Restrict,
        ))
        .to_owned()
}

fn snapshots() -> TableCreateStatement {
    const NAME: &str = "snapshots";
    table(NAME)
        .col(id())
        .col(number("volume_id"))
        .col(text("name"))
        .col(text("place").unique_key())
        .col(number("created_at"))
        .foreign_key(&mut reference(
            NAME,
            "volume_id",
            "volumes",
            ForeignKeyAction::Restrict,
        ))
        .to_owned()
}
