//! `sandbox layer`: layers of container images, as directories for overlays and back.

mod diff;
mod export;
mod import;
mod settle;
mod values;

use std::process::ExitCode;

use crate::error::CliError;

/// Take layers of container images apart, and make new ones
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
An image comes as a directory, an OCI image layout: skopeo copy docker://debian:12 oci:debian:12, or a layer as a file. \
Import makes directories of its layers; an overlay shows them as one tree, and what is written to its upper directory \
becomes a new layer by export.

Examples:
  $ mkdir -p changes/etc && echo hello > changes/etc/motd
  $ sandbox layer export changes --output motd.tar.gz
  $ sandbox layer import motd.tar.gz --into layers
  $ mkdir next && sandbox layer diff next --layer $(sandbox layer import motd.tar.gz --into layers)"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Import(import::Args),
    Export(export::Args),
    Diff(diff::Args),
    #[command(hide = true)]
    Settle(settle::Args),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CliError> {
    match &args.action {
        Action::Import(args) => import::run(args),
        Action::Export(args) => export::run(args),
        Action::Diff(args) => diff::run(args),
        Action::Settle(args) => settle::run(args),
    }
}
