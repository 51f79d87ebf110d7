//! Examples at the end of the help text. The integration tests run every one of them.

const EXAMPLES: &[(&str, &str)] = &[
    (
        "sweep.py: import numpy, sandbox_fork; n = sandbox_fork.ready(); print(n, work(n))",
        "sandbox fork -n 100 -- python3 sweep.py",
    ),
    (
        "The best of a thousand",
        "sandbox fork -n 1000 --reduce 'sort -n | head -1' -- python3 sweep.py",
    ),
    (
        "Four at a time, each with ten seconds; all of them in 2 GiB",
        "sandbox fork -n 100 --parallel 4 --wall-time 10s --memory 2G -- python3 sweep.py",
    ),
    (
        "How each of them ended, as JSON and as a table",
        "sandbox fork -n 20 --json=ended.json --table -- python3 sweep.py > results",
    ),
    (
        "Each edits a branch of its own of the directory around it; one is kept",
        "sandbox fork -n 3 --branch-per-clone=try -- python3 edit.py && sandbox branch commit try-2",
    ),
    (
        "A program in C that includes sandbox_fork.h",
        "sandbox fork --runtime include && cc -I include sweep.c -o sweep && sandbox fork -n 8 -- ./sweep",
    ),
];

const NOTES: &str = "\
Time, output and exit of each clone are its own; --memory, --processes and --cpu-time are for the
program and all clones together (--memory is for each process where there is no cgroup: a note
says so). --wall-time is for each clone, --ready-timeout for the program.
Standard input is /dev/null.

The program has one thread when it says that it is ready, since a fork copies no other; it must be
the process that was started, not a child of it.

Exit status:
  0 when every clone has succeeded, and the reducer;
  1 when a clone has not, or did not run after --stop-on-failure;
  the reducer's own, where that is not 0;
  125 when the sandbox failed, or the program was not ready; 126 when it cannot be executed,
  127 when it is not found; 128+N when signal N (Ctrl-C) ended all of it. --json tells them apart.
";

/// The text.
pub(crate) fn text() -> String {
    let mut text = String::from("Examples:\n");
    for (about, command) in EXAMPLES {
        text.push_str(&format!("  # {about}\n  $ {command}\n"));
    }
    text.push('\n');
    text.push_str(NOTES);
    text
}
