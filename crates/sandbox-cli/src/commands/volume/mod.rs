//! `sandbox volume`: data that outlives what works on it.

mod archive;
mod bar;
mod change;
pub(crate) mod complete;
mod copies;
mod create;
mod df;
mod files;
mod fsck;
pub(crate) mod health;
mod list;
mod prune;
mod settle;
mod shown;

use std::process::ExitCode;
use std::sync::Arc;

use bar::bar;
use sandbox::VolumeName;
use sandbox::volume::{Backend, Volume, VolumeError, default_backend};

use crate::error::CliError;
use crate::interrupt::Guard;

/// Make, fill, copy and remove named volumes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A volume is attached by: sandbox run --volume NAME:/PATH -- COMMAND

Examples:
  $ sandbox volume create data --label team=storage
  $ echo hello | sandbox volume put - data:/greeting
  $ sandbox volume ls data
  $ sandbox volume snapshot data before
  $ sandbox volume restore data before
  $ sandbox volume export data --output data.tar.zst
  $ sandbox volume import data.tar.zst --name copy
  $ sandbox volume df
  $ sandbox volume rm --snapshots data copy")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Create(create::CreateArgs),
    Ensure(create::EnsureArgs),
    List(list::ListArgs),
    Show(list::ShowArgs),
    Rm(change::RemoveArgs),
    Resize(change::ResizeArgs),
    Rename(change::RenameArgs),
    Clone(copies::CloneArgs),
    Snapshot(copies::SnapshotArgs),
    Restore(copies::RestoreArgs),
    Export(archive::ExportArgs),
    Import(archive::ImportArgs),
    Prune(prune::Args),
    Df(df::Args),
    Ls(files::LsArgs),
    Cat(files::CatArgs),
    Cp(files::CpArgs),
    Put(files::PutArgs),
    Get(files::GetArgs),
    Fsck(fsck::Args),
    #[command(hide = true)]
    Settle(settle::Args),
}

impl Action {
    /// Whether it makes or removes whole volumes, and so leaves something to be settled where it is interrupted.
    fn makes_or_removes(&self) -> bool {
        matches!(
            self,
            Self::Create(_)
                | Self::Ensure(_)
                | Self::Rm(_)
                | Self::Resize(_)
                | Self::Rename(_)
                | Self::Clone(_)
                | Self::Snapshot(_)
                | Self::Restore(_)
                | Self::Import(_)
                | Self::Prune(_)
        )
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let _guard = args.action.makes_or_removes().then(Guard::of_volumes);
    block_on(async {
        match &args.action {
            Action::Create(args) => create::create(args).await,
            Action::Ensure(args) => create::ensure(args).await,
            Action::List(args) => list::list(args).await,
            Action::Show(args) => list::show(args).await,
            Action::Rm(args) => change::remove(args).await,
            Action::Resize(args) => change::resize(args).await,
            Action::Rename(args) => change::rename(args).await,
            Action::Clone(args) => copies::clone(args).await,
            Action::Snapshot(args) => copies::snapshot(args).await,
            Action::Restore(args) => copies::restore(args).await,
            Action::Export(args) => archive::export(args).await,
            Action::Import(args) => archive::import(args).await,
            Action::Prune(args) => prune::run(args).await,
            Action::Df(args) => df::run(args).await,
            Action::Ls(args) => files::ls(args).await,
            Action::Cat(args) => files::cat(args).await,
            Action::Cp(args) => files::cp(args).await,
            Action::Put(args) => files::put(args).await,
            Action::Get(args) => files::get(args).await,
            Action::Fsck(args) => fsck::run(args).await,
            Action::Settle(args) => settle::run(args).await,
        }
    })
}

/// Runs what waits, on this thread. Nothing of it is there before it is called.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(CliError::Runtime)?.block_on(work)
}

async fn backend() -> Result<Arc<dyn Backend>, VolumeError> {
    default_backend().await
}

async fn volume(name: &VolumeName) -> Result<Volume, VolumeError> {
    Volume::get(name.as_str()).await
}
