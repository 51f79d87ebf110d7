//! Every combination of a crate's features builds, without a warning.

use super::rules::Combined;
use crate::cmd::cargo;
use crate::error::Result;

/// Clippy builds as far as `cargo check` does, and denies warnings in the crate that is named alone.
pub(super) fn check(combined: &Combined) -> Result<()> {
    let all = combinations(combined.choices);
    println!("{:<20} {:>3} combinations of features", combined.name, all.len());
    for features in all {
        let clippy = cargo().args(["clippy", "--quiet", "--package", combined.name, "--lib"]);
        let clippy = clippy.args(["--no-default-features", "--features", &features]);
        clippy.args(["--", "-D", "warnings"]).silent().run()?;
    }
    Ok(())
}

/// One of each choice, in every way.
fn combinations(choices: &[&[&str]]) -> Vec<String> {
    let begin = vec![String::new()];
    choices.iter().fold(begin, |so_far, choice| {
        let with_each = so_far.iter().flat_map(|chosen| {
            choice
                .iter()
                .map(move |one| format!("{chosen} {one}").trim().to_owned())
        });
        with_each.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_choice_is_taken_in_every_way() {
        let all = combinations(&[&["", "a", "a b"], &["", "c"]]);
        assert_eq!(all, ["", "c", "a", "a c", "a b", "a b c"]);
        assert_eq!(combinations(&[]), [""]);
    }
}
