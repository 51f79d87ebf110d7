//! What this host offers, looked at once a process.

use std::fs;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use landlock::ABI;

/// Facts about the host that plans are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Effective user and group of the caller.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Landlock's ABI version; 0 without Landlock.
    pub landlock_abi: u32,
    /// Why namespaces cannot be used, once that is known. They are tried before it is.
    pub no_namespaces: Option<NoNamespaces>,
    /// /proc/self/uid_map of the caller.
    pub uid_map: String,
    /// /proc/self/gid_map of the caller.
    pub gid_map: String,
    /// Whether RLIMIT_NPROC is counted per user namespace (Linux 5.14).
    pub nproc_per_namespace: bool,
}

/// Why there are no namespaces: where the set-up failed, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoNamespaces {
    /// The step that failed.
    pub step: String,
    /// The kernel's errno.
    pub errno: i32,
}

impl Host {
    /// Looks at the host. Namespaces count as available until [`Host::without_namespaces`] says otherwise:
    /// only the whole set-up proves them, because AppArmor grants a user namespace without capabilities.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn detect() -> io::Result<Self> {
        static FACTS: OnceLock<Host> = OnceLock::new();
        if let Some(host) = FACTS.get() {
            return Ok(host.clone());
        }
        let host = Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            landlock_abi: landlock_abi(),
            no_namespaces: None,
            uid_map: identity_map("/proc/self/uid_map")?,
            gid_map: identity_map("/proc/self/gid_map")?,
            nproc_per_namespace: kernel_is_at_least(5, 14),
        };
        Ok(FACTS.get_or_init(|| host).clone())
    }

    /// The same host, known not to have namespaces.
    #[must_use]
    pub fn without_namespaces(mut self, cause: NoNamespaces) -> Self {
        self.no_namespaces = Some(cause);
        self
    }

    /// Whether a sandbox has already found, in this process, that namespaces are not to be had here.
    pub fn known_without_namespaces() -> bool {
        known_no_namespaces().is_some()
    }

    /// Whether the caller is user 0 of its user namespace.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Whether user 0 of the caller's user namespace is that of the host: the namespace maps every user to itself.
    pub(crate) fn has_the_hosts_users(&self) -> bool {
        self.uid_map.split_whitespace().eq(["0", "0", "4294967295"])
    }

    /// Landlock's version as the crate knows it.
    pub(crate) fn abi(&self) -> ABI {
        ABI::from(i32::try_from(self.landlock_abi).unwrap_or(0))
    }
}

/// What the file says. In a sandbox without namespaces a process may not read its own; there are none to be made then.
fn identity_map(file: &str) -> io::Result<String> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(String::new()),
        read => read,
    }
}

/// Remembers, for the life of this process, that namespaces do not work here.
pub(crate) fn remember_no_namespaces(cause: &NoNamespaces) {
    NO_NAMESPACES.get_or_init(|| cause.clone());
}

/// What [`remember_no_namespaces`] was told.
pub(crate) fn known_no_namespaces() -> Option<NoNamespaces> {
    NO_NAMESPACES.get().cloned()
}

static NO_NAMESPACES: OnceLock<NoNamespaces> = OnceLock::new();

/// landlock_create_ruleset(2) with LANDLOCK_CREATE_RULESET_VERSION.
fn landlock_abi() -> u32 {
    static ABI: AtomicI32 = AtomicI32::new(-1);
    if ABI.load(Ordering::Relaxed) < 0 {
        ABI.store(crate::sys::landlock_abi(), Ordering::Relaxed);
    }
    u32::try_from(ABI.load(Ordering::Relaxed)).unwrap_or(0)
}

fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let mut parts = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (major, minor)
}
