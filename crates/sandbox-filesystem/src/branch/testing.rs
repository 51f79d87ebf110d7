//! What tests of the branch engine share: an exact picture of a tree, layers made by hand.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sandbox_types::{NodeKind, RelPath};

use super::beneath::{Root, names, node_at};
use super::copy::{Attributes, symlink_target};
use super::node::Meta;
use super::xattr::Reading;

/// Everything about an entry that can be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) kind: NodeKind,
    pub(crate) attributes: Attributes,
    pub(crate) content: Vec<u8>,
    pub(crate) rdev: u64,
    /// Paths of the same inode.
    pub(crate) links: Vec<RelPath>,
}

pub(crate) type Picture = BTreeMap<RelPath, Look>;

/// A picture of all that is in `dir`, the directory itself included.
pub(crate) fn picture(dir: &Path) -> Picture {
    let root = Root::open(dir).unwrap();
    let mut picture = Picture::new();
    let mut inodes: BTreeMap<(u64, u64), Vec<RelPath>> = BTreeMap::new();
    let mut left = vec![RelPath::root()];
    while let Some(path) = left.pop() {
        let place = root.place(&path).unwrap();
        let meta = place.meta().unwrap().unwrap();
        let node = place.node().unwrap();
        let content = match meta.kind {
            NodeKind::File => {
                let mut content = Vec::new();
                File::read_to_end(&mut root.file(&path).unwrap(), &mut content).unwrap();
                content
            }
            NodeKind::Symlink => symlink_target(place.parent.as_fd(), place.name()).unwrap().0,
            NodeKind::Directory => {
                let fd = root.list_dir(&path).unwrap();
                left.extend(
                    names(fd.as_fd())
                        .unwrap()
                        .iter()
                        .map(|name| path.join(name).unwrap()),
                );
                Vec::new()
            }
            _ => Vec::new(),
        };
        if meta.nlink > 1 && !meta.is_dir() {
            inodes.entry((meta.dev, meta.ino)).or_default().push(path.clone());
        }
        let look = Look {
            kind: meta.kind,
            attributes: Attributes::read(node.as_fd(), &meta, Reading::Exact).unwrap(),
            content,
            rdev: meta.rdev,
            links: Vec::new(),
        };
        picture.insert(path, look);
    }
    for mut links in inodes.into_values().filter(|links| links.len() > 1) {
        links.sort();
        for path in &links {
            picture.get_mut(path).unwrap().links.clone_from(&links);
        }
    }
    picture
}

/// Where two pictures differ, in words short enough to be read.
pub(crate) fn differences(a: &Picture, b: &Picture) -> Vec<String> {
    let mut found = Vec::new();
    for path in a.keys().chain(b.keys().filter(|path| !a.contains_key(*path))) {
        let shown = path.as_bytes().escape_ascii();
        match (a.get(path), b.get(path)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(_), None) => found.push(format!("{shown}: only in the first")),
            (None, _) => found.push(format!("{shown}: only in the second")),
            (Some(a), Some(b)) => found.push(format!("{shown}: {} / {}", brief(a), brief(b))),
        }
    }
    found
}

fn brief(look: &Look) -> String {
    let content = &look.content;
    format!(
        "{:?} {:?} {} bytes {:?} links {:?}",
        look.kind,
        look.attributes,
        content.len(),
        OsString::from(std::ffi::OsStr::from_bytes(content.get(..20).unwrap_or(content))),
        look.links
    )
}

/// Fails unless both are the same.
#[track_caller]
pub(crate) fn assert_same(a: &Picture, b: &Picture, what: &str) {
    let differences = differences(a, b);
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}

/// A relative path.
pub(crate) fn rel(path: impl AsRef<Path>) -> RelPath {
    RelPath::new(path).unwrap()
}

/// Sets `user.NAME`.
pub(crate) fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(path, format!("user.{name}"), value, flags).unwrap();
}

/// Sets an access control list by which user 12345 may read.
pub(crate) fn set_acl(path: &Path, name: &str) {
    // Version 2; then tag, permissions and id of: owner, user 12345, group, mask, others.
    let entries: [(u16, u16, u32); 5] = [
        (1, 6, !0),
        (2, 4, 12345),
        (4, 4, !0),
        (0x10, 4, !0),
        (0x20, 0, !0),
    ];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    rustix::fs::setxattr(path, name, &list, rustix::fs::XattrFlags::empty()).unwrap();
}

/// Sets the time of the last modification, of a link itself.
pub(crate) fn set_mtime(path: &Path, mtime: (i64, u32)) {
    let node = node_at(rustix::fs::CWD, path).unwrap();
    let meta = Meta::of(&node).unwrap();
    let mut attributes = Attributes::read(node.as_fd(), &meta, Reading::Exact).unwrap();
    attributes.mtime = Some(mtime);
    attributes.put(node.as_fd()).unwrap();
}

/// What the kernel's overlayfs shows of `layer` over `base`: path, kind and mode of each entry, sorted; none, and
/// the reason printed, where it cannot be mounted.
pub(crate) fn kernel_view(test: &str, layer: &Path, base: &Path) -> Option<Vec<String>> {
    let flags = if rustix::process::geteuid().is_root() {
        "-m"
    } else {
        "-Urm"
    };
    let at = base.display();
    let script = format!(
        "mount -t overlay overlay -o 'userxattr,lowerdir={}:{at}' '{at}' || exit 99\ncd '{at}' && find . -mindepth 1 -printf '%P\\t%y\\t%m\\0'",
        layer.display()
    );
    let output = std::process::Command::new("unshare")
        .args([flags, "--propagation", "private", "sh", "-c", &script])
        .output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        Ok(output) => {
            skip(
                test,
                &format!("no overlay: {}", String::from_utf8_lossy(&output.stderr).trim()),
            );
            return None;
        }
        Err(error) => {
            skip(test, &format!("unshare: {error}"));
            return None;
        }
    };
    let entries = output
        .stdout
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty());
    let mut entries: Vec<String> = entries.map(|entry| entry.escape_ascii().to_string()).collect();
    entries.sort();
    Some(entries)
}

/// The same of what was found without the kernel.
pub(crate) fn as_kernel_view<'s>(
    entries: impl IntoIterator<Item = (&'s RelPath, NodeKind, u32)>,
) -> Vec<String> {
    let line = |(path, kind, mode): (&RelPath, NodeKind, u32)| {
        let kind = match kind {
            NodeKind::File => 'f',
            NodeKind::Directory => 'd',
            NodeKind::Symlink => 'l',
            NodeKind::Fifo => 'p',
            NodeKind::Socket => 's',
            NodeKind::CharDevice => 'c',
            NodeKind::BlockDevice => 'b',
        };
        let path = path.as_bytes();
        [path, format!("\t{kind}\t{mode:o}").as_bytes()]
            .concat()
            .escape_ascii()
            .to_string()
    };
    let mut lines: Vec<String> = entries.into_iter().map(line).collect();
    lines.sort();
    lines
}

/// Does what is to be done without privileges, also where the tests run as root: on a thread that has none.
pub(crate) fn without_capabilities(act: impl FnOnce() + Send) {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    let drop_and_act = || {
        set_capabilities(None, none).unwrap();
        act();
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(drop_and_act);
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Says that the test `name` does not run, and why; where skips are counted as failures, fails
/// (docs/CONTRIBUTING.md, "Skipping").
pub(crate) fn skip(name: &str, reason: &str) {
    let is_set = |variable| std::env::var_os(variable).is_some_and(|value| value == "1");
    let allowed = std::env::var("SANDBOX_TEST_ALLOWED_SKIPS").unwrap_or_default();
    let is_allowed = allowed.split(',').any(|known| known.trim() == name);
    assert!(
        !is_set("SANDBOX_TEST_NO_SKIP") || is_allowed,
        "{name} would skip: {reason}"
    );
    println!("SKIP: {name}: {reason}");
}
