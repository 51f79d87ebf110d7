//! Is it there? Asked by trying, since a package may be there by any way.

use std::{fs, path::Path};

use crate::{cmd::Cmd, scratch::Scratch, workspace};

/// How to see that a tool is there.
#[derive(Debug)]
pub(crate) enum Probe {
    /// All of these programs are found.
    Programs(&'static [&'static str]),
    /// The C compiler compiles and links this.
    Compiles {
        source: &'static str,
        libs: &'static [&'static str],
    },
    /// The C compiler finds this archive.
    StaticLibrary(&'static str),
}

impl Probe {
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Self::Programs(names) => names.iter().all(|name| workspace::has_program(name)),
            Self::Compiles { source, libs } => compiles(source, libs),
            Self::StaticLibrary(name) => static_library(name).is_some(),
        }
    }
}

/// The absolute path of an archive the C compiler finds.
pub(crate) fn static_library(name: &str) -> Option<String> {
    let answer = Cmd::new("cc")
        .arg(format!("-print-file-name={name}"))
        .read()
        .ok()?;
    // An unknown archive is answered by its bare name.
    let path = answer.trim();
    Path::new(path).is_absolute().then(|| path.to_owned())
}

fn compiles(source: &str, libs: &[&str]) -> bool {
    let Ok(scratch) = Scratch::new(&std::env::temp_dir(), "sandbox-setup") else {
        return false;
    };
    let file = scratch.path().join("probe.c");
    fs::write(&file, source).is_ok()
        && Cmd::new("cc")
            .arg(&file)
            .arg("-o")
            .arg(scratch.path().join("probe"))
            .args(libs)
            .succeeds()
}
