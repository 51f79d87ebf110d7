//! What cannot be, and how that is said.

use super::{WRITES_A_MEBIBYTE, compiled, needs, run_python};
use crate::harness::Harness;

const READY: &str = "import sandbox_fork; sandbox_fork.ready()";

#[test]
fn none_and_too_many_clones_are_refused_before_anything_starts() {
    needs!("python3");
    let place = Harness::new();
    run_python(&place, &["-n", "0"], "print('started')").says(125, &["'0'", "--count"]);
    run_python(&place, &["-n", "-3"], READY).says(125, &["-3"]);
    run_python(&place, &["-n", "5000000000"], READY).says(125, &["5000000000"]);
    run_python(&place, &[], READY).says(125, &["--count"]);
    let ran = run_python(&place, &["-n", "1000000", "--parallel", "1000000"], READY);
    ran.says(
        125,
        &["1000000 clones were asked for, and 8192 of one template can live at once"],
    );
    place.sandbox(["fork", "-n", "3"]).says(125, &["PROGRAM"]);
}

#[test]
fn a_program_that_is_not_there_or_not_ready_is_an_error_with_its_cause() {
    needs!("python3");
    let place = Harness::new();
    place
        .sandbox(["fork", "-n", "2", "--", "no-such-program"])
        .says(127, &["no-such-program"]);
    place
        .sandbox(["fork", "-n", "2", "--", "/etc/passwd"])
        .says(126, &["/etc/passwd"]);
    run_python(&place, &["-n", "2"], "pass").says(
        125,
        &[
            "python3 exited with status 0 before it said that it was ready",
            "sandbox_fork.ready()",
        ],
    );
    run_python(&place, &["-n", "2"], "raise SystemExit('as asked')")
        .says(125, &["as asked", "exited with status 1"]);
    let sleeps = "import time; time.sleep(1000)";
    run_python(&place, &["-n", "2", "--ready-timeout", "300ms"], sleeps)
        .says(125, &["python3 did not say within 300ms that it was ready"]);
    let threads = "import threading, sandbox_fork
threading.Thread(target=threading.Event().wait, daemon=True).start()
sandbox_fork.ready()";
    run_python(&place, &["-n", "2"], threads).says(125, &["2 threads", "hint: stop its threads"]);
    let json = run_python(&place, &["-n", "2", "--json"], "pass").json();
    assert_eq!(json["exit"], 125);
    assert!(
        json["error"]
            .as_str()
            .expect("text")
            .contains("before it said that it was ready")
    );
    place
        .sandbox(["fork", "-n", "2", "--branch-per-clone", "try", "--", "true"])
        .says(127, &["try", "--branch-per-clone=try --"]);
}

#[test]
fn outside_of_a_fork_the_module_and_the_header_say_so() {
    needs!("python3", "cc");
    let place = Harness::new();
    let program = compiled(
        &place,
        "int main(void) { return sandbox_ready() == -1 && errno == ENOTCONN && strlen(sandbox_ready_error()) ? 5 : 0; }",
    );
    let status = std::process::Command::new(program).status().expect("it runs");
    assert_eq!(status.code(), Some(5));
    let script = "import sandbox_fork
try: sandbox_fork.ready()
except sandbox_fork.ForkError as error: print(error)";
    let output = std::process::Command::new("python3")
        .args(["-B", "-c", script])
        .env("PYTHONPATH", place.root().join("include"))
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        text,
        "nobody forks this process: start it with sandbox fork -- python3 PROGRAM\n"
    );
}

#[test]
fn a_reducer_that_ends_early_hangs_nobody_and_its_status_is_told() {
    needs!("cc");
    let place = Harness::new();
    let program = compiled(&place, WRITES_A_MEBIBYTE);
    let fork = |reduce: &str| {
        place.sandbox([
            "fork".as_ref(),
            "-n".as_ref(),
            "40".as_ref(),
            "--reduce".as_ref(),
            reduce.as_ref(),
            "--".as_ref(),
            program.as_os_str(),
        ])
    };
    // Clones find their output closed, as in a pipeline.
    let ran = fork("head -c 3; echo");
    assert_eq!((ran.status, ran.stdout.as_str()), (1, "axx\n"), "{ran:?}");
    assert!(ran.stderr.contains("ended by signal 13"), "{ran:?}");
    let ran = fork("exit 9");
    ran.says(9, &["the reducer exited with status 9"]);
    let ran = fork("no-such-command");
    ran.says(127, &["the reducer exited with status 127"]);
}

#[test]
fn a_clone_that_fails_ends_all_where_that_is_asked_for() {
    needs!("python3");
    let place = Harness::new();
    let script = "
import sandbox_fork, time
number = sandbox_fork.ready()
if number == 1: raise SystemExit(3)
time.sleep(1000)
";
    let ran = run_python(
        &place,
        &["-n", "6", "--parallel", "3", "--stop-on-failure"],
        script,
    );
    ran.says(
        1,
        &[
            "0 of 3 clones succeeded",
            "6 were asked for",
            "exited with status 3",
        ],
    );
}

#[test]
fn limits_hold_for_each_clone_or_for_all_and_are_named() {
    needs!("python3");
    let place = Harness::new();
    let sleeps = "import sandbox_fork, time
if sandbox_fork.ready() == 1: time.sleep(1000)";
    let ran = run_python(&place, &["-n", "3", "--wall-time", "2s"], sleeps);
    ran.says(1, &["2 of 3 clones succeeded", "reached the wall time limit"]);
    let writes = "import sandbox_fork
if sandbox_fork.ready() == 0: print('x' * 100000)";
    let ran = run_python(&place, &["-n", "2", "--output-limit", "10K"], writes);
    ran.says(1, &["1 of 2 clones succeeded", "reached the output limit"]);
}
