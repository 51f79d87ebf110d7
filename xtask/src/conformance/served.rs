//! A backend that is mounted for as long as it is tested.

use std::{
    cell::Cell,
    ffi::OsString,
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};

use super::stuck;
use crate::{
    cmd::Cmd,
    error::{Error, Result},
};

/// What is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// A directory of the host, without anything of ours.
    Host,
    /// `MemFs`.
    Memory,
    /// `PassthroughFs` on a directory of the host: what it is called, and the options of the example `serve`.
    Passthrough(&'static str, &'static [&'static str]),
    /// `OverlayFs` on a layer that has files, with this stat virtualization.
    Overlay(&'static str),
    /// `DualFs` on a directory of the host over one that has files, with this stat virtualization.
    Dual(&'static str),
}

impl Subject {
    /// What is served where nothing else is asked for.
    pub(super) const STRICT: Self = Self::Passthrough("strict", &["strict"]);

    /// One word.
    pub(super) fn name(self) -> String {
        match self {
            Self::Host => "host".to_owned(),
            Self::Memory => "mem".to_owned(),
            Self::Passthrough(name, _) => format!("passthrough-{name}"),
            Self::Overlay(stat) => format!("overlay-{stat}"),
            Self::Dual(stat) => format!("dual-{stat}"),
        }
    }
}

/// A directory on the filesystem under test. What serves it ends, and unmounts, when this is dropped.
pub(super) struct Served {
    directory: PathBuf,
    /// The directory of the host behind it.
    root: Option<PathBuf>,
    command: Option<Line>,
    server: Option<Child>,
    /// What the server says: that it is ready, and at its end how often each operation was asked for.
    said: Option<BufReader<ChildStdout>>,
    is_stuck: Cell<bool>,
}

/// How the server is started.
struct Line {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Served {
    /// In new directories of `scratch`.
    pub(super) fn start(subject: Subject, program: &Path, scratch: &Path) -> Result<Self> {
        let directory = scratch.join(subject.name());
        fs::create_dir(&directory).map_err(Error::io(&directory))?;
        let mut served = Self {
            directory,
            root: None,
            command: None,
            server: None,
            said: None,
            is_stuck: Cell::new(false),
        };
        let mount_point = served.directory.clone().into_os_string();
        let mut arguments = match subject {
            Subject::Host => return Ok(served),
            Subject::Memory => vec!["mem".into(), mount_point, "1G".into()],
            Subject::Passthrough(_, options) => {
                let root = scratch.join(format!("{}-root", subject.name()));
                fs::create_dir(&root).map_err(Error::io(&root))?;
                let mut arguments = vec!["passthrough".into(), root.clone().into(), mount_point];
                arguments.extend(options.iter().map(OsString::from));
                served.root = Some(root);
                arguments
            }
            Subject::Overlay(stat) => {
                let [layer, upper, work] =
                    ["layer", "upper", "work"].map(|name| scratch.join(format!("{}-{name}", subject.name())));
                for new in [&layer, &upper, &work] {
                    fs::create_dir(new).map_err(Error::io(new))?;
                }
                make_merged(&layer)?;
                let mut arguments = vec!["overlay".into()];
                arguments.extend([layer, upper, work].map(PathBuf::into_os_string));
                arguments.extend([mount_point, stat.into()]);
                arguments
            }
            Subject::Dual(stat) => {
                let [a, b] = ["a", "b"].map(|name| scratch.join(format!("{}-{name}", subject.name())));
                for new in [&a, &b] {
                    fs::create_dir(new).map_err(Error::io(new))?;
                }
                make_merged(&b)?;
                vec!["dual".into(), a.into(), b.into(), mount_point, stat.into()]
            }
        };
        arguments.push("stats".into());
        served.command = Some(Line {
            program: program.to_owned(),
            arguments,
        });
        served.again()?;
        Ok(served)
    }

    pub(super) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// SIGKILL, in the middle of whatever it does.
    pub(super) fn kill(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            let killed = server.kill().and_then(|()| server.wait());
            killed.map_err(Error::io(&self.directory))?;
        }
        Ok(())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// After [`kill`](Self::kill): the same in the same place.
    pub(super) fn again(&mut self) -> Result<()> {
        if let Some(line) = &self.command {
            let (server, said) = line.spawn()?;
            (self.server, self.said) = (Some(server), Some(said));
        }
        Ok(())
    }

    /// Follows a suite, and prints what it is doing where it does not end in time.
    pub(super) fn follow(
        &self,
        suite: Cmd,
        limit: Duration,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<ExitStatus> {
        suite.follow_or(limit, on_line, &mut |pid| {
            self.is_stuck.set(true);
            stuck::tell(self.server.as_ref().map(Child::id), pid);
        })
    }

    /// Unmounts. That the server is still there and ends well is a part of every test.
    pub(super) fn end(mut self) -> Result<()> {
        let Some(status) = self.ended() else {
            return Ok(());
        };
        let status = status.map_err(Error::io(&self.directory))?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::Exit {
                command: "serve".to_owned(),
                status,
            })
        }
    }

    fn ended(&mut self) -> Option<io::Result<ExitStatus>> {
        let mut server = self.server.take()?;
        drop(server.stdin.take());
        let mut figures = String::new();
        if let Some(mut said) = self.said.take()
            && said.read_to_string(&mut figures).is_ok()
            && self.is_stuck.get()
        {
            println!("--- what the server was asked for:\n{figures}");
        }
        Some(server.wait())
    }
}

/// So that the suites work in directories that are merged.
fn make_merged(layer: &Path) -> Result<()> {
    for suite in ["pjdfstest", "fsx", "programs", "stress"] {
        let directory = layer.join(suite);
        fs::create_dir(&directory).map_err(Error::io(&directory))?;
    }
    Ok(())
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.ended() {
            eprintln!("warning: the server of {}: {error}", self.directory.display());
        }
    }
}

impl Line {
    /// Returns when the mount is there.
    fn spawn(&self) -> Result<(Child, BufReader<ChildStdout>)> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut server = command.spawn().map_err(|source| Error::Start {
            command: "serve".to_owned(),
            source,
        })?;
        if let Some(output) = server.stdout.take() {
            let mut said = BufReader::new(output);
            let mut line = String::new();
            said.read_line(&mut line).map_err(Error::io("serve"))?;
            if line.trim() == "ready" {
                return Ok((server, said));
            }
        }
        let status = server.wait().map_err(Error::io("serve"))?;
        Err(Error::Exit {
            command: "serve".to_owned(),
            status,
        })
    }
}
