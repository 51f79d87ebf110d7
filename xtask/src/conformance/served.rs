//! A backend that is mounted for as long as it is tested.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::error::{Error, Result};

/// What is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// A directory of the host, without anything of ours.
    Host,
    /// `MemFs`.
    Memory,
    /// `PassthroughFs` on a directory of the host, with this stat virtualization.
    Passthrough(&'static str),
    /// `OverlayFs` on a layer that has files, with this stat virtualization.
    Overlay(&'static str),
}

impl Subject {
    /// One word.
    pub(super) fn name(self) -> String {
        match self {
            Self::Host => "host".to_owned(),
            Self::Memory => "mem".to_owned(),
            Self::Passthrough(stat) => format!("passthrough-{stat}"),
            Self::Overlay(stat) => format!("overlay-{stat}"),
        }
    }
}

/// A directory on the filesystem under test. What serves it ends, and unmounts, when this is dropped.
pub(super) struct Served {
    directory: PathBuf,
    server: Option<Child>,
}

impl Served {
    pub(super) fn start(subject: Subject, program: &Path, scratch: &Path) -> Result<Self> {
        let directory = scratch.join(subject.name());
        fs::create_dir(&directory).map_err(Error::io(&directory))?;
        let mut command = Command::new(program);
        match subject {
            Subject::Host => {
                return Ok(Self {
                    directory,
                    server: None,
                });
            }
            Subject::Memory => command.arg("mem").arg(&directory).arg("1G"),
            Subject::Passthrough(stat) => {
                let root = scratch.join(format!("{}-root", subject.name()));
                fs::create_dir(&root).map_err(Error::io(&root))?;
                command.arg("passthrough").arg(root).arg(&directory).arg(stat)
            }
            Subject::Overlay(stat) => {
                let [layer, upper, work] =
                    ["layer", "upper", "work"].map(|name| scratch.join(format!("{}-{name}", subject.name())));
                for new in [&layer, &upper, &work] {
                    fs::create_dir(new).map_err(Error::io(new))?;
                }
                // So that the suites work in directories that are merged.
                for suite in ["pjdfstest", "fsx", "programs", "stress"] {
                    let directory = layer.join(suite);
                    fs::create_dir(&directory).map_err(Error::io(&directory))?;
                }
                command
                    .arg("overlay")
                    .arg(layer)
                    .arg(upper)
                    .arg(work)
                    .arg(&directory)
                    .arg(stat)
            }
        };
        let server = spawn(command)?;
        Ok(Self {
            directory,
            server: Some(server),
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Unmounts. That the server is still there and ends well is a part of every test.
    pub(super) fn end(mut self) -> Result<()> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        drop(server.stdin.take());
        let status = server.wait().map_err(Error::io(&self.directory))?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::Exit {
                command: "serve".to_owned(),
                status,
            })
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.stdin.take());
            if let Err(error) = server.wait() {
                eprintln!("warning: the server of {}: {error}", self.directory.display());
            }
        }
    }
}

/// Returns when the mount is there.
fn spawn(mut command: Command) -> Result<Child> {
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut server = started.map_err(|source| Error::Start {
        command: "serve".to_owned(),
        source,
    })?;
    let mut line = String::new();
    if let Some(output) = server.stdout.take() {
        BufReader::new(output)
            .read_line(&mut line)
            .map_err(Error::io("serve"))?;
    }
    if line.trim() == "ready" {
        return Ok(server);
    }
    let status = server.wait().map_err(Error::io("serve"))?;
    Err(Error::Exit {
        command: "serve".to_owned(),
        status,
    })
}
