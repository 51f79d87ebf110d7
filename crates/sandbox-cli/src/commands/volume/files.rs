//! `sandbox volume ls`, `cat`, `cp`, `put` and `get`: files of volumes, without a sandbox.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueHint;
use clap::builder::{OsStringValueParser, TypedValueParser};
use sandbox::volume::{EntryKind, FileStat, FileWriter, FsError, VolumeFs};
use sandbox::{InvalidName, VolumeName};
use serde::Serialize;

use super::shown::{seconds, table};
use super::{bar, complete, volume};
use crate::error::CliError;
use crate::output::{one_line, print, print_json};

/// `NAME:PATH`, or `NAME` for its root.
#[derive(Debug, Clone)]
struct Place {
    volume: VolumeName,
    path: PathBuf,
}

impl Place {
    /// How it is read from the command line: the path may be any bytes.
    fn parser() -> impl TypedValueParser<Value = Self> {
        OsStringValueParser::new().try_map(|text| Self::read(&text))
    }

    fn read(text: &OsStr) -> Result<Self, InvalidName> {
        let bytes = text.as_bytes();
        let mut parts = bytes.splitn(2, |byte| *byte == b':');
        let (name, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or(b"/"));
        Ok(Self {
            volume: String::from_utf8_lossy(name).parse()?,
            path: OsStr::from_bytes(path).into(),
        })
    }
}

impl Place {
    async fn fs(&self) -> Result<VolumeFs, CliError> {
        Ok(volume(&self.volume).await?.fs()?)
    }
}

/// List a directory of a volume
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  $ sandbox volume ls data:/")]
pub(super) struct LsArgs {
    /// The volume, and a directory in it
    #[arg(value_name = "NAME[:PATH]", value_parser = Place::parser(), add = complete::place())]
    place: Place,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Print a file of a volume
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  $ sandbox volume cat data:/greeting")]
pub(super) struct CatArgs {
    /// The volume, and a file in it
    #[arg(value_name = "NAME:PATH", value_parser = Place::parser(), add = complete::place())]
    place: Place,
}

/// Copy files within or between volumes, with all that is in them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  $ sandbox volume cp data:/greeting data:/copy")]
pub(super) struct CpArgs {
    /// The volume, and what to copy
    #[arg(value_name = "NAME:PATH", value_parser = Place::parser(), add = complete::place())]
    from: Place,
    /// The volume, and where to; nothing may be there
    #[arg(value_name = "NAME:PATH", value_parser = Place::parser(), add = complete::place())]
    to: Place,
}

/// Put a file or directory of the host into a volume
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A file replaces the one that is there, in one step; where a directory is to go nothing may be.

Examples:
  $ sandbox volume put . data:/work
  $ echo hello | sandbox volume put - data:/greeting")]
pub(super) struct PutArgs {
    /// The file or directory, or - for standard input
    #[arg(value_hint = ValueHint::AnyPath)]
    host: PathBuf,
    /// The volume, and where to
    #[arg(value_name = "NAME:PATH", value_parser = Place::parser(), add = complete::place())]
    to: Place,
}

/// Get a file or directory of a volume
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  $ sandbox volume get data:/greeting greeting.txt")]
pub(super) struct GetArgs {
    /// The volume, and what
    #[arg(value_name = "NAME:PATH", value_parser = Place::parser(), add = complete::place())]
    from: Place,
    /// Where to; nothing may be there. - is standard output
    #[arg(value_hint = ValueHint::AnyPath)]
    host: PathBuf,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    kind: &'static str,
    size: u64,
    mode: String,
    uid: u32,
    gid: u32,
    modified: u64,
}

pub(super) async fn ls(args: &LsArgs) -> Result<ExitCode, CliError> {
    let fs = args.place.fs().await?;
    let entries: Vec<_> = fs
        .list(&args.place.path)?
        .into_iter()
        .map(|entry| shown(&entry.name.to_string_lossy(), &entry.stat))
        .collect();
    if args.json {
        return print_json(&entries, ExitCode::SUCCESS);
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            let slash = if entry.kind == EntryKind::Directory.name() {
                "/"
            } else {
                ""
            };
            let name = format!("{}{slash}", one_line(&entry.name));
            vec![entry.mode.clone(), entry.size.to_string(), name]
        })
        .collect();
    print(&table(&rows), ExitCode::SUCCESS)
}

fn shown(name: &str, stat: &FileStat) -> Entry {
    Entry {
        name: name.to_owned(),
        kind: stat.kind.name(),
        size: stat.size,
        mode: format!("{:04o}", stat.mode),
        uid: stat.uid,
        gid: stat.gid,
        modified: seconds(stat.modified),
    }
}

pub(super) async fn cat(args: &CatArgs) -> Result<ExitCode, CliError> {
    let stream = args.place.fs().await?.read_stream(&args.place.path)?;
    to_stdout(stream, &args.place.path)
}

fn to_stdout(mut from: impl Read, path: &Path) -> Result<ExitCode, CliError> {
    let mut buffer = vec![0; 64 * 1024];
    let mut stdout = io::stdout().lock();
    loop {
        let read = from.read(&mut buffer).map_err(file(path))?;
        let written = stdout.write_all(buffer.get(..read).unwrap_or_default());
        match written.and_then(|()| stdout.flush()) {
            // A reader that has seen enough is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            result => result.map_err(CliError::Stdout)?,
        }
        if read == 0 {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn file(path: &Path) -> impl Fn(io::Error) -> CliError {
    let path = path.to_owned();
    move |source| CliError::File {
        path: path.clone(),
        source,
    }
}

pub(super) async fn cp(args: &CpArgs) -> Result<ExitCode, CliError> {
    let from = args.from.fs().await?;
    if args.from.volume == args.to.volume {
        from.copy(&args.from.path, &args.to.path)?;
    } else {
        let to = args.to.fs().await?;
        from.copy_to(&args.from.path, &to, &args.to.path, &bar())?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn put(args: &PutArgs) -> Result<ExitCode, CliError> {
    let fs = args.to.fs().await?;
    if args.host == Path::new("-") {
        let writer = fs.write_stream(&args.to.path)?;
        stream_in(&mut io::stdin().lock(), writer, args)?;
    } else if args.host.is_dir() {
        fs.copy_in(&args.host, &args.to.path, &bar())?;
    } else {
        let mut from = File::open(&args.host).map_err(file(&args.host))?;
        let permissions = from.metadata().map_err(file(&args.host))?.permissions();
        let writer = fs.write_stream_as(&args.to.path, permissions.mode())?;
        stream_in(&mut from, writer, args)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn stream_in(from: &mut dyn Read, mut writer: FileWriter, args: &PutArgs) -> Result<(), CliError> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).map_err(file(&args.host))?;
        if read == 0 {
            return Ok(writer.finish()?);
        }
        let piece = buffer.get(..read).unwrap_or_default();
        writer.write_all(piece).map_err(file(&args.to.path))?;
    }
}

pub(super) async fn get(args: &GetArgs) -> Result<ExitCode, CliError> {
    let fs = args.from.fs().await?;
    if args.host == Path::new("-") {
        return to_stdout(fs.read_stream(&args.from.path)?, &args.from.path);
    }
    let copied: Result<(), FsError> = fs.copy_out(&args.from.path, &args.host, &bar());
    copied?;
    Ok(ExitCode::SUCCESS)
}
