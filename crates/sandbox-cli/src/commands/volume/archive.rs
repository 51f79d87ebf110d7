//! `sandbox volume export` and `import`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use sandbox::volume::ImportOptions;
use sandbox::{ByteSize, Label, VolumeName};

use super::complete;
use super::{backend, bar};
use crate::commands::whole::Part;
use crate::error::CliError;
use crate::output::tell;

/// Write a volume as an archive: tar in zstd, with a checksum
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  $ sandbox volume export data --output copy.tar.zst
  $ sandbox volume export data | zstd --test")]
pub(super) struct ExportArgs {
    /// The volume
    #[arg(add = complete::name())]
    name: VolumeName,
    /// The file to write; it must not exist [default: standard output]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

/// Make a volume of an archive that `export` has written
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The archive may come from anybody: what is hostile or damaged in it is refused, and nothing is left then.

Example:
  $ sandbox volume import data.tar.zst --name theirs --limit 2G")]
pub(super) struct ImportArgs {
    /// The file to read [default: standard input]
    #[arg(value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// What the volume is to be called [default: as it was]
    #[arg(long, value_name = "NAME")]
    name: Option<VolumeName>,
    /// A label besides those in the archive; may be given several times
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// The most that may be in it [default: the quota in the archive, if any]
    #[arg(long, value_name = "SIZE")]
    limit: Option<ByteSize>,
    /// Give files the owners that they have in the archive; only root may
    #[arg(long)]
    owners: bool,
}

pub(super) async fn export(args: &ExportArgs) -> Result<ExitCode, CliError> {
    let (part, to): (Option<Part>, Box<dyn Write + Send>) = match &args.output {
        None if io::stdout().is_terminal() => return Err(CliError::ArchiveOnTerminal),
        None => (None, Box::new(BufWriter::new(io::stdout()))),
        Some(path) => {
            let (part, file) = Part::begin(path)?;
            (Some(part), Box::new(BufWriter::new(file)))
        }
    };
    backend().await?.export(&args.name, to, &bar()).await?;
    part.map_or(Ok(()), Part::finish)?;
    tell(format_args!("exported {}", args.name));
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn import(args: &ImportArgs) -> Result<ExitCode, CliError> {
    let from: Box<dyn Read + Send> = match &args.file {
        None => Box::new(io::stdin()),
        Some(path) => {
            let file = File::open(path).map_err(|source| CliError::File {
                path: path.clone(),
                source,
            })?;
            Box::new(BufReader::new(file))
        }
    };
    let mut options = ImportOptions::new();
    options.name.clone_from(&args.name);
    options.labels.clone_from(&args.label);
    options.limit = args.limit;
    options.owners = args.owners;
    let made = backend().await?.import(from, &options, &bar()).await?;
    tell(format_args!("imported {}", made.name));
    Ok(ExitCode::SUCCESS)
}
