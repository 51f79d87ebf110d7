//! A volume: a name for a place.

#![allow(unreachable_pub, missing_docs, reason = "what the derive makes of it")]

use sea_orm::entity::prelude::*;

/// A row as SQLite makes JSON of it: what is in a [`Model`], in its order.
pub(in crate::catalog) const PACKED: &str = "json_array(id, name, kind, place, quota_bytes, quota_inodes, \
    size_bytes, created_at, used_bytes, used_inodes, used_at)";

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, serde::Deserialize)]
#[sea_orm(table_name = "volumes")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(unique)]
    pub name: String,
    pub kind: String,
    /// The name of its directory in `volumes/`; another one after `restore`.
    #[sea_orm(unique)]
    pub place: String,
    pub quota_bytes: Option<i64>,
    pub quota_inodes: Option<i64>,
    pub size_bytes: Option<i64>,
    pub created_at: i64,
    pub used_bytes: Option<i64>,
    pub used_inodes: Option<i64>,
    pub used_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
