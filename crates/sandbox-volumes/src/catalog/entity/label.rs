//! A label of a volume.

#![allow(unreachable_pub, missing_docs, reason = "what the derive makes of it")]

use sea_orm::entity::prelude::*;

/// A row as SQLite makes JSON of it: what is in a [`Model`], in its order.
pub(in crate::catalog) const PACKED: &str = "json_array(volume_id, key, value, position)";

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, serde::Deserialize)]
#[sea_orm(table_name = "labels")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub volume_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub value: String,
    /// Its place among the labels of its volume.
    pub position: i32,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
