//! fuse2fs: ext4 for those who may not have the kernel mount it.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::process::Signal;
use sandbox_types::Access;

use super::Disk;
use super::error::DiskMountError;
use crate::sys::guard::Guard;

const PROGRAM: &str = "fuse2fs";
const HELPERS: [&str; 2] = ["fusermount3", "fusermount"];
/// How long it may take to begin: it may have a journal to replay.
const PATIENCE: Duration = Duration::from_mins(1);
const MOMENT: Duration = Duration::from_millis(5);

/// A fuse2fs that serves the image. Dropped, it has written everything and ended.
#[derive(Debug)]
pub(super) struct Fuse2fsMount {
    at: PathBuf,
    helper: PathBuf,
    guard: Guard,
    child: Child,
}

impl Fuse2fsMount {
    pub(super) fn new(disk: &Disk<'_>) -> Result<Self, DiskMountError> {
        let no_way = |missing| DiskMountError::NoWay {
            image: disk.image.to_owned(),
            missing,
        };
        let program = find(PROGRAM).ok_or_else(|| no_way(PROGRAM))?;
        let helper = HELPERS.iter().find_map(|name| find(name));
        let helper = helper.ok_or_else(|| no_way("fusermount3"))?;
        let resources = |source| DiskMountError::Resources {
            image: disk.image.to_owned(),
            source,
        };
        let at = fs::canonicalize(disk.at).map_err(resources)?;
        let [unmount, lazily, end_of_options] = ["-u", "-z", "--"].map(OsStr::new);
        let command = [
            helper.as_os_str(),
            unmount,
            lazily,
            end_of_options,
            at.as_os_str(),
        ];
        let mut guard = Guard::ahead(&at, Some(&command)).map_err(resources)?;
        let mut child = start(&program, disk, &at).map_err(resources)?;
        if let Err(said) = is_served(&mut child, &at) {
            end(&mut child);
            return Err(DiskMountError::Fuse2fs {
                image: disk.image.to_owned(),
                program,
                said,
            });
        }
        if let Err(source) = guard.mounted() {
            unmount_by(&helper, &at, &["-u", "-z"]);
            end(&mut child);
            return Err(resources(source));
        }
        Ok(Self {
            at,
            helper,
            guard,
            child,
        })
    }
}

impl Drop for Fuse2fsMount {
    fn drop(&mut self) {
        if self.guard.sees_mount()
            && !unmount_by(&self.helper, &self.at, &["-u"])
            && !unmount_by(&self.helper, &self.at, &["-u", "-z"])
        {
            tracing::warn!(path = %self.at.display(), "a mount stays in the tree");
        }
        // It ends when it has written everything; the image is nobody else's before.
        if let Err(error) = self.child.wait() {
            tracing::warn!(%error, "fuse2fs was waited for by somebody else");
        }
    }
}

fn start(program: &Path, disk: &Disk<'_>, at: &Path) -> std::io::Result<Child> {
    // Its standard input is the caller's lock: should this process be killed, it is taken until fuse2fs has ended.
    let input = match disk.lock {
        Some(lock) => Stdio::from(lock.try_clone_to_owned()?),
        None => Stdio::null(),
    };
    let access = match disk.access {
        Access::Read => "ro",
        Access::Write => "rw",
    };
    Command::new(program)
        .arg("-f")
        // Who may do what in a private disk is for its owner to say, who is root there.
        .args(["-o", &format!("{access},fakeroot,nosuid,nodev")])
        .arg(disk.image)
        .arg(at)
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

/// Waits until it is mounted; what it has printed where it does not get there.
fn is_served(child: &mut Child, at: &Path) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        if is_mount(at) {
            return Ok(());
        }
        match child.try_wait() {
            Ok(None) if begun.elapsed() < PATIENCE => thread::sleep(MOMENT),
            Ok(None) => return Err("it does not begin".to_owned()),
            Ok(Some(_)) | Err(_) => return Err(last_words(child)),
        }
    }
}

fn is_mount(at: &Path) -> bool {
    let asked = rustix::fs::statx(CWD, at, AtFlags::STATX_DONT_SYNC, StatxFlags::empty());
    asked.is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn last_words(child: &mut Child) -> String {
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        // What cannot be read is not said.
        let _ = stderr.read_to_string(&mut said);
    }
    let said = said.trim();
    if said.is_empty() {
        "no reason given".to_owned()
    } else {
        said.replace('\n', "; ")
    }
}

/// For one that has mounted nothing.
fn end(child: &mut Child) {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // One that has ended already is not waited for yet, so the number is still its own.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    let _ = child.wait();
}

fn unmount_by(helper: &Path, at: &Path, options: &[&str]) -> bool {
    let status = Command::new(helper)
        .args(options)
        .arg("--")
        .arg(at)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// The program of that name on PATH, and where systems keep those of root.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).filter(|place| place.is_absolute());
    let more = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(PathBuf::from);
    places
        .chain(more)
        .map(|place| place.join(name))
        .find(|program| program.is_file())
}
