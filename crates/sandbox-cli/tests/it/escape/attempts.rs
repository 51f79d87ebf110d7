//! Running a group of attempts and judging every line of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use super::LEAKED;
use super::outside::{GRANTED, Outside, SCRATCH};
use super::programs::program;
use super::table::{self, Mode};
use crate::harness::{Harness, Ran, binary, has};

/// What standard input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdin {
    Null,
    /// A file that is not granted, opened for reading.
    File,
    /// The caller's terminal, handed on.
    Terminal,
    /// A terminal of the sandbox's own.
    OwnTerminal,
}

/// A group of attempts, and how the sandbox around it is started.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) name: &'a str,
    pub(crate) mode: Mode,
    pub(crate) stdin: Stdin,
    pub(crate) flags: &'a [String],
    /// Attempts that this run does not claim to deny.
    pub(crate) open: &'a [&'a str],
    /// What stands in for the program under test.
    pub(crate) runner: Option<PathBuf>,
}

/// The verdicts of a run, by attempt, and the guarantees that it claimed.
struct Verdicts {
    lines: BTreeMap<String, (String, String)>,
    claimed: Vec<String>,
}

impl Run<'_> {
    /// Makes all attempts and judges them by the table.
    #[track_caller]
    pub(crate) fn must_be_denied(&self) {
        if !has("cc") {
            skip!("escape", "no C compiler");
        }
        let place = Harness::new();
        let mut outside = Outside::new(&place, &program("whoami"));
        let wrong = self.wrong(&place, &outside);
        assert!(
            wrong.is_empty(),
            "{} {:?}:\n{}",
            self.name,
            self.mode,
            wrong.join("\n")
        );
        outside.assert_unharmed();
    }

    /// The attempts that were not denied as they must be.
    pub(crate) fn wrong(&self, place: &Harness, outside: &Outside) -> Vec<String> {
        let verdicts = self.verdicts(place, outside);
        table::rows(self.name)
            .iter()
            .filter_map(|row| self.judge(row, &verdicts))
            .collect()
    }

    /// What is wrong with the verdict on an attempt.
    fn judge(&self, row: &table::Row, verdicts: &Verdicts) -> Option<String> {
        let attempt = row.attempt;
        let Some((verdict, detail)) = verdicts.lines.get(attempt) else {
            return Some(format!("{attempt}: no verdict"));
        };
        let guarantee = row.guarantee(self.mode);
        let said = format!("{attempt} {verdict} {detail} (guarantee {guarantee})");
        let unset =
            verdict == "ABSENT" && detail.ends_with("is not set") && !detail.starts_with("ESCAPE_SETUID");
        let wrong = match verdict.as_str() {
            "DENIED" => !row.accepts(detail),
            "ABSENT" => unset,
            _ => true,
        };
        let counts = row.counts_in(self.mode)
            && !self.open.contains(&attempt)
            && verdicts.claimed.iter().any(|claimed| claimed == guarantee);
        if wrong && !counts {
            tell(&format!("not claimed: {said}"));
        } else if verdict == "ABSENT" {
            tell(&said);
        }
        (wrong && counts).then_some(said)
    }

    fn verdicts(&self, place: &Harness, outside: &Outside) -> Verdicts {
        let report = place.root().join("report.json");
        let ran = Ran::of(&mut self.command(place, outside, &report));
        assert!((0..=1).contains(&ran.status), "{self:?}: {ran:?}");
        let mut lines = BTreeMap::new();
        for line in ran.stdout.lines() {
            let mut words = line.trim_end().splitn(3, ' ').map(str::to_owned);
            let (Some(name), Some(verdict)) = (words.next(), words.next()) else {
                panic!("{line:?} in {ran:?}");
            };
            lines.insert(name, (verdict, words.next().unwrap_or_default()));
        }
        let text = fs::read_to_string(report).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        let json: serde_json::Value = serde_json::from_str(&text).expect("valid");
        self.assert_mode(&json["report"]);
        let guarantees = json["report"]["guarantees"].as_array().expect("a list");
        let claimed = guarantees.iter().filter(|entry| entry["status"] != "disabled");
        let claimed = claimed
            .map(|entry| entry["guarantee"].as_str().expect("a name").to_owned())
            .collect();
        Verdicts { lines, claimed }
    }

    /// The run was where it was meant to be, and said so.
    fn assert_mode(&self, report: &serde_json::Value) {
        let has_root = report.to_string().contains(r#""by":["private_root""#);
        let wanted = matches!(self.mode, Mode::Namespaces | Mode::Ports);
        assert_eq!(has_root, wanted, "{:?}: {report}", self.mode);
        let notes = report["notes"].to_string();
        assert!(
            wanted || notes.contains("namespace"),
            "it says what is missing: {report}"
        );
    }

    /// The command line, from the inside out.
    fn command(&self, place: &Harness, outside: &Outside, report: &Path) -> Command {
        let group = program(&format!("escape-{}", self.name));
        let mut line = words([
            text(self.runner.as_deref().unwrap_or(&binary())),
            "run",
            "-q",
            &format!("--json={}", text(report)),
        ]);
        line.extend(words(["-r", text(&group)]));
        line.extend(words(["-r", text(&place.root().join(GRANTED))]));
        line.extend(words(["-w", text(&place.root().join(SCRATCH))]));
        if self.stdin == Stdin::OwnTerminal {
            line.push("-i".to_owned());
        }
        for (name, value) in outside.variables() {
            let is_inside = self.mode == Mode::Nested && matches!(name, "ESCAPE_PID" | "ESCAPE_PIDNS");
            let assignment = if is_inside {
                name.to_owned()
            } else {
                format!("{name}={value}")
            };
            line.extend(words(["--env", &assignment]));
        }
        line.extend_from_slice(self.flags);
        line.extend(words(["--", text(&group)]));
        let around = match self.mode {
            Mode::Namespaces | Mode::Ports => Vec::new(),
            Mode::InPlace => words([text(&program("no-namespaces"))]),
            Mode::Nested => outer(place, &group),
        };
        let leaking = format!(r#"exec "$0" "$@" {LEAKED}</"#);
        let line = [words(["-c", &leaking]), around, line].concat();
        let mut command = match self.stdin {
            Stdin::Terminal => place.at_home("setsid".as_ref()),
            Stdin::Null | Stdin::File | Stdin::OwnTerminal => place.at_home("sh".as_ref()),
        };
        if self.stdin == Stdin::Terminal {
            command.args(["--ctty", "--wait", "sh"]);
        }
        command.args(line).stdin(self.stdin.open(place));
        command
    }
}

/// A sandbox to start another one in. It grants all of the test's directory, which then only the inner one denies,
/// and has a process for the inner one to aim at.
fn outer(place: &Harness, group: &Path) -> Vec<String> {
    const SCRIPT: &str = r#"ESCAPE_PIDNS=$(readlink /proc/self/ns/pid); export ESCAPE_PIDNS
        sleep 600 & export ESCAPE_PID=$!
        "$@"; exit $?"#;
    let (binary, work) = (binary(), place.work());
    let run = words([text(&binary), "run", "-q", "--net", "host", "--cwd", text(&work)]);
    let grants = words(["-r", text(&binary), "-r", text(group), "-w", text(place.root())]);
    [run, grants, words(["--", "sh", "-c", SCRIPT, "sh"])].concat()
}

#[expect(clippy::print_stdout, reason = "shown with the test")]
fn tell(line: &str) {
    println!("{line}");
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("our own paths are")
}

impl Stdin {
    fn open(self, place: &Harness) -> Stdio {
        match self {
            Self::Null | Self::OwnTerminal => Stdio::null(),
            Self::File => {
                let input = place.root().join("hidden/input");
                File::open(input).expect("put there").into()
            }
            Self::Terminal => terminal(),
        }
    }
}

/// A new terminal.
fn terminal() -> Stdio {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("a terminal");
    grantpt(&master).expect("grantpt");
    unlockpt(&master).expect("unlockpt");
    let slave = ioctl_tiocgptpeer(&master, flags).expect("its other side");
    // The terminal lives as long as its master, which is the test's to its end.
    std::mem::forget(File::from(master));
    slave.into()
}
