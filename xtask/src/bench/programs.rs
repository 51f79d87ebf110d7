//! Programs that people run, inside and bare.
//!
//! The ratio that is to stay small is that of a shell which repeats the command, inside and bare: what the
//! walls cost while programs work. The whole command, with the start of its sandbox, is measured beside it.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{
    BenchError,
    account::Account,
    figures::{Figures, micros, millis},
    peer::{Peer, SYSTEM_PATH, command_as},
    tools::Tools,
};
use crate::error::{Error, Result};

const ROUNDS: usize = 20;
/// How often the shell repeats the command.
const REPEATS: u32 = 10;
const REPEAT: &str = "i=0; while [ $i -lt 10 ]; do \"$@\" >/dev/null || exit 1; i=$((i + 1)); done";
const LIMIT: f64 = 1.05;
const FILES_PER_DIRECTORY: usize = 50;
const DIRECTORIES: usize = 40;

const COMMANDS: &[(&str, &[&str])] = &[
    ("gcc -O2 hello.c", &["gcc", "-O2", "-o", "hello", "hello.c"]),
    ("git status, 2,000 files", &["git", "status", "--porcelain"]),
    (
        "python3 import json,ssl,…",
        &["python3", "-c", "import json, ssl, sqlite3"],
    ),
];

/// What one program took.
pub(super) struct Program {
    name: &'static str,
    /// Repeated by a shell, bare and inside; for one of the repeats.
    repeated: Figures,
    inside: Figures,
    /// Started once, bare and in a sandbox of its own.
    bare: Figures,
    prepared: Figures,
    cli: Figures,
}

/// Measures each in turn: bare, inside, as a prepared run, by the command line tool.
pub(super) fn measure(tools: &Tools, account: &Account) -> Result<Vec<Program>> {
    let dir = tools.work_dir("programs", account)?;
    make_project(&dir, account)?;
    let mut driver = command_as(account, &tools.driver());
    // The system's programs: a version manager's wrapper would be measured instead of them.
    driver.env_clear().env("PATH", SYSTEM_PATH).env("LANG", "C.UTF-8");
    // As empty as the home inside: settings of the user's own would be measured on one side only.
    driver.env("HOME", tools.work_dir("home", account)?);
    driver.arg(&dir).current_dir(&dir);
    let mut driver = Peer::start(driver)?;
    let sandbox = tools.sandbox().display().to_string();
    COMMANDS
        .iter()
        .map(|&(name, argv)| one(&mut driver, &sandbox, name, argv))
        .collect()
}

fn one(driver: &mut Peer, sandbox: &str, name: &'static str, argv: &[&str]) -> Result<Program> {
    let repeat: Vec<&str> = ["sh", "-c", REPEAT, "sh"]
        .into_iter()
        .chain(argv.iter().copied())
        .collect();
    let requests: [(&[&str], &[&str], u32); 5] = [
        (&["spawn"], &repeat, REPEATS),
        (&["inside"], &repeat, REPEATS),
        (&["spawn"], argv, 1),
        (&["prepared"], argv, 1),
        (&["spawn", sandbox, "run", "-w", ".", "--"], argv, 1),
    ];
    let mut times: [Vec<Duration>; 5] = Default::default();
    // Round 0 brings the files in.
    for round in 0..=ROUNDS {
        for ((before, argv, repeats), times) in requests.iter().zip(&mut times) {
            let words: Vec<String> = [*before, *argv].concat().into_iter().map(str::to_owned).collect();
            let took = driver.ask(&words)? / *repeats;
            if round > 0 {
                times.push(took);
            }
        }
    }
    let [repeated, inside, bare, prepared, cli] = times.map(Figures::of);
    Ok(Program {
        name,
        repeated,
        inside,
        bare,
        prepared,
        cli,
    })
}

/// A file that is older than any index: one as new would be read again by every `git status`.
fn write(path: &Path, text: &str) -> Result<()> {
    let write = || {
        let mut file = fs::File::create(path)?;
        file.write_all(text.as_bytes())?;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 30))
    };
    write().map_err(Error::io(path))
}

/// hello.c, and a repository of 2,000 files around it.
fn make_project(dir: &Path, account: &Account) -> Result<()> {
    write(
        &dir.join("hello.c"),
        "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n",
    )?;
    write(&dir.join(".gitignore"), "hello\n")?;
    for directory in 0..DIRECTORIES {
        let directory = dir.join(format!("d{directory}"));
        fs::create_dir(&directory).map_err(Error::io(&directory))?;
        for file in 0..FILES_PER_DIRECTORY {
            write(&directory.join(format!("f{file}.txt")), &format!("{file}\n"))?;
        }
    }
    let script = "git init -q . && git add . && \
                  git -c user.name=bench -c user.email=bench@localhost commit -q -m files";
    let mut git: Command = command_as(account, Path::new("sh"));
    git.args(["-c", script]).current_dir(dir).stdin(Stdio::null());
    let failed = |source| BenchError::Peer {
        program: "git".to_owned(),
        source,
    };
    if git.status().map_err(failed)?.success() {
        return Ok(());
    }
    Err(BenchError::Run {
        program: "git".to_owned(),
        why: "made no repository".to_owned(),
    }
    .into())
}

impl Program {
    fn inside_ratio(&self) -> f64 {
        self.inside.ratio_to(&self.repeated).unwrap_or(f64::NAN)
    }
}

pub(super) fn print(programs: &[Program]) {
    println!(
        "\n{:<26} {:>9} {:>9} {:>8}   {:>9} {:>10} {:>8} {:>9} {:>8}",
        "median ms", "repeated", "inside", "× bare", "once", "Prepared", "× bare", "CLI", "× bare"
    );
    for program in programs {
        let Program {
            name,
            repeated,
            inside,
            bare,
            prepared,
            cli,
        } = program;
        let ratio = |figures: &Figures| figures.ratio_to(bare).unwrap_or(f64::NAN);
        let ms = |figures: &Figures| millis(figures.median());
        println!(
            "{name:<26} {:>9.2} {:>9.2} {:>8.3}   {:>9.2} {:>10.2} {:>8.3} {:>9.2} {:>8.3}",
            ms(repeated),
            ms(inside),
            program.inside_ratio(),
            ms(bare),
            ms(prepared),
            ratio(prepared),
            ms(cli),
            ratio(cli)
        );
    }
    for program in programs {
        let ratio = program.inside_ratio();
        let verdict = if ratio <= LIMIT { "met" } else { "not met" };
        println!(
            "target: {} inside ≤ {LIMIT} × bare: {ratio:.3}, {verdict}",
            program.name
        );
    }
}

pub(super) fn figures(programs: &[Program]) -> Value {
    let one = |program: &Program| {
        let times = |figures: &Figures| {
            json!({ "median_us": micros(figures.median()), "min_us": micros(figures.min()),
                    "max_us": micros(figures.max()) })
        };
        json!({ "name": program.name, "limit": LIMIT, "inside_to_bare": program.inside_ratio(),
                "repeated_bare": times(&program.repeated), "repeated_inside": times(&program.inside),
                "bare": times(&program.bare), "prepared": times(&program.prepared),
                "cli": times(&program.cli) })
    };
    programs.iter().map(one).collect()
}
