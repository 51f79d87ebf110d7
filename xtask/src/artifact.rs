//! What a cargo build made, read from its messages, so that no path is ever guessed.

use std::path::PathBuf;

use serde_json::Value;

use crate::{
    cmd::Cmd,
    error::{Error, Result},
};

/// An executable of the workspace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// The directory of its package.
    pub(crate) package_dir: PathBuf,
    /// The target's name: `sandbox`, `it`, the example's name.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) executable: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Program,
    Example,
    IntegrationTest,
    UnitTest,
}

/// Runs a cargo command that builds, and lists the executables it made or found fresh.
pub(crate) fn build(cargo: Cmd) -> Result<Vec<Artifact>> {
    let cargo = cargo.arg("--message-format=json-render-diagnostics");
    println!("$ {cargo}");
    parse(&cargo.read()?)
}

/// The program `name` among the executables.
pub(crate) fn program<'a>(built: &'a [Artifact], name: &'static str) -> Result<&'a Artifact> {
    built
        .iter()
        .find(|artifact| artifact.kind == Kind::Program && artifact.name == name)
        .ok_or(Error::NotBuilt { name })
}

/// The example `name` among the executables.
pub(crate) fn example<'a>(built: &'a [Artifact], name: &'static str) -> Result<&'a Artifact> {
    built
        .iter()
        .find(|artifact| artifact.kind == Kind::Example && artifact.name == name)
        .ok_or(Error::NotBuilt { name })
}

fn parse(messages: &str) -> Result<Vec<Artifact>> {
    let mut artifacts = Vec::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message: Value = serde_json::from_str(line).map_err(|source| Error::Json {
            command: "cargo build",
            source,
        })?;
        artifacts.extend(executable(&message));
    }
    Ok(artifacts)
}

fn executable(message: &Value) -> Option<Artifact> {
    let executable = message["executable"].as_str()?;
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    let tested = message["profile"]["test"].as_bool()?;
    let kind = match (message["target"]["kind"][0].as_str()?, tested) {
        ("bin", false) => Kind::Program,
        ("example", false) => Kind::Example,
        ("test", true) => Kind::IntegrationTest,
        (_, true) => Kind::UnitTest,
        _ => return None,
    };
    Some(Artifact {
        package_dir: manifest.parent()?.to_owned(),
        name: message["target"]["name"].as_str()?.to_owned(),
        kind,
        executable: executable.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, name: &str, test: bool) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","manifest_path":"/w/crates/a/Cargo.toml","executable":"/t/{name}",
            "target":{{"kind":["{kind}"],"name":"{name}"}},"profile":{{"test":{test}}}}}"#
        )
        .replace('\n', "")
    }

    #[test]
    fn executables_are_told_apart_by_what_they_are() {
        let messages = [
            message("bin", "sandbox", false),
            message("bin", "sandbox", true),
            message("test", "it", true),
            message("example", "hello", false),
            r#"{"reason":"compiler-artifact","executable":null}"#.to_owned(),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let artifacts = parse(&messages.join("\n")).unwrap();
        let seen: Vec<_> = artifacts.iter().map(|a| (a.name.as_str(), a.kind)).collect();
        assert_eq!(
            seen,
            [
                ("sandbox", Kind::Program),
                ("sandbox", Kind::UnitTest),
                ("it", Kind::IntegrationTest),
                ("hello", Kind::Example),
            ]
        );
        assert_eq!(
            program(&artifacts, "sandbox").unwrap().package_dir,
            PathBuf::from("/w/crates/a")
        );
        assert!(program(&artifacts, "other").is_err());
    }
}
