//! A snapshot of a volume.

#![allow(unreachable_pub, missing_docs, reason = "what the derive makes of it")]

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "snapshots")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub volume_id: i64,
    pub name: String,
    /// The name of its directory in `volumes/.snapshots/`.
    #[sea_orm(unique)]
    pub place: String,
    pub created_at: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
