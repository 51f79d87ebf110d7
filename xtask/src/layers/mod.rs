//! `cargo xtask layers`: the direction of imports and how many crates each of ours may pull in.
//!
//! A crate can only import what its manifest names, so the edges cargo reports are all there is to
//! check. Development dependencies obey the direction too: a sibling in a test is a sibling. Every combination of features
//! builds.

mod combinations;
mod graph;
mod lean;
mod rules;

use crate::{
    cmd::cargo,
    error::{Error, Result},
};

use graph::Graph;
use rules::{COMBINED, LAYERS, LEAN, Layer, OWNED, Owned};

pub(crate) fn run() -> Result<()> {
    let metadata = cargo()
        // Dependencies are counted as they are on the platform that is built for.
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
        .read()?;
    let metadata = serde_json::from_str(&metadata).map_err(|source| Error::Json {
        command: "cargo metadata",
        source,
    })?;
    let graph = Graph::from_metadata(&metadata);
    for layer in LAYERS {
        println!(
            "{:<20} {:>3} of {:>3} dependencies",
            layer.name,
            graph.transitive(layer.name).len(),
            layer.budget
        );
    }
    let mut violations = violations(&graph, LAYERS, OWNED);
    for lean in LEAN {
        violations.extend(lean::check(lean)?);
    }
    for combined in COMBINED {
        combinations::check(combined)?;
    }
    for violation in &violations {
        println!("layers: {violation}");
    }
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Error::Layers {
            violations: violations.len(),
        })
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Violation {
    #[error(
        "{name} has no place in the layers: add it to xtask/src/layers/rules.rs and docs/architecture.md"
    )]
    Unknown { name: String },
    #[error("{from} imports {to}, against the direction")]
    Direction { from: String, to: String },
    #[error("{name} pulls in {count} crates, its budget is {budget}: drop one, or raise it and say why")]
    Budget {
        name: &'static str,
        count: usize,
        budget: usize,
    },
    #[error("{name} without features but {features:?} pulls in {count} crates, its budget is {budget}")]
    LeanBudget {
        name: &'static str,
        features: &'static str,
        count: usize,
        budget: usize,
    },
    #[error("{name} without features but {features:?} pulls in {dependency}")]
    Unwanted {
        name: &'static str,
        features: &'static str,
        dependency: &'static str,
    },
    #[error("{from} imports {to}, which is {owner}'s alone")]
    Owned {
        from: String,
        to: &'static str,
        owner: &'static str,
    },
}

fn violations(graph: &Graph, layers: &[Layer], owned: &[Owned]) -> Vec<Violation> {
    let mut found = Vec::new();
    for name in graph.members() {
        match layers.iter().find(|layer| layer.name == name) {
            Some(layer) => found.extend(violations_of(graph, layer)),
            None => found.push(Violation::Unknown {
                name: name.to_owned(),
            }),
        }
        for Owned { dependency, owner } in owned {
            if name != *owner && graph.direct(name).contains(dependency) {
                found.push(Violation::Owned {
                    from: name.to_owned(),
                    to: dependency,
                    owner,
                });
            }
        }
    }
    found
}

fn violations_of(graph: &Graph, layer: &Layer) -> Vec<Violation> {
    let members: Vec<_> = graph.members().collect();
    let mut found: Vec<_> = graph
        .direct(layer.name)
        .into_iter()
        .filter(|to| members.contains(to) && !layer.imports.contains(to))
        .map(|to| Violation::Direction {
            from: layer.name.to_owned(),
            to: to.to_owned(),
        })
        .collect();
    let count = graph.transitive(layer.name).len();
    if count > layer.budget {
        found.push(Violation::Budget {
            name: layer.name,
            count,
            budget: layer.budget,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: &[Layer] = &[
        Layer {
            name: "types",
            imports: &[],
            budget: 2,
        },
        Layer {
            name: "confine",
            imports: &["types"],
            budget: 3,
        },
    ];
    const OWNED: &[Owned] = &[Owned {
        dependency: "libseccomp",
        owner: "confine",
    }];

    fn check(edges: &[(&str, &str)], expect: &[Violation]) {
        let graph = Graph::new(&["types", "confine"], edges);
        assert_eq!(violations(&graph, LAYERS, OWNED), expect);
    }

    #[test]
    fn an_import_downwards_is_fine() {
        check(
            &[
                ("confine", "types"),
                ("types", "serde"),
                ("confine", "libseccomp"),
            ],
            &[],
        );
    }

    #[test]
    fn an_import_upwards_is_a_violation() {
        check(
            &[("types", "confine")],
            &[Violation::Direction {
                from: "types".to_owned(),
                to: "confine".to_owned(),
            }],
        );
    }

    #[test]
    fn indirect_dependencies_count_against_the_budget() {
        check(
            &[
                ("types", "serde"),
                ("serde", "serde_core"),
                ("serde_core", "more"),
            ],
            &[Violation::Budget {
                name: "types",
                count: 3,
                budget: 2,
            }],
        );
    }

    #[test]
    fn an_owned_dependency_is_refused_to_others() {
        check(
            &[("types", "libseccomp")],
            &[Violation::Owned {
                from: "types".to_owned(),
                to: "libseccomp",
                owner: "confine",
            }],
        );
    }

    #[test]
    fn a_crate_without_a_layer_is_a_violation() {
        let graph = Graph::new(&["stray"], &[]);
        assert_eq!(
            violations(&graph, LAYERS, OWNED),
            [Violation::Unknown {
                name: "stray".to_owned()
            }]
        );
    }
}
