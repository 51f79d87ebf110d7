//! A place for one test: directories of its own, the program, and what a run gave back.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The program under test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("SANDBOX_TEST_BIN").map_or_else(|| env!("CARGO_BIN_EXE_sandbox").into(), PathBuf::from)
}

/// Prints why a test cannot run here and returns from it; where skips are failures, fails.
macro_rules! skip {
    ($name:expr, $($reason:tt)+) => {{
        $crate::harness::skipped($name, &format!($($reason)+));
        return;
    }};
}

/// See `skip!`.
pub(crate) fn skipped(name: &str, reason: &str) {
    eprintln!("SKIP: {name}: {reason}");
    let allowed = std::env::var("SANDBOX_TEST_ALLOWED_SKIPS").unwrap_or_default();
    let must_run = std::env::var_os("SANDBOX_TEST_NO_SKIP").is_some();
    assert!(
        !must_run || allowed.split(',').any(|allowed| allowed == name),
        "{name} may not skip: {reason}"
    );
}

/// Whether a program is on PATH.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// A current directory and a home, both gone with it.
#[derive(Debug)]
pub(crate) struct Harness {
    dir: TempDir,
}

/// What a run gave back.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Harness {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("sandbox-it-")
            .tempdir()
            .expect("a temporary directory");
        for name in ["work", "home"] {
            fs::create_dir(dir.path().join(name)).expect("mkdir");
        }
        Self { dir }
    }

    /// The directory that holds the others.
    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The current directory of runs.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// The home of runs.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Writes a file below the root and gives its path.
    pub(crate) fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("mkdir");
        fs::write(&path, content).expect("write");
        path
    }

    /// Writes a shell script.
    pub(crate) fn script(&self, path: &str, body: &str) -> PathBuf {
        let path = self.write(path, &format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        path
    }

    /// `sandbox ARGS` in the current directory, without input.
    pub(crate) fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = self.at_home(&binary());
        command.args(args).stdin(Stdio::null());
        command
    }

    /// A program with the same surroundings.
    pub(crate) fn at_home(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.work())
            .env("HOME", self.home())
            .env_remove("SANDBOX_HOME")
            .env_remove("XDG_STATE_HOME")
            .env_remove("XDG_CONFIG_HOME");
        command
    }

    /// Runs `sandbox ARGS` to the end.
    pub(crate) fn sandbox(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// Runs `sandbox run FLAGS -- sh -c SCRIPT` to the end.
    pub(crate) fn sh(&self, flags: &[&str], script: &str) -> Ran {
        self.sandbox([&["run"], flags, &["--", "sh", "-c", script]].concat())
    }

    /// Starts `sandbox run FLAGS -- sh -c SCRIPT` and waits until it has printed `ready`.
    pub(crate) fn start(&self, flags: &[&str], script: &str) -> Child {
        let args = [&["run"], flags, &["--", "sh", "-c", script]].concat();
        let mut child = self
            .command(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("sandbox starts");
        let mut line = [0; 6];
        child
            .stdout
            .as_mut()
            .expect("piped")
            .read_exact(&mut line)
            .expect("the command starts");
        assert_eq!(&line, b"ready\n");
        child
    }
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("it can be executed");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let status = output.status.code().expect("it exits by itself");
        Self {
            status,
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The JSON on standard error.
    pub(crate) fn json(&self) -> serde_json::Value {
        let line = self.stderr.lines().find(|line| line.starts_with('{'));
        serde_json::from_str(line.unwrap_or_else(|| panic!("JSON in {self:?}"))).expect("valid JSON")
    }

    /// It ended with this status and said all of these.
    #[track_caller]
    pub(crate) fn says(&self, status: i32, texts: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} in {self:?}");
        }
    }

    /// It ended well and printed exactly this.
    #[track_caller]
    pub(crate) fn prints(&self, stdout: &str) {
        assert_eq!((self.status, self.stdout.as_str()), (0, stdout), "{self:?}");
    }
}

/// PATH with the program under test first.
pub(crate) fn path_with(directory: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::iter::once(directory.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(directories).expect("no colon in it")
}
