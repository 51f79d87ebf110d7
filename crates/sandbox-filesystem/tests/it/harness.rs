//! What the scenarios share.
#![expect(clippy::print_stdout, reason = "a skip is announced on standard output")]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

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

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says to a test that it is to play another process's part, and in which directory.
const PART: &str = "SANDBOX_TEST_PART";

/// The directory, in a process that [`other_process`] has started.
pub(crate) fn part() -> Option<std::path::PathBuf> {
    std::env::var_os(PART).map(Into::into)
}

/// A command that runs the test of that name once more, in a process of its own, for which [`part`] is `place`.
pub(crate) fn other_process(name: &str, place: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    as_part(&mut command, name, place);
    command
}

/// The same as root of a user namespace, with a mount namespace: there it may mount.
pub(crate) fn root_of_a_namespace(name: &str, place: &Path) -> Command {
    by("unshare", &["--user", "--map-root-user", "--mount"], name, place)
}

/// The same without any privilege, whoever the user is.
pub(crate) fn without_capabilities(name: &str, place: &Path) -> Command {
    let flags = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
    by(
        "setpriv",
        if is_root() { &flags } else { &flags[2..] },
        name,
        place,
    )
}

fn by(program: &str, flags: &[&str], name: &str, place: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(flags)
        .arg(std::env::current_exe().expect("this program"));
    as_part(&mut command, name, place);
    command
}

fn as_part(command: &mut Command, name: &str, place: &Path) {
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(PART, place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
}

/// The test that such a process runs is there, is not skipped, and passes.
#[track_caller]
pub(crate) fn passes(command: &mut Command) {
    let output = command.output().expect("it can be executed");
    let printed = String::from_utf8_lossy(&output.stdout);
    let has_passed = printed.contains("1 passed") && !printed.contains("SKIP: ");
    assert!(output.status.success() && has_passed, "{output:?}");
}

/// Reads what a process prints until `text` comes.
pub(crate) fn wait_for(child: &mut Child, text: &str) {
    let stdout = child.stdout.as_mut().expect("piped");
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let mut byte = [0];
        let length = stdout.read(&mut byte).expect("a pipe");
        assert_eq!(length, 1, "{text:?} in {:?}", String::from_utf8_lossy(&seen));
        seen.extend(byte);
    }
}

/// Ends it by force and reaps it.
pub(crate) fn kill(mut child: Child) -> ExitStatus {
    child.kill().expect("SIGKILL");
    child.wait().expect("reaped")
}

/// Whether `condition` comes true before a machine under load could be the reason that it does not.
pub(crate) fn comes_true(mut condition: impl FnMut() -> bool) -> bool {
    let start = std::time::Instant::now();
    while start.elapsed() < std::time::Duration::from_secs(30) {
        if condition() {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    false
}

/// Lines of this process's mount table that speak of `text`.
pub(crate) fn mounts_with(text: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    let text = text.to_str().expect("UTF-8");
    let lines = table.lines().filter(|line| line.contains(text));
    lines.map(str::to_owned).collect()
}

/// Children of this process, zombies included.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}
