//! Ctrl-C in the middle of long work: what was begun is taken back before the process ends.
//!
//! The work itself knows nothing of it. It can be killed at any point, and what is then left is found by the commands
//! that are for that; so on a signal this process becomes that command (execve(2) ends all threads, and with them the
//! work and its locks), or removes the one file that it is writing.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};

use sandbox::branch::Workspace;

use crate::output::tell;

/// What takes back what was begun.
#[derive(Debug, Clone)]
enum Undo {
    /// `sandbox branch ARGS` of this workspace, run by this process.
    Branch(&'static [&'static str], Workspace),
    /// `sandbox volume settle`, run by this process.
    Volumes,
    /// `sandbox layer settle` of this directory, run by this process.
    Layers(PathBuf),
    /// Removing a file.
    Remove(PathBuf),
}

/// While it lives, a signal that asks to end does so in an orderly way. Where that cannot be had, it ends at once.
#[derive(Debug)]
pub(crate) struct Guard(Option<Watch>);

#[derive(Debug)]
struct Watch {
    /// Closed, it ends the thread.
    end: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    before: SigSet,
}

impl Guard {
    /// Removes `path`, which is being written.
    pub(crate) fn removing(path: PathBuf) -> Self {
        Self(watch(Undo::Remove(path)))
    }

    /// Takes back what is being done to volumes. Made before anything of theirs: their threads must not take the signal.
    pub(crate) fn of_volumes() -> Self {
        Self(watch(Undo::Volumes))
    }

    /// Removes what is being unpacked in `into`.
    pub(crate) fn importing(into: &Path) -> Self {
        Self(watch(Undo::Layers(into.to_owned())))
    }

    /// Removes layers of a branch of `workspace` that is being made.
    pub(crate) fn making(workspace: &Workspace) -> Self {
        Self(watch(Undo::Branch(&["gc"], workspace.clone())))
    }

    /// Takes back what is being committed to `workspace`, or undone there.
    pub(crate) fn writing(workspace: &Workspace) -> Self {
        Self(watch(Undo::Branch(
            &["recover", "--roll-back"],
            workspace.clone(),
        )))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(watch) = &mut self.0 else { return };
        drop(watch.end.take());
        if let Some(thread) = watch.thread.take() {
            thread.join().ok();
        }
        watch.before.thread_set_mask().ok();
    }
}

fn watch(undo: Undo) -> Option<Watch> {
    let asks: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    let before = SigSet::thread_get_mask().ok()?;
    let (ended, end) = pipe_with(PipeFlags::CLOEXEC).ok()?;
    asks.thread_block().ok()?;
    let started = SignalFd::with_flags(&asks, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .ok()
        .and_then(|signals| {
            let wait = move || wait(&signals, &ended, &undo, before);
            std::thread::Builder::new()
                .name("interrupt".into())
                .spawn(wait)
                .ok()
        });
    if started.is_none() {
        before.thread_set_mask().ok();
    }
    Some(Watch {
        end: Some(end),
        thread: Some(started?),
        before,
    })
}

fn wait(signals: &SignalFd, ended: &OwnedFd, undo: &Undo, before: SigSet) {
    loop {
        let mut fds = [signals.as_fd(), ended.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        if poll(&mut fds, None).is_err_and(|errno| errno != rustix::io::Errno::INTR) {
            return;
        }
        if let Ok(Some(info)) = signals.read_signal() {
            let status = u8::try_from(info.ssi_signo).unwrap_or(0).saturating_add(128);
            take_back(undo, before, status);
            std::process::exit(status.into());
        }
        if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) {
            return;
        }
    }
}

fn take_back(undo: &Undo, before: SigSet, status: u8) {
    match undo {
        Undo::Remove(path) => {
            std::fs::remove_file(path).ok();
            tell("sandbox: interrupted; nothing is left of it");
        }
        Undo::Volumes => become_command(&["volume", "settle"], [], before, status),
        Undo::Layers(into) => {
            become_command(&["layer", "settle"], [flag("--into", into)], before, status);
        }
        Undo::Branch(words, workspace) => {
            let words = [&["branch"], *words].concat();
            let place = [flag("--workspace", workspace.base())];
            let flags = place.into_iter().chain(storage_of(workspace));
            become_command(&words, flags, before, status);
        }
    }
}

/// Becomes `sandbox WORDS FLAGS`. Comes back where it cannot.
fn become_command(words: &[&str], flags: impl IntoIterator<Item = OsString>, before: SigSet, status: u8) {
    tell("sandbox: interrupted; taking back what was begun");
    before.thread_set_mask().ok();
    let program = std::env::current_exe().unwrap_or_else(|_| "sandbox".into());
    let mut command = Command::new(program);
    command.args(words).args(flags);
    let error = command.arg(format!("--interrupted={status}")).exec();
    tell(format_args!("sandbox: {error}; run: sandbox {}", words.join(" ")));
}

/// Where its branches are, as a flag; those beside it are found.
fn storage_of(workspace: &Workspace) -> Option<OsString> {
    let holder = workspace.storage().parent()?;
    if workspace.base().parent() == Some(holder) {
        return None;
    }
    Some(flag("--storage", holder))
}

fn flag(name: &str, value: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push("=");
    flag.push(value);
    flag
}
