//! How names of volumes, and paths in them, can go on: asked by the shell while somebody types. What cannot be known
//! is no answer, and never an error.

use std::ffi::OsStr;
use std::path::Path;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use sandbox::volume::{EntryKind, VolumeFilter, default_home};

use super::{backend, block_on};

/// Completes the name of a volume.
pub(crate) fn name() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| names(typed, ""))
}

/// Completes the name of a snapshot: of the volume that is named before it, as far as that can be told.
pub(crate) fn snapshot() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| snapshots(typed).unwrap_or_default())
}

/// Completes `NAME:/DST`.
pub(crate) fn attached() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| names(typed, ":/"))
}

/// Completes `NAME:PATH`.
pub(crate) fn place() -> ArgValueCompleter {
    ArgValueCompleter::new(
        |typed: &OsStr| match typed.to_str().and_then(|typed| typed.split_once(':')) {
            Some((name, path)) => paths(name, path).unwrap_or_default(),
            None => names(typed, ":/"),
        },
    )
}

/// The words of the line come after `--`, which the shell's script puts before them.
fn snapshots(typed: &OsStr) -> Option<Vec<CompletionCandidate>> {
    let typed = typed.to_string_lossy();
    if !has_catalog() {
        return None;
    }
    let words = std::env::args().skip_while(|word| word != "--").skip(4);
    let words: Vec<String> = words.collect();
    let known = block_on(async {
        for word in &words {
            let Ok(name) = word.parse() else { continue };
            let Ok(volume) = super::volume(&name).await else {
                continue;
            };
            return Ok(volume.snapshots().await?);
        }
        Ok(Vec::new())
    });
    let names = known.ok()?.into_iter().map(|snapshot| snapshot.name.to_string());
    let fitting = names.filter(|name| name.starts_with(&*typed));
    Some(fitting.map(CompletionCandidate::new).collect())
}

/// Looking makes no catalog where there is none.
fn has_catalog() -> bool {
    default_home().is_some_and(|home| home.join("catalog.db").exists())
}

fn names(typed: &OsStr, end: &str) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    if !has_catalog() {
        return Vec::new();
    }
    let all = block_on(async { Ok(backend().await?.list(&VolumeFilter::all()).await?) });
    let names = all
        .unwrap_or_default()
        .into_iter()
        .map(|volume| volume.name.to_string());
    names
        .filter(|name| name.starts_with(&*typed))
        .map(|name| CompletionCandidate::new(format!("{name}{end}")))
        .collect()
}

fn paths(name: &str, path: &str) -> Option<Vec<CompletionCandidate>> {
    let (directory, begun) = path
        .rsplit_once('/')
        .map_or(("", path), |(directory, begun)| (directory, begun));
    let name = name.parse().ok()?;
    let fs = block_on(async { Ok(super::volume(&name).await?.fs()?) }).ok()?;
    let entries = fs
        .list(Path::new("/").join(directory.trim_start_matches('/')))
        .ok()?;
    let slash = if path.contains('/') { "/" } else { "" };
    let fitting = entries.into_iter().filter_map(|entry| {
        let text = entry.name.to_str()?.to_owned();
        let end = if entry.stat.kind == EntryKind::Directory {
            "/"
        } else {
            ""
        };
        text.starts_with(begun)
            .then(|| CompletionCandidate::new(format!("{name}:{directory}{slash}{text}{end}")))
    });
    Some(fitting.collect())
}
