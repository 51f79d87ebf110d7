//! The README's commands are run as they stand, and their output must be what it shows.
//!
//! In a `console` block a line `$ COMMAND` is run by bash, in one fresh directory for the whole block; the
//! lines up to the next one are what it prints, on both streams. `…` in a shown line stands for any text, a
//! line of only `…` for any lines.

use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::scratch::Scratch;
use crate::test::Tally;
use crate::workspace;

/// A command and what it should print.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    command: String,
    output: Vec<String>,
}

/// Runs every command of the README with `sandbox` from `program_dir` first on PATH.
pub(crate) fn check(program_dir: &Path) -> Result<Tally> {
    let readme = workspace::root().join("README.md");
    let text = std::fs::read_to_string(&readme).map_err(Error::io(&readme))?;
    let scratch = Scratch::new(&std::env::temp_dir(), "readme")?;
    let mut tally = Tally::default();
    for shown in commands(&text) {
        let printed = run(&shown.command, scratch.path(), program_dir)?;
        let passed = matches(&shown.output, &printed);
        println!(
            "README: {} ... {}",
            shown.command,
            if passed { "ok" } else { "FAILED" }
        );
        if !passed {
            println!(
                "shown:\n  {}\nprinted:\n  {}",
                shown.output.join("\n  "),
                printed.join("\n  ")
            );
        }
        tally = tally
            + Tally {
                passed: u64::from(passed),
                failed: u64::from(!passed),
            };
    }
    Ok(tally)
}

fn run(command: &str, dir: &Path, program_dir: &Path) -> Result<Vec<String>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths(std::iter::once(program_dir.to_owned()).chain(std::env::split_paths(&path)))
            .unwrap_or(path);
    let output = Command::new("bash")
        .args(["-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(dir)
        .env("PATH", path)
        .env("SANDBOX_HOME", dir.join(".state"))
        .env("LC_ALL", "C.UTF-8")
        .output()
        .map_err(Error::io("bash"))?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect())
}

/// The commands of all `console` blocks.
fn commands(text: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match line.strip_prefix("$ ") {
                Some(command) => found.push(Shown {
                    command: command.to_owned(),
                    output: Vec::new(),
                }),
                None => found
                    .last_mut()
                    .into_iter()
                    .for_each(|shown| shown.output.push(line.to_owned())),
            },
            (false, _) => {}
        }
    }
    found
}

fn matches(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first.trim() == "…" => {
            (0..=printed.len()).any(|skip| matches(rest, &printed[skip..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, others)| line_matches(first, line) && matches(rest, others)),
    }
}

fn line_matches(shown: &str, printed: &str) -> bool {
    match shown.split_once('…') {
        None => shown == printed,
        Some((head, tail)) => printed.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices().any(|(at, _)| line_matches(tail, &rest[at..])) || tail.is_empty()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn commands_and_their_output_are_found_in_console_blocks_only() {
        let text = "```sh\nno\n```\n```console\n$ a b\none\ntwo\n$ c\n```\n$ not this\n";
        let shown = |command: &str, output: &str| Shown {
            command: command.into(),
            output: lines(output),
        };
        assert_eq!(commands(text), [shown("a b", "one\ntwo"), shown("c", "")]);
    }

    #[test]
    fn an_ellipsis_stands_for_any_text_and_nothing_else_does() {
        assert!(matches(&lines("cat: …/x: No"), &lines("cat: /home/me/x: No")));
        assert!(!matches(&lines("cat: …/x: No"), &lines("cat: /home/me/y: No")));
        assert!(matches(&lines("head\n…\ntail"), &lines("head\n1\n2\ntail")));
        assert!(!matches(&lines("head"), &lines("head\nmore")));
        assert!(!matches(&lines("head"), &lines("")));
    }
}
