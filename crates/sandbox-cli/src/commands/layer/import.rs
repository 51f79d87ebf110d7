//! `sandbox layer import`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueHint;
use sandbox::ByteSize;
use sandbox::oci::{
    Digest, Expected, Image, ImportProgress, Layer, Layout, Limits, Owners, Platform, Selection, Store,
    UnpackOptions, import_layer,
};
use serde::Serialize;

use super::values::{DevicesValue, OwnersValue, owners};
use crate::commands::branch::show_changes::thousands;
use crate::error::CliError;
use crate::interrupt::Guard;
use crate::output::{note, print_bytes, print_json};
use crate::progress::Bar;

/// Unpack a layer, or all layers of an image, into directories for overlays
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is printed are the directories, the bottom one first: sandbox mount overlay --layer DIR --layer DIR … takes them \
in this order. Layers that are there already are taken as they are.

The image may come from anybody: digests are checked, what is hostile in it is refused, and nothing is left then. DIR may \
be written to by nobody else.

Examples:
  $ skopeo copy docker://debian:12 oci:debian:12
  $ sandbox layer import debian --ref 12 --into layers
  $ sandbox layer import layer.tar.gz --into layers --digest sha256:…
  $ zstd -dc layer.tar.zst | sandbox layer import - --into layers")]
pub(super) struct Args {
    /// An OCI image layout (a directory), or a layer: a tar archive, plain or compressed by gzip or zstd; - is
    /// standard input
    #[arg(value_name = "LAYOUT|FILE", value_hint = ValueHint::AnyPath)]
    source: PathBuf,
    /// The directory that layers are kept in; it is made when it does not exist
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    into: PathBuf,
    /// Which image of a layout: what index.json calls it [default: the only one]
    #[arg(long = "ref", value_name = "NAME")]
    reference: Option<String>,
    /// Which image of a layout: OS/ARCHITECTURE, as linux/arm64 [default: Linux on this processor]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// What a layer must hash to, as it is
    #[arg(long, value_name = "DIGEST")]
    digest: Option<Digest>,
    /// What the archive in a layer must hash to
    #[arg(long, value_name = "DIGEST")]
    diff_id: Option<Digest>,
    /// Where owner, group and mode of files are kept [default: real for root, else virtual]
    #[arg(long, value_enum)]
    owners: Option<OwnersValue>,
    /// What is done with device nodes
    #[arg(long, value_enum, default_value = "refuse")]
    devices: DevicesValue,
    /// The most that files may hold, holes counted
    #[arg(long, value_name = "SIZE", default_value = "64GiB")]
    max_size: ByteSize,
    /// The most entries
    #[arg(long, value_name = "N", default_value = "2000000")]
    max_entries: u64,
    /// How many times its size a compressed layer may become
    #[arg(long, value_name = "N", default_value = "200")]
    max_ratio: u64,
    /// Print what was imported as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    must_fit(args)?;
    let limits = Limits::default()
        .bytes(args.max_size.bytes())
        .entries(args.max_entries)
        .ratio(args.max_ratio);
    let options = UnpackOptions::new()
        .owners(owners(args.owners))
        .devices(args.devices.into())
        .limits(limits);
    let guard = Guard::importing(&args.into);
    let mut bar = Bar::new();
    let shown = if args.source.is_dir() {
        image(args, &options, &mut |state| show(&mut bar, state))?
    } else {
        layer(args, &options, &mut |state| show(&mut bar, state))?
    };
    drop(bar);
    drop(guard);
    shown.layers.iter().for_each(tell_of);
    if args.json {
        return print_json(&shown, ExitCode::SUCCESS);
    }
    let mut lines = Vec::new();
    for path in &shown.lower {
        lines.extend_from_slice(path.as_os_str().as_encoded_bytes());
        lines.push(b'\n');
    }
    print_bytes(&lines, ExitCode::SUCCESS)
}

/// A flag for the other kind of source is a mistake, and ignored it would be a danger.
fn must_fit(args: &Args) -> Result<(), CliError> {
    let path = args.source.clone();
    let for_layers = [
        ("--digest", args.digest.is_some()),
        ("--diff-id", args.diff_id.is_some()),
    ];
    let for_layouts = [
        ("--ref", args.reference.is_some()),
        ("--platform", args.platform.is_some()),
    ];
    let (flags, wanted) = if path.is_dir() {
        (for_layers, "a layer, and this is a directory")
    } else {
        (for_layouts, "an image layout, and this is no directory")
    };
    match flags.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(CliError::LayerFlag { flag, path, wanted }),
        None => Ok(()),
    }
}

fn image(
    args: &Args,
    options: &UnpackOptions,
    show: &mut dyn FnMut(ImportProgress),
) -> Result<Imported, CliError> {
    let layout = Layout::open(&args.source)?;
    let mut selection = Selection::new();
    if let Some(reference) = &args.reference {
        selection = selection.reference(reference);
    }
    if let Some(platform) = &args.platform {
        selection = selection.platform(platform.clone());
    }
    let store = Store::open(&args.into)?;
    let image = layout.unpack(&selection, &store, options, show)?;
    Imported::image(&image)
}

fn layer(
    args: &Args,
    options: &UnpackOptions,
    show: &mut dyn FnMut(ImportProgress),
) -> Result<Imported, CliError> {
    let expected = Expected {
        digest: args.digest,
        diff_id: args.diff_id,
    };
    let mut input: Box<dyn Read> = if args.source == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let path = args.source.clone();
        Box::new(File::open(&path).map_err(|source| CliError::File { path, source })?)
    };
    let store = Store::open(&args.into)?;
    let layer = import_layer(&store, &mut input, &expected, options, show)?;
    Ok(Imported {
        manifest: None,
        config: None,
        lower: vec![layer.path.clone()],
        layers: vec![ShownLayer::of(&layer)],
    })
}

fn show(bar: &mut Bar, state: ImportProgress) {
    bar.bytes("importing", state.bytes, state.bytes_total, state.entries);
}

/// What was imported, as JSON has it.
#[derive(Serialize)]
struct Imported {
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<serde_json::Value>,
    /// What to give to an overlay, the bottom one first.
    lower: Vec<PathBuf>,
    layers: Vec<ShownLayer>,
}

#[derive(Serialize)]
struct ShownLayer {
    path: PathBuf,
    diff_id: Digest,
    owners: Owners,
    entries: u64,
    bytes: u64,
    reused: bool,
    hides_all: bool,
    devices_left_out: u64,
    attributes_left_out: u64,
    assumed_directories: u64,
}

impl Imported {
    fn image(image: &Image) -> Result<Self, CliError> {
        Ok(Self {
            manifest: Some(image.manifest),
            config: Some(serde_json::from_slice(&image.config).map_err(CliError::Json)?),
            lower: image.paths().map(Path::to_owned).collect(),
            layers: image.layers.iter().map(ShownLayer::of).collect(),
        })
    }
}

impl ShownLayer {
    fn of(layer: &Layer) -> Self {
        Self {
            path: layer.path.clone(),
            diff_id: layer.diff_id,
            owners: layer.owners,
            entries: layer.entries,
            bytes: layer.bytes,
            reused: layer.reused,
            hides_all: layer.hides_all,
            devices_left_out: layer.devices_left_out,
            attributes_left_out: layer.attributes_left_out,
            assumed_directories: layer.assumed,
        }
    }
}

/// Says what a layer is, and what of it is not there.
fn tell_of(layer: &ShownLayer) {
    let ShownLayer {
        diff_id,
        entries,
        bytes,
        ..
    } = layer;
    let short: String = diff_id.hex().chars().take(12).collect();
    let size = ByteSize::from_bytes(*bytes);
    let was = if layer.reused {
        "is there already"
    } else {
        "imported"
    };
    let entries = thousands(*entries);
    note(format_args!("layer {short}: {was}, {entries} entries, {size}"));
    for (count, what) in [
        (layer.devices_left_out, "devices were left out"),
        (
            layer.attributes_left_out,
            "extended attributes were left out or could not be set",
        ),
    ] {
        if count > 0 {
            note(format_args!("layer {short}: {count} {what}"));
        }
    }
    if layer.hides_all {
        note(format_args!("layer {short}: hides everything beneath it"));
    }
}
