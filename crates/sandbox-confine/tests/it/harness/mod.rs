//! What the scenarios share.

mod filters;
mod host;
mod own_process;
pub(crate) mod second;
mod skip;
pub(crate) mod sys;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sandbox_confine::{Policy, RunResult, Sandbox};

pub(crate) use filters::{deny_landlock, deny_namespaces};
pub(crate) use host::{
    children, descriptors, is_root, live_with_argument, mounts, namespaces, private_entries, program,
    unique_seconds,
};
pub(crate) use own_process::{MARKER, in_own_process, own_process, start_marked};
pub(crate) use skip::skip;

/// Long enough for a machine under load; a test that needs it has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The name of the test that the macro is used in.
macro_rules! name_of_test {
    () => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        let path = path.strip_suffix("::here").unwrap_or(path);
        path.split_once("::").map_or(path, |(_, name)| name)
    }};
}
pub(crate) use name_of_test;

/// Returns from the test, saying why, where namespaces do not work.
macro_rules! needs_namespaces {
    () => {
        if let Err(reason) = crate::harness::namespaces() {
            return crate::harness::skip(crate::harness::name_of_test!(), &reason);
        }
    };
}
pub(crate) use needs_namespaces;

/// Returns from the test, saying why, where a program is not installed.
macro_rules! needs_program {
    ($name:expr) => {
        if crate::harness::program($name).is_none() {
            return crate::harness::skip(
                crate::harness::name_of_test!(),
                &format!("{} is not installed", $name),
            );
        }
    };
}
pub(crate) use needs_program;

/// Runs a shell script under `policy` to its end.
pub(crate) fn sh_under(policy: &Policy, script: &str) -> RunResult {
    Sandbox::command(policy, "/bin/sh")
        .args(["-c", script])
        .output()
        .unwrap_or_else(|error| panic!("{script}: {error}"))
}

/// Runs a shell script under the default policy.
pub(crate) fn sh(script: &str) -> RunResult {
    sh_under(&Policy::default(), script)
}

/// Standard output as text, for a run that must have succeeded.
pub(crate) fn stdout(result: &RunResult) -> String {
    assert!(
        result.outcome.success(),
        "{:?}: {}{}",
        result.outcome,
        String::from_utf8_lossy(&result.stdout),
        String::from_utf8_lossy(&result.stderr)
    );
    String::from_utf8_lossy(&result.stdout).into_owned()
}

/// Both streams as text.
pub(crate) fn both(result: &RunResult) -> String {
    [&result.stdout, &result.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes))
        .concat()
}

/// Waits for a condition that must come true.
pub(crate) fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < DEADLINE, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs `body` on a thread and fails when it does not come back.
pub(crate) fn within<T: Send + 'static>(deadline: Duration, body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || sender.send(body()).is_ok());
    match receiver.recv_timeout(deadline) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("not done within {deadline:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(payload) => std::panic::resume_unwind(payload),
            Ok(_) => panic!("ended without an answer"),
        },
    }
}

/// A directory of the test's own, without links in its path, which everybody may enter.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("confine-it-")
            .tempdir()
            .expect("a temporary directory");
        let path = directory.path().canonicalize().expect("it exists");
        Self { directory, path }
    }

    pub(crate) fn path(&self) -> &Path {
        debug_assert!(self.directory.path().exists());
        &self.path
    }

    /// Makes a directory and those above it.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).expect("can make directories");
        path
    }

    /// Writes a file, and makes the directories above it.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().expect("inside")).expect("can make directories");
        std::fs::write(&path, content).expect("can write");
        path
    }

    /// An executable file.
    pub(crate) fn program(&self, name: &str, content: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.file(name, content);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("own file");
        path
    }
}
