# A program of several modules without dependencies: crate.sh DIR MODULES
set -eu
mkdir -p "$1/src"
cat >"$1/Cargo.toml" <<EOF
[package]
name = "bench"
version = "0.1.0"
edition = "2021"
[workspace]
EOF
: >"$1/src/main.rs"
module=0
while [ "$module" -lt "$2" ]; do
    echo "mod m$module;" >>"$1/src/main.rs"
    cat >"$1/src/m$module.rs" <<EOF
use std::collections::BTreeMap;
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Record { pub name: String, pub values: Vec<u64>, pub of: BTreeMap<String, Option<i32>> }
pub fn sum(records: &[Record]) -> u64 {
    records.iter().flat_map(|record| record.values.iter().map(|value| value + $module)).sum()
}
pub fn show(records: &[Record]) -> String {
    records.iter().map(|record| format!("{record:?}")).collect::<Vec<_>>().join(",")
}
EOF
    module=$((module + 1))
done
{
    echo 'fn main() {'
    module=0
    while [ "$module" -lt "$2" ]; do
        echo "    println!(\"{} {}\", m$module::sum(&[]), m$module::show(&[m$module::Record::default()]));"
        module=$((module + 1))
    done
    echo '}'
} >>"$1/src/main.rs"
