//! `sandbox branch export` and `sandbox branch import`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use sandbox::branch::{Branch, Exported, Progress};
use sandbox::{BranchName, ByteSize};

use super::show_changes::thousands;
use crate::commands::whole::written_to;
use crate::error::CliError;
use crate::interrupt::Guard;
use crate::output::{note, tell};
use crate::progress::Bar;
use crate::workspace::WorkspaceArgs;

/// Write a branch as a tar archive
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  $ sandbox branch export fix-42 --output fix-42.tar
  $ sandbox branch export fix-42 | zstd > fix-42.tar.zst")]
pub(super) struct ExportArgs {
    /// The branch
    name: BranchName,
    /// The file to write; it must not exist [default: standard output]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

/// Make a branch from an archive that `export` has written
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The archive may come from anybody: what is hostile in it is refused, and nothing is left then.

Examples:
  $ sandbox branch import fix-42.tar
  $ zstd -dc fix-42.tar.zst | sandbox branch import --name theirs")]
pub(super) struct ImportArgs {
    /// The file to read [default: standard input]
    #[arg(value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// What the branch is to be called [default: as it was]
    #[arg(long, value_name = "NAME")]
    name: Option<BranchName>,
}

pub(super) fn export(args: &ExportArgs, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let branch = workspace.branch(&args.name)?;
    let mut bar = Bar::new();
    let mut show = |progress| bar.show(progress);
    let exported = match &args.output {
        None if io::stdout().is_terminal() => return Err(CliError::ArchiveOnTerminal),
        None => written(&branch, BufWriter::new(io::stdout().lock()), &mut show)?,
        Some(path) => written_to(path, |out| written(&branch, out, &mut show))?,
    };
    drop(bar);
    for path in &exported.skipped {
        note(format_args!(
            "{}: left out, an archive cannot have it",
            path.display()
        ));
    }
    let size = ByteSize::from_bytes(exported.bytes);
    tell(format_args!(
        "exported {}: {} entries, {size}",
        args.name,
        thousands(exported.entries)
    ));
    Ok(ExitCode::SUCCESS)
}

fn written(
    branch: &Branch,
    mut out: impl Write,
    show: &mut dyn FnMut(Progress),
) -> Result<Exported, CliError> {
    let exported = branch.export(&mut out, show)?;
    out.flush().map_err(CliError::Stdout)?;
    Ok(exported)
}

pub(super) fn import(args: &ImportArgs, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let workspace = workspace.open()?;
    let mut bar = Bar::new();
    let mut input: Box<dyn Read> = match &args.file {
        None => Box::new(io::stdin().lock()),
        Some(path) => {
            let file = File::open(path).map_err(|source| CliError::File {
                path: path.clone(),
                source,
            })?;
            Box::new(BufReader::new(file))
        }
    };
    let guard = Guard::making(&workspace);
    let branch = workspace.import(args.name.as_ref(), &mut input, &mut |progress| bar.show(progress))?;
    drop((bar, guard));
    let name = branch.name();
    tell(format_args!("imported {name}; see: sandbox branch diff {name}"));
    Ok(ExitCode::SUCCESS)
}
