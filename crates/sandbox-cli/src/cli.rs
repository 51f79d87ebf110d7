//! The command line as a type.

use crate::commands::{completions, doctor, gc, man, profile};
use crate::run::args::RunArgs;

/// Run a command confined: without root, without a daemon, in milliseconds.
#[derive(Debug, clap::Parser)]
#[command(
    name = "sandbox",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(after_help = "Start with: sandbox run -- COMMAND, and: sandbox run --help")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    Run(Box<RunArgs>),
    Doctor(doctor::Args),
    Profile(profile::Args),
    Gc(gc::Args),
    Completions(completions::Args),
    Man(man::Args),
}
