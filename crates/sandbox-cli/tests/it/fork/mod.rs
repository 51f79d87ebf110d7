//! `sandbox fork`: clones of a program that has been warmed up.

mod bad_input;
mod ends;
mod on_terminal;
mod works;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::harness::{Harness, Ran, has};

/// Returns from the test, saying why, where there is no such program, or `sandbox fork` cannot work.
macro_rules! needs {
    ($($program:literal),+) => {
        for program in [$($program),+] {
            if let Some(reason) = crate::fork::missing(program) {
                skip!(crate::fork::name_of!(), "{reason}");
            }
        }
    };
}
use needs;

/// The name of the test that it is used in.
macro_rules! name_of {
    () => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        let path = path.strip_suffix("::here").unwrap_or(path);
        path.split_once("::").map_or(path, |(_, name)| name)
    }};
}
use name_of;

/// Why a test that needs this program cannot run here.
pub(crate) fn missing(program: &str) -> Option<String> {
    if !has(program) {
        return Some(format!("no {program} on PATH"));
    }
    let ran = Harness::new().sandbox(["fork", "-n", "1", "--", "true"]);
    // It is not ready, and that is all that is wrong with it where there are namespaces.
    (!ran.stderr.contains("before it said that it was ready")).then(|| ran.stderr.trim().to_owned())
}

/// `sandbox fork FLAGS -- python3 -c SCRIPT`
fn python(place: &Harness, flags: &[&str], script: &str) -> Command {
    place.command([&["fork"], flags, &["--", "python3", "-c", script]].concat())
}

fn run_python(place: &Harness, flags: &[&str], script: &str) -> Ran {
    Ran::of(&mut python(place, flags, script))
}

/// A program in C, in the current directory of runs.
fn compiled(place: &Harness, body: &str) -> PathBuf {
    let source = place.write(
        "work/program.c",
        &format!("#include \"sandbox_fork.h\"\n#include <string.h>\n#include <unistd.h>\n{body}\n"),
    );
    let include = place.root().join("include");
    let ran = place.sandbox(["fork".as_ref(), "--runtime".as_ref(), include.as_os_str()]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let program = place.work().join("program");
    let status = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-O1", "-o"])
        .arg(&program)
        .arg(source)
        .arg("-I")
        .arg(include)
        .arg("-ldl")
        .status()
        .expect("cc runs");
    assert!(status.success(), "{body}");
    program
}

/// A thousand clones of it are 1 GiB.
const WRITES_A_MEBIBYTE: &str = "int main(void) {
    static char text[1 << 20];
    long number;
    memset(text, 'x', sizeof text);
    number = sandbox_ready();
    if (number < 0) return 1;
    text[0] = (char)('a' + number % 26);
    for (size_t written = 0; written < sizeof text;) {
        ssize_t count = write(1, text + written, sizeof text - written);
        if (count < 0) return 2;
        written += (size_t)count;
    }
    return 0;
}";

/// Starts it, with its output in pipes.
fn start(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sandbox starts")
}
