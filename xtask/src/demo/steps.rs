//! What the demonstration shows, as data. It runs in a copy of xtask/demo/project.

/// One command and what it promises.
pub(super) struct Step {
    /// What is to be seen, for the reader.
    pub(super) shows: &'static str,
    /// As typed; `sandbox` is the one just built.
    pub(super) argv: &'static [&'static str],
    /// The exit statuses that keep the promise.
    pub(super) exit: &'static [i32],
    /// What the output has to contain.
    pub(super) says: &'static [&'static str],
}

pub(super) const STEPS: &[Step] = &[
    Step {
        shows: "What this host can enforce. Status 0: everything; 1: something is missing, and named.",
        argv: &["sandbox", "doctor"],
        exit: &[0, 1],
        says: &["landlock", "seccomp"],
    },
    Step {
        shows: "A program runs; no flags, no root, no daemon.",
        argv: &[
            "sandbox",
            "run",
            "--",
            "python3",
            "-c",
            r#"import os; print("hello from", os.environ["SANDBOX"])"#,
        ],
        exit: &[0],
        says: &["hello from 1"],
    },
    Step {
        shows: "The system is read-only.",
        argv: &[
            "sandbox",
            "run",
            "--",
            "python3",
            "-c",
            r#"open("/etc/passwd", "a")"#,
        ],
        exit: &[1],
        says: &["/etc/passwd"],
    },
    Step {
        shows: "The home directory is private and empty: no keys, no tokens.",
        argv: &["sandbox", "run", "--", "sh", "-c", "cat ~/.ssh/id_ed25519"],
        exit: &[1],
        says: &["No such file"],
    },
    Step {
        shows: "There is no network.",
        argv: &[
            "sandbox",
            "run",
            "--",
            "python3",
            "-c",
            r#"import socket; socket.create_connection(("192.0.2.1", 80), 2)"#,
        ],
        exit: &[1],
        says: &["unreachable"],
    },
    Step {
        shows: "The current directory is read-only too.",
        argv: &["sandbox", "run", "--", "gcc", "-o", "hello", "main.c", "greet.c"],
        exit: &[1],
        says: &["Read-only file system"],
    },
    Step {
        shows: "It is writable on request.",
        argv: &[
            "sandbox",
            "run",
            "-w",
            ".",
            "--",
            "sh",
            "-c",
            "gcc -o hello main.c greet.c && ./hello",
        ],
        exit: &[0],
        says: &["hello from inside the sandbox"],
    },
    Step {
        shows: "What was written is here, outside.",
        argv: &["./hello"],
        exit: &[0],
        says: &["hello from inside the sandbox"],
    },
    Step {
        shows: "A limit, and how the run ended, for programs to read.",
        argv: &[
            "sandbox",
            "run",
            "--json",
            "--wall-time",
            "200ms",
            "--",
            "sh",
            "-c",
            "while :; do :; done",
        ],
        exit: &[124],
        says: &["wall_time"],
    },
];
