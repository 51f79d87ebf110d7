//! Running git: with a cleared environment, without hooks, and for a limited time.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::error::GitError;

/// How long git may take to answer a question; what it reads may be made to be slow.
const QUESTION_LIMIT: Duration = Duration::from_mins(2);
/// How long it may take to fetch; a very large history is minutes.
const FETCH_LIMIT: Duration = Duration::from_mins(15);
/// What is read of its answer.
const MAX_ANSWER: u64 = 64 << 20;
/// What is kept of its complaints.
const MAX_STDERR: u64 = 8192;

/// What a caller's environment may say; everything else, `GIT_*` above all, does not reach git.
const KEPT: [&str; 5] = ["HOME", "XDG_CONFIG_HOME", "PATH", "TMPDIR", "SSL_CERT_FILE"];

/// Settings that hold whatever the base's configuration and the user's say.
const SETTINGS: [&str; 13] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.logAllRefUpdates=false",
    "core.fsync=committed,reference",
    "protocol.file.allow=always",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "fetch.fsckObjects=true",
    "transfer.fsckObjects=true",
    // One pack, synced once, instead of a file and an fsync for each object.
    "fetch.unpackLimit=1",
    "transfer.bundleURI=false",
];

/// Whether there is a git to run.
pub(crate) fn is_installed() -> bool {
    find().is_some()
}

/// The git of this machine.
#[derive(Debug)]
pub(super) struct Git {
    program: PathBuf,
    limit: Option<Duration>,
}

impl Git {
    pub(super) fn find() -> Result<Self, GitError> {
        Ok(Self {
            program: find().ok_or(GitError::NotInstalled)?,
            limit: None,
        })
    }

    #[cfg(test)]
    pub(super) fn fake(program: PathBuf, limit: Duration) -> Self {
        Self {
            program,
            limit: Some(limit),
        }
    }

    /// Runs `git command arguments` on the repository `git_dir`, with `input` to read, and returns its answer.
    pub(super) fn run(
        &self,
        git_dir: &Path,
        command: &'static str,
        arguments: &[&OsStr],
        input: &[u8],
    ) -> Result<Vec<u8>, GitError> {
        let limit = self.limit.unwrap_or(match command {
            "fetch" => FETCH_LIMIT,
            _ => QUESTION_LIMIT,
        });
        let start = |source| GitError::Start {
            program: self.program.clone(),
            source,
        };
        let stdout = memory(b"").map_err(start)?;
        let stderr = memory(b"").map_err(start)?;
        let mut git = self.command(git_dir);
        git.arg(command).args(arguments);
        git.stdin(memory(input).map_err(start)?)
            .stdout(stdout.try_clone().map_err(start)?)
            .stderr(stderr.try_clone().map_err(start)?);
        let mut child = git.spawn().map_err(start)?;
        let status = match wait(&mut child, limit) {
            Ok(Some(status)) => status,
            unfinished => {
                end(&mut child);
                return Err(unfinished.map_or_else(start, |_| GitError::TimedOut { command, limit }));
            }
        };
        if !status.success() {
            let said = contents(stderr, MAX_STDERR).map_err(start)?;
            return Err(GitError::Failed {
                command,
                status,
                stderr: String::from_utf8_lossy(&said).trim().to_owned(),
            });
        }
        contents(stdout, MAX_ANSWER).map_err(start)
    }

    fn command(&self, git_dir: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().current_dir("/").process_group(0);
        for name in KEPT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // Answers are read, nobody is there to be asked, and nothing is fetched that is not in the layers.
        command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            // A small file can unpack to a commit of any size, which git reads as a whole; blobs it reads in pieces.
            .env("GIT_ALLOC_LIMIT", "1g");
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        // A working tree that is surely there: `core.worktree` may name one that is not.
        command
            .arg("--git-dir")
            .arg(git_dir)
            .arg("--work-tree")
            .arg(git_dir);
        command
    }
}

/// The first git in PATH. Relative directories are left out: they would depend on where the caller stands.
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join("git"))
        .find(|program| {
            std::fs::metadata(program)
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// A file in memory that holds `content`, to be read from its start.
fn memory(content: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("git", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

/// The last `limit` bytes of what was written.
fn contents(mut file: File, limit: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(io::SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How `child` ended; none where it has not within `limit`.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let pidfd = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(None),
            Ok(_) => return child.wait().map(Some),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Ends `child`, and what it has started.
fn end(child: &mut Child) {
    let group = Pid::from_child(child);
    if let Err(errno) = rustix::process::kill_process_group(group, Signal::KILL) {
        tracing::warn!(%errno, "git could not be ended");
    }
    if let Err(error) = child.wait() {
        tracing::warn!(%error, "git could not be waited for");
    }
}
