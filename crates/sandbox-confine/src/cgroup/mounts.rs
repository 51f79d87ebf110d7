//! The cgroup mounts of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

use std::path::{Component, Path, PathBuf};

/// One mounted cgroup hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CgroupMount {
    /// Which directory of the hierarchy is visible at `point`.
    pub(super) root: PathBuf,
    /// Where it is mounted.
    pub(super) point: PathBuf,
    /// Whether it may be written.
    pub(super) access: Access,
    /// What it holds.
    pub(super) contents: Contents,
}

/// Whether a mount may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    ReadWrite,
    ReadOnly,
}

/// Which hierarchy a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Contents {
    V2,
    V1 { controllers: Vec<String> },
}

impl CgroupMount {
    /// Where the directory that `/proc/self/cgroup` calls `own` is; `None` when this mount does not show it.
    pub(super) fn locate(&self, own: &Path) -> Option<PathBuf> {
        let beneath = own.strip_prefix(&self.root).ok()?;
        // A cgroup namespace shows what lies above its root as "/..": such a path means nothing here.
        let plain = beneath
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        plain.then(|| {
            if beneath == Path::new("") {
                self.point.clone()
            } else {
                self.point.join(beneath)
            }
        })
    }
}

/// The v2 mount.
pub(super) fn v2(mounts: &[CgroupMount]) -> Option<&CgroupMount> {
    mounts.iter().find(|mount| mount.contents == Contents::V2)
}

/// The v1 mount that has `controller`.
pub(super) fn v1<'a>(mounts: &'a [CgroupMount], controller: &str) -> Option<&'a CgroupMount> {
    mounts.iter().find(|mount| match &mount.contents {
        Contents::V1 { controllers } => controllers.iter().any(|name| name == controller),
        Contents::V2 => false,
    })
}

/// Every cgroup mount of `text`, in its order; other lines and lines that make no sense are passed over.
pub(super) fn parse(text: &str) -> Vec<CgroupMount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<CgroupMount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut filesystem = filesystem.split(' ');
    let kind = filesystem.next()?;
    let super_options: Vec<&str> = filesystem.nth(1)?.split(',').collect();
    let contents = match kind {
        "cgroup2" => Contents::V2,
        "cgroup" => Contents::V1 {
            controllers: super_options.iter().map(|&name| name.to_owned()).collect(),
        },
        _ => return None,
    };
    let mut mount = mount.split(' ').skip(3);
    let root = unescape(mount.next()?);
    let point = unescape(mount.next()?);
    let read_only = mount.next()?.split(',').any(|option| option == "ro") || super_options.contains(&"ro");
    let access = if read_only {
        Access::ReadOnly
    } else {
        Access::ReadWrite
    };
    Some(CgroupMount {
        root,
        point,
        access,
        contents,
    })
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash.
fn unescape(field: &str) -> PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes
        .iter()
        .fold(field.to_owned(), |text, (from, to)| text.replace(from, to))
        .into()
}
