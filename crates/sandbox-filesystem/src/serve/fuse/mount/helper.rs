//! fusermount3: the program that mounts for those who may not.
//!
//! It gives the open device back over a socket, and ends. Its own `auto_unmount` is of no use: it looks at the mount as
//! root, who may not (without `allow_other`), and leaves it. So a guard waits for this process's end and calls it.

use std::ffi::OsStr;
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
};

use super::super::error::{MountError, UnmountError};
use super::{Mounted, Options, Point};
use crate::sys::guard::Guard;

const PROGRAMS: [&str; 2] = ["fusermount3", "fusermount"];

/// The helper that has mounted.
#[derive(Debug)]
pub(in super::super) struct Helper {
    program: PathBuf,
    guard: Guard,
}

impl Helper {
    /// Has it mounted: the device, and what keeps it mounted.
    pub(in super::super) fn mount(
        options: &Options,
        point: &Point,
    ) -> Result<(OwnedFd, Mounted), MountError> {
        let resources = |error: rustix::io::Errno| MountError::Resources { source: error.into() };
        let program = PROGRAMS.iter().find_map(|name| find(name));
        let program = program.ok_or(MountError::NoHelper)?;
        let path = point.path().to_owned();
        let [unmount, lazily, end] = ["-u", "-z", "--"].map(OsStr::new);
        let command = [program.as_os_str(), unmount, lazily, end, path.as_os_str()];
        let guard = Guard::ahead(&path, Some(&command)).map_err(|source| MountError::Resources { source })?;
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(resources)?;
        let mut child = start(&program, options, point, theirs)?;
        match receive(&ours) {
            Ok(Some(device)) => {
                if let Err(error) = child.wait() {
                    tracing::debug!(%error, "the helper was waited for by somebody else");
                }
                let helper = Self { program, guard }.mounted(&path)?;
                Ok((device, Mounted::ByHelper { path, helper }))
            }
            received => {
                drop(ours);
                let said = last_words(&mut child);
                received.map_err(resources)?;
                Err(MountError::Helper { program, said })
            }
        }
    }

    fn mounted(mut self, path: &Path) -> Result<Self, MountError> {
        match self.guard.mounted() {
            Ok(()) => Ok(self),
            Err(source) => {
                // Nothing may be mounted that would stay when this process is killed.
                if let Err(error) = detach(&self.program, path) {
                    tracing::warn!(%error, path = %path.display(), "a mount stays in the tree");
                }
                Err(MountError::Resources { source })
            }
        }
    }

    /// Unmounts what nobody uses.
    pub(super) fn unmount(&mut self, path: &Path) -> Result<(), UnmountError> {
        if !self.guard.sees_mount() {
            return Ok(());
        }
        let output = Command::new(&self.program)
            .args(["-u", "--"])
            .arg(path)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| UnmountError::Failed { source })?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return Ok(());
        }
        if said.contains("busy") {
            return Err(UnmountError::Busy);
        }
        let source = std::io::Error::other(said.trim().to_owned());
        Err(UnmountError::Failed { source })
    }

    /// Takes it out of the tree.
    pub(super) fn detach(&mut self, path: &Path) -> std::io::Result<()> {
        if !self.guard.sees_mount() {
            return Ok(());
        }
        detach(&self.program, path)
    }
}

fn detach(program: &Path, path: &Path) -> std::io::Result<()> {
    let detached = Command::new(program)
        .args(["-u", "-z", "--"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if detached.success() {
        Ok(())
    } else {
        Err(std::io::Error::other("fusermount3 -u -z does not unmount"))
    }
}

fn start(program: &Path, options: &Options, point: &Point, socket: OwnedFd) -> Result<Child, MountError> {
    let started = Command::new(program)
        .arg("-o")
        .arg(option_list(options))
        .arg("--")
        .arg(point.path())
        // The socket is its standard input: no other process of ours can inherit it by accident.
        .env("_FUSE_COMMFD", "0")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    started.map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => MountError::NoHelper,
        _ => MountError::Resources { source },
    })
}

/// The program of that name on PATH. The guard executes it without one.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&path).filter(|place| place.is_absolute());
    places
        .map(|place| place.join(name))
        .find(|program| program.is_file())
}

fn option_list(options: &Options) -> String {
    let mut list = vec![
        "nosuid".to_owned(),
        "nodev".to_owned(),
        format!("fsname={}", escaped(&options.fs_name)),
        format!("subtype={}", escaped(&options.subtype)),
    ];
    let flags = [
        (options.allow_other, "allow_other"),
        (options.default_permissions, "default_permissions"),
        (options.read_only, "ro"),
    ];
    list.extend(
        flags
            .into_iter()
            .filter(|flag| flag.0)
            .map(|flag| flag.1.to_owned()),
    );
    list.join(",")
}

/// A comma would end the option.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,")
}

/// The device; nothing where the helper closes the socket without having sent it.
fn receive(socket: &OwnedFd) -> Result<Option<OwnedFd>, rustix::io::Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    loop {
        match rustix::net::recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    let mut sent = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    Ok(sent.next())
}

/// What it printed before it ended.
fn last_words(child: &mut Child) -> String {
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        // What cannot be read is not said.
        let _ = stderr.read_to_string(&mut said);
    }
    let _ = child.wait();
    let said = said.trim();
    if said.is_empty() {
        "no reason given".to_owned()
    } else {
        said.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_name_begins_no_option() {
        let options = Options {
            fs_name: "a,suid\\".to_owned(),
            ..Options::default()
        };
        let list = option_list(&options);
        assert!(list.contains(r"fsname=a\,suid\\,subtype="), "{list}");
    }
}
