//! `sandbox profile`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use sandbox::policy::{BUILT_IN, DocumentError};
use serde::Serialize;

use crate::error::CliError;
use crate::output::{print, print_json};
use crate::profiles;

/// List, show and check profiles
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A profile is a policy in TOML or JSON. It may start from another: extends = \"agent\".
Your own go into $XDG_CONFIG_HOME/sandbox/profiles/NAME.toml.

Examples:
  $ sandbox profile list
  $ sandbox profile show agent
  $ sandbox profile show default > mine.toml && sandbox profile check mine.toml")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List all profiles
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a profile with every default filled in, as TOML
    Show {
        /// A name or a file
        name: OsString,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say everything that is wrong with a file; status 1 when something is
    Check {
        /// The file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CliError> {
    match &args.action {
        Action::List { json: false } => print(&table(&entries()), ExitCode::SUCCESS),
        Action::List { json: true } => print_json(&entries(), ExitCode::SUCCESS),
        Action::Show { name, json } => show(name, *json),
        Action::Check { file, json } => check(file, *json),
    }
}

#[derive(Serialize)]
struct Entry {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
}

fn entries() -> Vec<Entry> {
    let built_in = BUILT_IN.iter();
    let built_in = built_in.map(|profile| Entry {
        name: profile.name.to_owned(),
        about: Some(profile.about),
        path: None,
    });
    let own = profiles::of_user().into_iter();
    built_in
        .chain(own.map(|own| Entry {
            name: own.name,
            about: None,
            path: Some(own.path),
        }))
        .collect()
}

fn table(entries: &[Entry]) -> String {
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Entry { name, about, path } in entries {
        let path = path.as_ref().map(|path| path.display().to_string());
        let what = about.map(str::to_owned).or(path).unwrap_or_default();
        text.push_str(&format!("{name:width$}  {what}\n"));
    }
    text
}

fn show(name: &OsStr, json: bool) -> Result<ExitCode, CliError> {
    let policy = profiles::load(name)?;
    if json {
        print_json(&policy, ExitCode::SUCCESS)
    } else {
        print(&policy.to_toml(), ExitCode::SUCCESS)
    }
}

#[derive(Serialize)]
struct Checked {
    valid: bool,
    problems: Vec<String>,
}

fn check(file: &std::path::Path, json: bool) -> Result<ExitCode, CliError> {
    let problems = match profiles::load_file(file) {
        Ok(_) => Vec::new(),
        Err(CliError::Profile {
            source: DocumentError::Invalid(error),
            ..
        }) => error.problems().iter().map(ToString::to_string).collect(),
        Err(CliError::Profile { source, .. }) => vec![source.to_string().trim_end().to_owned()],
        Err(error) => return Err(error),
    };
    let status = if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    if json {
        return print_json(
            &Checked {
                valid: problems.is_empty(),
                problems,
            },
            status,
        );
    }
    if problems.is_empty() {
        return print(&format!("{}: valid\n", file.display()), status);
    }
    let mut lines = String::new();
    for problem in &problems {
        lines.push_str(&format!("{}: {problem}\n", file.display()));
    }
    print(&lines, status)
}
