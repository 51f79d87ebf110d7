//! `sandbox mount dual`.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use clap::ValueEnum;
use sandbox::Access;
use sandbox::ByteSize;
use sandbox::backend::dual::{
    BackendAFallbackToBackendBRead, BackendAOnly, Deletions, DualFsBuilder, Durability,
    MergeReadsBackendAPrecedence, ReadBackendBWriteBackendA,
};
use sandbox::backend::overlay::HeldUpper;
use sandbox::backend::{DualFs, MemFs, PassthroughFs};
use sandbox::fs::DynFileSystem;
use sandbox::own::OwnWalls;

use super::job::{Job, Made};
use super::mem::belong_to_caller;
use super::options::{Cache, Options, Permissions, Stat};
use super::serve::serve;
use crate::error::CliError;
use crate::output::note;

/// Serve two filesystems under one root: what is changed goes to A, and B is only read
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A and B are directories, or mem:SIZE for a filesystem in memory (a directory of such a name is ./mem:SIZE). A file of B \
that is changed is copied to A before. What is deleted of B is hidden by whiteouts in A, in the format of the kernel's \
overlayfs. A is locked: nobody else may change it meanwhile. It may not be B, in B, or have B in it. A directory .sandbox-dual in it holds what is not finished.

Examples:
  $ sandbox mount dual --a mem:1G --b ~/project /tmp/view
  $ sandbox mount dual --a ~/changes --b ~/base --policy merge /tmp/view
  $ sandbox mount dual --a ~/changes --b ~/rootfs --stat strict --daemon /tmp/view")]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,
    /// Where changes go: a directory, or mem:SIZE
    #[arg(long, value_name = "WHAT")]
    a: Part,
    /// What is beneath, and never changed: a directory, or mem:SIZE
    #[arg(long, value_name = "WHAT")]
    b: Part,
    /// What is seen of a name that both have
    #[arg(long, value_name = "WHICH", default_value = "read-b-write-a")]
    policy: Policy,
    /// Where owner, group and mode of files are kept, in directories
    #[arg(long, value_name = "HOW", default_value = "off")]
    stat: Stat,
    /// Which mode files have on the host where their own is kept apart
    #[arg(long, value_name = "WHICH", default_value = "private")]
    permissions: Permissions,
    /// What the kernel may remember of directories
    #[arg(long, value_name = "WHAT", default_value = "auto")]
    cache: Cache,
    /// Nothing is synced unless a program asks for it: faster, and A may be incomplete after a power failure
    #[arg(long)]
    volatile: bool,
    /// A, for as long as it is served. Locked before the walls stand: inside them nobody can say who has it.
    #[arg(skip)]
    held: OnceCell<HeldUpper>,
}

#[derive(Debug, Clone)]
enum Part {
    Directory(PathBuf),
    Memory(ByteSize),
}

/// What is seen of a name that both have. Directories that both have are merged by all but a-only.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Policy {
    /// B's file, until it is changed here
    ReadBWriteA,
    /// A's; B is not looked at
    AOnly,
    /// A's; where B cannot be read, listings show what A has
    AThenB,
    /// A's; where B cannot be read, listings fail
    Merge,
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("mem:") {
            Some(size) => size.parse().map(Self::Memory).map_err(|error| format!("{error}")),
            // The server behind its walls works in another directory than its caller.
            None => std::path::absolute(text)
                .map(Self::Directory)
                .map_err(|error| error.to_string()),
        }
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    serve(&args.options, args)
}

impl Job for Args {
    fn name(&self) -> String {
        "dual".to_owned()
    }

    fn walls(&self) -> Result<OwnWalls, CliError> {
        self.hold()?;
        let of_a = if self.options.read_only {
            Access::Read
        } else {
            Access::Write
        };
        // What is not there is said by who looks at it more closely.
        let reached = [(&self.a, of_a), (&self.b, Access::Read)].map(|(part, access)| match part {
            Part::Directory(dir) => dir.canonicalize().ok().map(|dir| (dir, access)),
            Part::Memory(_) => None,
        });
        let mut walls = reached
            .into_iter()
            .flatten()
            .fold(OwnWalls::new(), |walls, (dir, access)| walls.reach(dir, access))
            .many_owners();
        if self.stat.is_off() {
            // Devices, and attributes in trusted.*.
            walls = walls.keep("mknod").keep("sys_admin");
        }
        Ok(walls)
    }

    fn filesystem(&self) -> Result<Made, CliError> {
        self.hold()?;
        let builder = DualFs::builder()
            .backend_a(part(self, &self.a, self.options.read_only)?)
            .backend_b(part(self, &self.b, true)?);
        let builder = if self.volatile {
            builder.durability(Durability::Volatile)
        } else {
            builder
        };
        let fs = with_policy(builder, self.policy).build()?;
        if !self.options.read_only && matches!(self.a, Part::Directory(_)) {
            warn_of_memory(&fs)?;
        }
        Ok(Made {
            fs: Arc::new(fs),
            _watch: None,
        })
    }
}

impl Args {
    /// Nobody else writes to A, and it is apart from B.
    fn hold(&self) -> Result<(), CliError> {
        let Some(a) = self.a.directory().filter(|_| self.held.get().is_none()) else {
            return Ok(());
        };
        if self.options.read_only {
            return Ok(());
        }
        let held = HeldUpper::take(a, &Vec::from_iter(self.b.directory()))?;
        self.held.get_or_init(|| held);
        Ok(())
    }
}

impl Part {
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) => Some(path),
            Self::Memory(_) => None,
        }
    }
}

fn with_policy(builder: DualFsBuilder, policy: Policy) -> DualFsBuilder {
    match policy {
        Policy::ReadBWriteA => builder.policy(ReadBackendBWriteBackendA),
        Policy::AOnly => builder.policy(BackendAOnly),
        Policy::AThenB => builder.policy(BackendAFallbackToBackendBRead),
        Policy::Merge => builder.policy(MergeReadsBackendAPrecedence),
    }
}

fn part(args: &Args, part: &Part, read_only: bool) -> Result<Arc<dyn DynFileSystem>, CliError> {
    match part {
        Part::Memory(size) => {
            let fs = MemFs::builder().capacity(*size).build()?;
            belong_to_caller(&fs)?;
            Ok(Arc::new(fs))
        }
        Part::Directory(path) => {
            let builder = PassthroughFs::builder()
                .root_dir(path)
                .stat_virtualization(args.stat.into())
                .host_permissions(args.permissions.into())
                .cache_policy(args.cache.into());
            let builder = if read_only { builder.read_only() } else { builder };
            Ok(Arc::new(builder.build()?))
        }
    }
}

fn warn_of_memory(fs: &DualFs) -> Result<(), CliError> {
    let deletions = fs.deletions().map_err(|error| CliError::Serving {
        what: "what A can keep",
        source: error.into(),
    })?;
    if deletions == Deletions::InMemory {
        note("A keeps no whiteouts: what is deleted of B is seen again when this is mounted anew");
    }
    Ok(())
}
