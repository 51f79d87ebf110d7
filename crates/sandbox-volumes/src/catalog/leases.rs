//! Rows of those who have volumes attached, and what they have attached.

use std::path::PathBuf;

use sandbox_types::Access;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::entity::{attachment, sandbox};
use super::time::from_micros;
use super::{Catalog, CatalogError, Change};
use crate::record::HolderRecord;

/// Whoever attaches.
#[derive(Debug)]
pub(crate) struct NewSandbox<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) pid: u32,
    pub(crate) command: &'a str,
    pub(crate) started: i64,
}

/// What they attach.
#[derive(Debug)]
pub(crate) struct NewAttachment {
    pub(crate) volume: i64,
    pub(crate) access: Access,
    pub(crate) at: PathBuf,
}

const READ: &str = "read";
const WRITE: &str = "write";

impl Catalog {
    /// Those who have written down that they use a volume, with the names of their locks.
    pub(crate) async fn holders(&self, volume: i64) -> Result<Vec<(String, HolderRecord)>, CatalogError> {
        let attachments = attachment::Entity::find()
            .filter(attachment::Column::VolumeId.eq(volume))
            .all(&self.readers)
            .await
            .map_err(self.failed())?;
        let mut holders = Vec::with_capacity(attachments.len());
        for attachment in attachments {
            let found = sandbox::Entity::find_by_id(attachment.sandbox_id.clone())
                .one(&self.readers)
                .await
                .map_err(self.failed())?;
            if let Some(sandbox) = found {
                holders.push((sandbox.id.clone(), holder(&attachment, sandbox)));
            }
        }
        Ok(holders)
    }

    /// The names of the locks of all who have anything attached.
    pub(crate) async fn sandboxes(&self) -> Result<Vec<String>, CatalogError> {
        let all = sandbox::Entity::find()
            .all(&self.readers)
            .await
            .map_err(self.failed())?;
        Ok(all.into_iter().map(|sandbox| sandbox.id).collect())
    }
}

fn holder(attachment: &attachment::Model, sandbox: sandbox::Model) -> HolderRecord {
    HolderRecord {
        sandbox: sandbox.name.and_then(|name| name.parse().ok()),
        pid: u32::try_from(sandbox.pid).unwrap_or(0),
        command: sandbox.command,
        access: if attachment.access == READ {
            Access::Read
        } else {
            Access::Write
        },
        at: PathBuf::from(&attachment.at),
        since: from_micros(sandbox.started_at),
    }
}

impl Change<'_> {
    /// Writes down who attaches what.
    pub(crate) async fn add_sandbox(
        &self,
        new: &NewSandbox<'_>,
        attachments: &[NewAttachment],
    ) -> Result<(), CatalogError> {
        let model = sandbox::ActiveModel {
            id: Set(new.id.to_owned()),
            name: Set(new.name.map(str::to_owned)),
            pid: Set(i64::from(new.pid)),
            command: Set(new.command.to_owned()),
            status: Set("running".to_owned()),
            started_at: Set(new.started),
        };
        let insert = sandbox::Entity::insert(model);
        insert
            .exec_without_returning(&self.transaction)
            .await
            .map_err(self.failed())?;
        let models = attachments.iter().map(|attachment| attachment::ActiveModel {
            id: NotSet,
            sandbox_id: Set(new.id.to_owned()),
            volume_id: Set(attachment.volume),
            access: Set(match attachment.access {
                Access::Read => READ.to_owned(),
                Access::Write => WRITE.to_owned(),
            }),
            at: Set(attachment.at.to_string_lossy().into_owned()),
        });
        let insert = attachment::Entity::insert_many(models);
        insert
            .exec_without_returning(&self.transaction)
            .await
            .map(drop)
            .map_err(self.failed())
    }

    /// Strikes out who is gone, with all they had attached.
    pub(crate) async fn remove_sandbox(&self, id: &str) -> Result<(), CatalogError> {
        let deleted = sandbox::Entity::delete_by_id(id.to_owned())
            .exec(&self.transaction)
            .await;
        deleted.map(drop).map_err(self.failed())
    }
}

impl Change<'_> {
    /// Strikes out that somebody who is gone uses a volume.
    pub(crate) async fn remove_attachments(&self, sandbox: &str, volume: i64) -> Result<(), CatalogError> {
        let deleted = attachment::Entity::delete_many()
            .filter(attachment::Column::SandboxId.eq(sandbox))
            .filter(attachment::Column::VolumeId.eq(volume))
            .exec(&self.transaction)
            .await;
        deleted.map(drop).map_err(self.failed())
    }
}
