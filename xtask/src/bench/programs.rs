//! Programs that people run, inside and bare.
//!
//! The ratio that is to stay small is that of a command in a sandbox that is already there: what the walls
//! cost while a program works. The whole command, with the start of its sandbox, is measured beside it.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
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

const ROUNDS: usize = 40;
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
    bare: Figures,
    inside: Figures,
    prepared: Figures,
    cli: Figures,
}

/// Measures each in turn: bare, inside, as a prepared run, by the command line tool.
pub(super) fn measure(tools: &Tools, account: &Account) -> Result<Vec<Program>> {
    let dir = tools.work_dir("programs", account)?;
    make_project(&dir, account)?;
    let mut driver = command_as(account, &tools.driver());
    // The system's programs: a version manager's wrapper would be measured instead of them.
    driver.arg(&dir).current_dir(&dir).env("PATH", SYSTEM_PATH);
    let mut driver = Peer::start(driver)?;
    let sandbox = tools.sandbox().display().to_string();
    COMMANDS
        .iter()
        .map(|&(name, argv)| one(&mut driver, &sandbox, name, argv))
        .collect()
}

fn one(driver: &mut Peer, sandbox: &str, name: &'static str, argv: &[&str]) -> Result<Program> {
    let requests: [Vec<&str>; 4] = [
        vec!["spawn"],
        vec!["inside"],
        vec!["prepared"],
        vec!["spawn", sandbox, "run", "-w", ".", "--"],
    ];
    let requests = requests.map(|before| -> Vec<String> {
        before
            .into_iter()
            .chain(argv.iter().copied())
            .map(str::to_owned)
            .collect()
    });
    let mut times: [Vec<Duration>; 4] = Default::default();
    // Round 0 brings the files in.
    for round in 0..=ROUNDS {
        for (request, times) in requests.iter().zip(&mut times) {
            let took = driver.ask(request)?;
            if round > 0 {
                times.push(took);
            }
        }
    }
    let [bare, inside, prepared, cli] = times.map(Figures::of);
    Ok(Program {
        name,
        bare,
        inside,
        prepared,
        cli,
    })
}

/// hello.c, and a repository of 2,000 files around it.
fn make_project(dir: &Path, account: &Account) -> Result<()> {
    let write = |path: &Path, text: &str| fs::write(path, text).map_err(Error::io(path));
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
    // Files as new as the index would be read again by every `git status`.
    let script = "find . -type f -exec touch -t 202001010000 {} + && git init -q . && git add . && \
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

pub(super) fn print(programs: &[Program]) {
    println!(
        "\n{:<26} {:>9} {:>9} {:>8} {:>10} {:>8} {:>9} {:>8}",
        "programs, median ms", "bare", "inside", "× bare", "Prepared", "× bare", "CLI", "× bare"
    );
    for program in programs {
        let Program {
            name,
            bare,
            inside,
            prepared,
            cli,
        } = program;
        let ratio = |figures: &Figures| figures.ratio_to(bare).unwrap_or(f64::NAN);
        let ms = |figures: &Figures| millis(figures.median());
        println!(
            "{name:<26} {:>9.2} {:>9.2} {:>8.3} {:>10.2} {:>8.3} {:>9.2} {:>8.3}",
            ms(bare),
            ms(inside),
            ratio(inside),
            ms(prepared),
            ratio(prepared),
            ms(cli),
            ratio(cli)
        );
    }
    for program in programs {
        let ratio = program.inside.ratio_to(&program.bare).unwrap_or(f64::NAN);
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
                    "max_us": micros(figures.max()), "to_bare": figures.ratio_to(&program.bare) })
        };
        json!({ "name": program.name, "limit": LIMIT, "bare": times(&program.bare),
                "inside": times(&program.inside), "prepared": times(&program.prepared),
                "cli": times(&program.cli) })
    };
    programs.iter().map(one).collect()
}
