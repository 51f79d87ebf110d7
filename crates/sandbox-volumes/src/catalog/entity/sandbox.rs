//! Whoever has volumes attached: a process, and what runs for it.

#![allow(unreachable_pub, missing_docs, reason = "what the derive makes of it")]

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sandboxes")]
pub struct Model {
    /// The name of its lock file in `volumes/.run/`, which it holds as long as it lives.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub name: Option<String>,
    pub pid: i64,
    pub command: String,
    pub status: String,
    pub started_at: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
