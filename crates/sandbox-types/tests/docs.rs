//! The table in docs/threat-model.md is the table in the code. `UPDATE_GOLDEN=1` writes it.

use std::fs;

const BEGIN: &str = "<!-- guarantees: begin -->\n";
const END: &str = "<!-- guarantees: end -->";

#[test]
fn the_threat_model_shows_the_table_that_the_code_uses() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/threat-model.md");
    let page = fs::read_to_string(path).expect("docs/threat-model.md");
    let (before, rest) = page.split_once(BEGIN).expect("a begin marker");
    let (shown, after) = rest.split_once(END).expect("an end marker");
    let table = sandbox_types::guarantee::markdown();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).expect("writable");
        return;
    }
    assert_eq!(shown, table, "run with UPDATE_GOLDEN=1");
}
