//! `sandbox layer export`.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueHint;
use sandbox::ByteSize;
use sandbox::oci::{ExportOptions, ExportProgress, ExportedLayer, export_layer};
use serde::Serialize;

use super::values::{CompressionValue, OwnersValue, owners};
use crate::commands::branch::show_changes::thousands;
use crate::commands::whole::written_to;
use crate::error::CliError;
use crate::output::{note, print, print_json, tell};
use crate::progress::Bar;

/// Write the upper directory of an overlay as a layer of an image
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --output, standard output has digest, diff_id and size, as a manifest and a configuration need them. Equal \
directories give equal layers. The overlay must not be mounted meanwhile.

Examples:
  $ sandbox layer export upper --output layer.tar.gz
  $ sandbox layer export upper --compression none | tar tvf -")]
pub(super) struct Args {
    /// The upper directory
    #[arg(value_name = "UPPER", value_hint = ValueHint::DirPath)]
    upper: PathBuf,
    /// The file to write; it must not exist [default: standard output]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// How the layer is compressed
    #[arg(long, value_enum, default_value = "gzip")]
    compression: CompressionValue,
    /// Where owner, group and mode of files are kept [default: real for root, else virtual]
    #[arg(long, value_enum)]
    owners: Option<OwnersValue>,
    /// Print what was written as JSON
    #[arg(long, requires = "output")]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let options = ExportOptions::new()
        .compression(args.compression.into())
        .owners(owners(args.owners));
    let mut bar = Bar::new();
    let mut show = |state: ExportProgress| bar.bytes("exporting", state.bytes, None, state.entries);
    let exported = match &args.output {
        None if io::stdout().is_terminal() => return Err(CliError::ArchiveOnTerminal),
        None => written(args, options, &mut BufWriter::new(io::stdout().lock()), &mut show)?,
        Some(path) => written_to(path, |out| written(args, options, out, &mut show))?,
    };
    drop(bar);
    for path in &exported.skipped {
        note(format_args!(
            "{}: left out, a layer cannot have a socket",
            path.display()
        ));
    }
    let size = ByteSize::from_bytes(exported.size);
    tell(format_args!(
        "exported {}: {} entries, {size}",
        args.upper.display(),
        thousands(exported.entries)
    ));
    let Some(path) = &args.output else {
        tell(format_args!(
            "digest {}\ndiff_id {}",
            exported.digest, exported.diff_id
        ));
        return Ok(ExitCode::SUCCESS);
    };
    if args.json {
        return print_json(&Shown::of(&exported, path), ExitCode::SUCCESS);
    }
    let ExportedLayer {
        digest,
        diff_id,
        size,
        ..
    } = &exported;
    let text = format!("digest {digest}\ndiff_id {diff_id}\nsize {size}\n");
    print(&text, ExitCode::SUCCESS)
}

fn written(
    args: &Args,
    options: ExportOptions,
    out: &mut dyn Write,
    show: &mut dyn FnMut(ExportProgress),
) -> Result<ExportedLayer, CliError> {
    Ok(export_layer(&args.upper, &options, out, show)?)
}

/// What was written: a descriptor as manifests have it, and more.
#[derive(Serialize)]
struct Shown<'e> {
    path: &'e Path,
    #[serde(rename = "mediaType")]
    media_type: &'static str,
    digest: String,
    size: u64,
    diff_id: String,
    entries: u64,
    bytes: u64,
    skipped: &'e [PathBuf],
}

impl<'e> Shown<'e> {
    fn of(exported: &'e ExportedLayer, path: &'e Path) -> Self {
        Self {
            path,
            media_type: exported.media_type,
            digest: exported.digest.to_string(),
            size: exported.size,
            diff_id: exported.diff_id.to_string(),
            entries: exported.entries,
            bytes: exported.bytes,
            skipped: &exported.skipped,
        }
    }
}
