//! The flags of `sandbox fork`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueHint;
use sandbox::Span;

use super::examples;
use crate::run::args::{FileArgs, LimitArgs, NetworkArgs, PolicyArgs, ProcessArgs, RunArgs, SyscallArgs};
use crate::run::branch_args::{BranchArgs, ModeArg};
use crate::workspace::WorkspaceArgs;

/// Load once, run many times: warm a program up, then fork it into clones, each confined
///
/// The program starts behind the walls that the flags describe, loads whatever takes long, and says that it is ready:
/// sandbox_fork.ready() in Python, sandbox_ready() in C. From there it goes on in N clones, which share its memory until
/// they write to it. Each knows its number (what the call returns, and the variable CLONE_ID), and ends with all that it
/// has started. The module and the library are there inside; nothing has to be installed.
///
/// What clones print comes out in the order of their numbers, or is the input of --reduce.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::text(), override_usage = "sandbox fork --count N [OPTIONS] -- PROGRAM [ARGS]...")]
pub(crate) struct ForkArgs {
    #[command(flatten)]
    clones: CloneArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    syscalls: SyscallArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    workspace: WorkspaceArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// The program and its arguments
    #[arg(
        value_name = "PROGRAM",
        trailing_var_arg = true,
        required_unless_present = "runtime"
    )]
    #[arg(value_hint = ValueHint::CommandWithArguments, help_heading = "Program")]
    command: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Clones")]
pub(crate) struct CloneArgs {
    /// How many clones, numbered from 0
    #[arg(short = 'n', long, value_name = "N", required_unless_present = "runtime")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Run CMD by the shell in the same sandbox; what the clones print, in their order, is its input
    #[arg(long, value_name = "CMD", value_hint = ValueHint::CommandString)]
    pub(crate) reduce: Option<OsString>,
    /// The most clones that live at once; as soon as one has ended, the next starts [default: as many as there can be,
    /// 8192 at most]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) parallel: Option<u32>,
    /// End everything when a clone does not succeed
    #[arg(long)]
    pub(crate) stop_on_failure: bool,
    /// Give each clone a branch of its own, a copy-on-write view of the workspace, called NAME-1, NAME-2 and so on; see:
    /// sandbox branch. What the program writes before it is ready is on branch NAME, and beneath all of them
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", require_equals = true)]
    pub(crate) branch_per_clone: Option<String>,
    /// How long the program may take until it says that it is ready [default: 5m]
    #[arg(long, value_name = "SPAN")]
    pub(crate) ready_timeout: Option<Span>,
    /// Put large memory into huge pages before it is forked: for programs of some 100 MiB, whose clones mostly read
    #[arg(long)]
    pub(crate) huge_pages: bool,
    /// Write sandbox_fork.py, sandbox_fork.h and libsandbox_fork.so to DIR, for editors and compilers, and do nothing else
    #[arg(long, value_name = "DIR", exclusive = true, value_hint = ValueHint::DirPath)]
    pub(crate) runtime: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write how every clone ended and what it used as JSON to FILE [default: standard error]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-", require_equals = true, value_hint = ValueHint::FilePath)]
    pub(crate) json: Option<PathBuf>,
    /// List every clone at the end: its number, how it ended, how long it took; else those that failed
    #[arg(long)]
    pub(crate) table: bool,
    /// Say nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl CloneArgs {
    /// How many clones; there is a number wherever there are to be clones.
    pub(crate) fn count(&self) -> u32 {
        self.count.unwrap_or(1)
    }
}

impl ForkArgs {
    /// The walls, as `sandbox run` has them; the rest.
    pub(crate) fn into_run(self) -> (RunArgs, CloneArgs, OutputArgs) {
        let branch = BranchArgs {
            branch: self.clones.branch_per_clone.clone(),
            workspace: self.workspace,
            // No other can be given to each clone.
            branch_mode: self.clones.branch_per_clone.as_ref().map(|_| ModeArg::Kernel),
            ..BranchArgs::default()
        };
        let run = RunArgs {
            branch,
            policy: self.policy,
            files: self.files,
            network: self.network,
            syscalls: self.syscalls,
            limits: self.limits,
            process: self.process,
            command: self.command,
            ..RunArgs::default()
        };
        (run, self.clones, self.output)
    }
}
