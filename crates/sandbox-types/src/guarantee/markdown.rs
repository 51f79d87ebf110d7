//! The table for people.

use super::Strength::{Narrow, Second, Whole};
use super::{Guarantee, TABLE};

/// [`TABLE`] as a Markdown table, for docs/threat-model.md.
pub fn markdown() -> String {
    let mut text = String::from("| guarantee | by | strength | what it means |\n|---|---|---|---|\n");
    for guarantee in Guarantee::ALL {
        let mut name = format!("**{}**: {}", guarantee.title(), guarantee.promise());
        for row in TABLE.iter().filter(|row| row.guarantee == *guarantee) {
            let by: Vec<_> = row.by.iter().map(|mechanism| mechanism.title()).collect();
            let strength = match row.strength {
                Whole => "whole",
                Narrow => "narrow",
                Second => "second",
            };
            text.push_str(&format!(
                "| {name} | {} | {strength} | {} |\n",
                by.join(" + "),
                row.says
            ));
            name.clear();
        }
    }
    text
}
