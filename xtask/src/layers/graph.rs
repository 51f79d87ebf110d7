//! The dependency graph, as far as the rules look at it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Packages and their edges. Two versions of one crate are two packages.
pub(super) struct Graph {
    names: BTreeMap<String, String>,
    members: Vec<String>,
    /// Edges of every kind: normal, build, development.
    all: BTreeMap<String, BTreeSet<String>>,
    /// Normal edges, the ones that reach a user of the crate.
    normal: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Reads what `cargo metadata` prints.
    pub(super) fn from_metadata(metadata: &Value) -> Self {
        let texts = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let mut graph = Self {
            names: list(&metadata["packages"])
                .iter()
                .map(|p| (texts(p, "id"), texts(p, "name")))
                .collect(),
            members: list(&metadata["workspace_members"])
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            all: BTreeMap::new(),
            normal: BTreeMap::new(),
        };
        for node in list(&metadata["resolve"]["nodes"]) {
            for dep in list(&node["deps"]) {
                let (from, to) = (texts(node, "id"), texts(dep, "pkg"));
                if list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()) {
                    graph.normal.entry(from.clone()).or_default().insert(to.clone());
                }
                graph.all.entry(from).or_default().insert(to);
            }
        }
        graph
    }

    /// The names of the workspace's crates.
    pub(super) fn members(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|id| self.name(id))
    }

    /// The names of what a crate of the workspace names in its manifest, of every kind.
    pub(super) fn direct(&self, member: &str) -> Vec<&str> {
        self.ids(member)
            .filter_map(|id| self.all.get(id))
            .flatten()
            .map(|id| self.name(id))
            .collect()
    }

    /// The packages a crate of the workspace reaches by normal dependencies, itself left out.
    pub(super) fn transitive(&self, member: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = self.ids(member).map(String::as_str).collect();
        while let Some(id) = open.pop() {
            let next = self.normal.get(id).into_iter().flatten().map(String::as_str);
            open.extend(next.filter(|id| reached.insert(*id)));
        }
        reached
    }

    fn ids(&self, member: &str) -> impl Iterator<Item = &String> {
        self.members.iter().filter(move |id| self.name(id) == member)
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
impl Graph {
    /// A graph of normal edges between packages that are their own names.
    pub(super) fn new(members: &[&str], edges: &[(&str, &str)]) -> Self {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            all.entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        let members = members.iter().map(|name| (*name).to_owned()).collect();
        Self {
            names: BTreeMap::new(),
            members,
            normal: all.clone(),
            all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_development_dependency_is_direct_but_reaches_no_user() {
        let metadata = serde_json::json!({
            "packages": [{"id": "a#1", "name": "a"}, {"id": "b#1", "name": "b"}, {"id": "c#1", "name": "c"}],
            "workspace_members": ["a#1"],
            "resolve": {"nodes": [{"id": "a#1", "deps": [
                {"pkg": "b#1", "dep_kinds": [{"kind": "dev"}]},
                {"pkg": "c#1", "dep_kinds": [{"kind": "dev"}, {"kind": null}]},
            ]}]},
        });
        let graph = Graph::from_metadata(&metadata);
        assert_eq!(graph.direct("a"), ["b", "c"]);
        assert_eq!(graph.transitive("a"), BTreeSet::from(["c#1"]));
    }
}
