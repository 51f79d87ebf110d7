//! Options that every filesystem has.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use clap::builder::{NonEmptyStringValueParser, PathBufValueParser, TypedValueParser};
use sandbox::fs::DynFileSystem;
use sandbox::serve::fuse::{MountBuilder, Session, SessionBuilder};
use sandbox::{CachePolicy, HostPermissions, StatVirtualization};

/// A directory as it is named from the root: the server behind its walls works in another one than its caller.
pub(super) fn directory() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(std::path::absolute)
}

/// How it is mounted and served.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The directory to mount it on; it must be empty
    pub(super) mountpoint: PathBuf,
    /// Go to the background once it is mounted
    #[arg(long)]
    pub(super) daemon: bool,
    /// Print how often each operation was asked for when it is unmounted
    #[arg(long, conflicts_with = "daemon")]
    pub(super) stats: bool,
    /// Nothing can be changed
    #[arg(long)]
    pub(super) read_only: bool,
    /// Other users may use it too (needs user_allow_other in /etc/fuse.conf unless you are root)
    #[arg(long)]
    allow_other: bool,
    /// The kernel checks no permissions: whoever reaches the mount may do everything that you may
    #[arg(long)]
    no_default_permissions: bool,
    /// The source that the mount table shows
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    fsname: Option<String>,
    /// What the mount table shows after "fuse."
    #[arg(long, value_name = "NAME", default_value = "sandbox", value_parser = NonEmptyStringValueParser::new())]
    subtype: String,
    /// The kernel reads and writes files directly (root and Linux 6.9; not with --writeback)
    #[arg(long)]
    pub(super) kernel_io: bool,
    /// Serve though nothing here can confine the server to what it serves
    #[arg(long)]
    pub(super) unconfined: bool,
}

impl Options {
    /// How it is mounted.
    pub(super) fn mount(&self, name: &str) -> MountBuilder {
        let name = self.fsname.as_deref().unwrap_or(name);
        let mut builder = MountBuilder::new().fs_name(name).subtype(&self.subtype);
        // Each of ours is one, that of a single file as well.
        builder = builder.of_a_directory();
        if self.read_only {
            builder = builder.read_only();
        }
        if self.allow_other {
            builder = builder.allow_other();
        }
        if self.no_default_permissions {
            builder = builder.without_default_permissions();
        }
        builder
    }

    /// How it is served.
    pub(super) fn session(&self, fs: Arc<dyn DynFileSystem>) -> SessionBuilder {
        let builder = Session::builder(fs);
        let builder = if self.no_default_permissions {
            builder.without_default_permissions()
        } else {
            builder
        };
        if self.kernel_io {
            builder.backing_files()
        } else {
            builder
        }
    }
}

/// What the kernel may remember.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Cache {
    /// Nothing
    Never,
    /// Names and attributes for a second, data while a file is open
    Auto,
    /// Everything: nobody else changes it
    Always,
}

impl From<Cache> for CachePolicy {
    fn from(cache: Cache) -> Self {
        match cache {
            Cache::Never => Self::Never,
            Cache::Auto => Self::Auto,
            Cache::Always => Self::Always,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Stat {
    /// In an extended attribute; a filesystem without them is refused
    Strict,
    /// There where possible, otherwise the host's own
    Relaxed,
    /// The host's own
    Off,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Permissions {
    /// Yours alone
    Private,
    /// As the file's own mode, without setuid and setgid
    Mirror,
}

impl Stat {
    pub(super) fn is_off(self) -> bool {
        matches!(self, Self::Off)
    }
}

impl From<Stat> for StatVirtualization {
    fn from(stat: Stat) -> Self {
        match stat {
            Stat::Strict => Self::Strict,
            Stat::Relaxed => Self::Relaxed,
            Stat::Off => Self::Off,
        }
    }
}

impl From<Permissions> for HostPermissions {
    fn from(permissions: Permissions) -> Self {
        match permissions {
            Permissions::Private => Self::Private,
            Permissions::Mirror => Self::Mirror,
        }
    }
}
