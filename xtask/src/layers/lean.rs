//! Crates with fewer features than they have by default: how much they pull in.

use std::collections::BTreeSet;

use super::Violation;
use super::rules::Lean;
use crate::cmd::cargo;
use crate::error::Result;

/// Counts what it reaches.
pub(super) fn check(lean: &Lean) -> Result<Vec<Violation>> {
    let chosen = [
        "-p",
        lean.name,
        "--no-default-features",
        "--features",
        lean.features,
    ];
    let tree = cargo()
        .args(["tree", "--edges=normal", "--prefix=none", "--format={p}"])
        .args(chosen)
        .read()?;
    let found = violations(lean, &names(&tree));
    if found.is_empty() {
        let count = names(&tree).len() - 1;
        println!(
            "{:<20} {count:>3} of {:>3} with {:?} only",
            lean.name, lean.budget, lean.features
        );
    }
    Ok(found)
}

/// The packages of a tree, the crate itself among them. Two versions are two.
fn names(tree: &str) -> BTreeSet<&str> {
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    lines.filter(|line| !line.is_empty()).collect()
}

fn violations(lean: &Lean, names: &BTreeSet<&str>) -> Vec<Violation> {
    let Lean {
        name,
        features,
        budget,
        without,
    } = *lean;
    let is_there = |unwanted: &str| names.iter().any(|line| line.split(' ').next() == Some(unwanted));
    let mut found: Vec<_> = without
        .iter()
        .copied()
        .filter(|unwanted| is_there(unwanted))
        .map(|dependency| Violation::Unwanted {
            name,
            features,
            dependency,
        })
        .collect();
    let count = names.len().saturating_sub(1);
    if count > budget {
        found.push(Violation::LeanBudget {
            name,
            features,
            count,
            budget,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAN: Lean = Lean {
        name: "fs",
        features: "",
        budget: 2,
        without: &["tokio"],
    };

    #[test]
    fn a_lean_crate_keeps_to_its_budget() {
        let tree = "fs v1 (/x)\na v1\nb v1\na v1 (*)\n";
        assert_eq!(violations(&LEAN, &names(tree)), []);
        let more = format!("{tree}b v2\n");
        assert!(matches!(
            violations(&LEAN, &names(&more))[..],
            [Violation::LeanBudget { count: 3, .. }]
        ));
    }

    #[test]
    fn what_a_lean_crate_must_not_reach_is_named() {
        let found = violations(&LEAN, &names("fs v1\ntokio v1.2\n"));
        assert!(matches!(
            found[..],
            [Violation::Unwanted {
                dependency: "tokio",
                ..
            }]
        ));
    }
}
