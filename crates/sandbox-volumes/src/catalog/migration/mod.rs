//! The schema, step by step. A step that has been released is never changed.

mod m0001_volumes;
mod m0002_leases_and_snapshots;

use sea_orm_migration::prelude::*;

/// The version of the schema that this build knows, kept in `user_version`: the number of steps.
pub(crate) const VERSION: i64 = 2;

/// All steps, in order.
#[derive(Debug)]
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_volumes::Migration),
            Box::new(m0002_leases_and_snapshots::Migration),
        ]
    }
}

/// A table with what comes of itself.
fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(Alias::new(name)).to_owned()
}

/// The number of a row.
fn id() -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new("id"));
    column.big_integer().not_null().auto_increment().primary_key();
    column
}

fn text(name: &'static str) -> ColumnDef {
    let mut column = optional_text(name);
    column.not_null();
    column
}

fn optional_text(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.text();
    column
}

fn number(name: &'static str) -> ColumnDef {
    let mut column = optional_number(name);
    column.not_null();
    column
}

fn optional_number(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.big_integer();
    column
}

/// A column that names a row of another table.
fn reference(
    table: &'static str,
    column: &'static str,
    other: &'static str,
    on_delete: ForeignKeyAction,
) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .from(Alias::new(table), Alias::new(column))
        .to(Alias::new(other), Alias::new("id"))
        .on_delete(on_delete)
        .to_owned()
}

fn index(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(Alias::new(table));
    for column in columns {
        index.col(Alias::new(*column));
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_number_of_steps() {
        assert_eq!(Migrator::migrations().len(), usize::try_from(VERSION).unwrap());
    }
}
