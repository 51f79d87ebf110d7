//! What the scenarios share.
#![expect(clippy::print_stdout, reason = "a skip is announced on standard output")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The name of the test that the macro is used in.
macro_rules! name_of_test {
    () => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        let path = path.strip_suffix("::here").unwrap_or(path);
        path.split_once("::").map_or(path, |(_, name)| name)
    }};
}

/// Returns from the test, saying why.
macro_rules! skip {
    ($($reason:tt)+) => {
        return $crate::harness::skip(name_of_test!(), &format!($($reason)+))
    };
}

/// Returns from a test that mounts where nobody may mount.
macro_rules! needs_root {
    () => {
        if !rustix::process::geteuid().is_root() {
            skip!("only root may mount a disk");
        }
    };
}

/// The skip protocol of docs/CONTRIBUTING.md.
pub(crate) fn skip(name: &str, reason: &str) {
    let is_set = |variable| std::env::var_os(variable).is_some_and(|value| value == "1");
    let allowed = std::env::var("SANDBOX_TEST_ALLOWED_SKIPS").unwrap_or_default();
    let is_allowed = allowed.split(',').any(|known| known.trim() == name);
    assert!(
        !is_set("SANDBOX_TEST_NO_SKIP") || is_allowed,
        "{name} would skip: {reason}"
    );
    println!("SKIP: {name}: {reason}");
}

/// A directory that is gone when the test ends.
pub(crate) fn place() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("sandbox-ext4-")
        .tempdir()
        .expect("a temporary directory")
}

/// A program of e2fsprogs or the system's, with messages in English.
pub(crate) fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("LC_ALL", "C");
    command
}

/// What a program prints; it must succeed.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.output().expect("it can be executed");
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn text(output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    format!("{}\n{out}{err}", output.status)
}

/// e2fsck finds nothing, and neither does our own check.
#[track_caller]
pub(crate) fn is_clean(image: &Path) {
    let judge = tool("e2fsck").arg("-fn").arg(image).output().expect("e2fsck");
    assert!(judge.status.success(), "{}", text(&judge));
    let report = sandbox_volumes::ext4::check(std::fs::File::open(image).expect("the image"));
    let report = report.expect("it can be checked");
    assert!(report.is_clean(), "{report:#?}");
}

/// A number in the output of `dumpe2fs -h`.
#[track_caller]
pub(crate) fn header(image: &Path, name: &str) -> String {
    let all = output(tool("dumpe2fs").arg("-h").arg(image));
    let line = all
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} in {all}"))
        .trim()
        .to_owned()
}

/// What debugfs answers.
#[track_caller]
pub(crate) fn debugfs(image: &Path, request: &str) -> String {
    output(tool("debugfs").args(["-R", request]).arg(image))
}

/// A disk that is mounted until this is dropped.
pub(crate) struct Mounted {
    pub(crate) path: PathBuf,
}

impl Mounted {
    #[track_caller]
    pub(crate) fn new(image: &Path, options: &str, on: &Path) -> Self {
        std::fs::create_dir_all(on).expect("a mount point");
        output(
            tool("mount")
                .arg("-o")
                .arg(format!("loop,{options}"))
                .args([image.as_os_str(), on.as_os_str()]),
        );
        Self { path: on.to_owned() }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let umount = tool("umount").arg(&self.path).status();
        assert!(
            umount.is_ok_and(|status| status.success()) || std::thread::panicking(),
            "umount"
        );
    }
}
