//! A volume that a sandbox uses.

#![allow(unreachable_pub, missing_docs, reason = "what the derive makes of it")]

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attachments")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub sandbox_id: String,
    pub volume_id: i64,
    pub access: String,
    /// Where it is inside.
    pub at: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
