//! The command line as a type.

use crate::commands::{branch, completions, doctor, exec, gc, layer, man, mount, profile, ps, volume};
use crate::fork::args::ForkArgs;
use crate::run::args::RunArgs;

use std::ffi::OsString;

use clap::{Args, FromArgMatches, Parser};

/// The widest that a help text becomes.
const MAX_WIDTH: usize = 100;

/// Run a command confined: without root, without a daemon, in milliseconds.
#[derive(Debug, clap::Parser)]
#[command(
    name = "sandbox",
    version,
    max_term_width = MAX_WIDTH,
    arg_required_else_help = true
)]
#[command(after_help = "Start with: sandbox run -- COMMAND, and: sandbox run --help")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Subcommand,
}

impl Cli {
    /// Reads the command line. Of `run`, which has most of the flags and most of the starts, only its own part of
    /// the tree is built.
    pub(crate) fn read(args: &[OsString]) -> Result<Self, clap::Error> {
        if !is_run(args) {
            return Self::try_parse_from(args);
        }
        if let Some(args) = RunArgs::without_flags(args.get(2..).unwrap_or_default()) {
            return Ok(Self {
                command: Subcommand::Run(Box::new(args)),
            });
        }
        Self::parse_run(args)
    }

    fn parse_run(args: &[OsString]) -> Result<Self, clap::Error> {
        let run = clap::Command::new("run")
            .bin_name("sandbox run")
            .max_term_width(MAX_WIDTH);
        let matches = RunArgs::augment_args(run).try_get_matches_from(args.iter().skip(1))?;
        let args = RunArgs::from_arg_matches(&matches)?;
        Ok(Self {
            command: Subcommand::Run(Box::new(args)),
        })
    }
}

/// Whether the words are those of `sandbox run`, read or not.
fn is_run(args: &[OsString]) -> bool {
    args.get(1).is_some_and(|word| word == "run")
}

/// Whether the words are those of a command whose status is that of what it runs.
pub(crate) fn runs_something(args: &[OsString]) -> bool {
    is_run(args) || args.get(1).is_some_and(|word| word == "fork")
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    Run(Box<RunArgs>),
    Fork(Box<ForkArgs>),
    Exec(exec::Args),
    Branch(branch::Args),
    Ps(ps::Args),
    Mount(mount::Args),
    Layer(layer::Args),
    Volume(volume::Args),
    Doctor(doctor::Args),
    Profile(profile::Args),
    Gc(gc::Args),
    Completions(completions::Args),
    Man(man::Args),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_flags_is_what_the_parser_makes_of_it() {
        for command in [
            &["true"][..],
            &["sh", "-c", "exit 1"],
            &["x", "--memory", "1G"],
            &["--", "--json"],
            &[""],
        ] {
            let words = ["sandbox", "run", "--"].iter().chain(command);
            let args: Vec<OsString> = words.map(OsString::from).collect();
            let read = Cli::read(&args).expect("a command");
            let parsed = Cli::parse_run(&args).expect("a command");
            assert_eq!(format!("{read:?}"), format!("{parsed:?}"));
        }
        assert!(RunArgs::without_flags(&["--".into()]).is_none());
        assert!(RunArgs::without_flags(&["true".into()]).is_none());
        assert!(RunArgs::without_flags(&[]).is_none());
    }
}
