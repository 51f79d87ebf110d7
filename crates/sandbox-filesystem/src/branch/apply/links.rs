//! Files of a branch that are names of one inode stay so in the base.
//!
//! Names that are committed together are linked to the first of them. Where another name was committed before,
//! or is a file of the base that the branch has only linked to, they are linked to that: it must have the same
//! content and attributes, extended ones included, because a name that is linked has what is there already.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use sandbox_types::{NodeKind, RelPath};

use super::super::beneath::{Root, names};
use super::super::node::Meta;
use super::super::stack::{Layer, Stack};
use super::super::xattr::{self, Reading};
use super::plan::{After, LinkTo, Source, Step};

/// An inode of a layer.
type Inode = (PathBuf, u64);

/// Sets `link_to` of the files in `steps` that are not the first name of their inode.
pub(super) fn join(stack: &Stack, base: &Root, steps: &mut BTreeMap<RelPath, Step>) -> io::Result<()> {
    let mut inodes: BTreeMap<Inode, Vec<RelPath>> = BTreeMap::new();
    let mut has_more_names = false;
    for step in steps.values() {
        if let After::File { source, .. } = &step.after
            && source.meta.nlink > 1
        {
            let inode = (source.root.clone(), source.meta.ino);
            inodes.entry(inode).or_default().push(step.path.clone());
        }
    }
    for (inode, paths) in &inodes {
        let nlink = source(steps, paths.first()).map_or(0, |source| source.meta.nlink);
        has_more_names |=
            stack.layers().iter().any(|layer| layer.path == inode.0) && paths.len() as u64 != nlink;
    }
    let mut elsewhere = if has_more_names {
        names_in_base(stack, base, &inodes, steps)?
    } else {
        BTreeMap::new()
    };
    for (inode, paths) in inodes {
        let mut target = elsewhere.remove(&inode);
        for path in paths {
            let own = LinkTo::Step { path: path.clone() };
            if let Some(Step {
                after: After::File { link_to, .. },
                ..
            }) = steps.get_mut(&path)
            {
                link_to.clone_from(&target);
            }
            target.get_or_insert(own);
        }
    }
    Ok(())
}

/// For inodes with names that are not committed: one of those names where the base has the same file.
fn names_in_base(
    stack: &Stack,
    base: &Root,
    inodes: &BTreeMap<Inode, Vec<RelPath>>,
    steps: &BTreeMap<RelPath, Step>,
) -> io::Result<BTreeMap<Inode, LinkTo>> {
    let mut found = BTreeMap::new();
    for layer in stack.layers() {
        if !inodes.keys().any(|(root, _)| *root == layer.path) {
            continue;
        }
        let root = Root::open(&layer.path)?;
        for (path, meta) in linked_files(&root)? {
            let inode = (layer.path.clone(), meta.ino);
            let is_wanted = inodes.contains_key(&inode) && !found.contains_key(&inode);
            if is_wanted
                && !steps.contains_key(&path)
                && stack.find(&path)?.is_some_and(|seen| seen.meta.ino == meta.ino)
                && let Some(there) = same_in_base(layer, &root, base, &path, &meta)?
                && !inodes
                    .get(&inode)
                    .is_some_and(|names| is_of(steps, names, &there))
            {
                found.insert(inode, LinkTo::Base { path, meta: there });
            }
        }
    }
    Ok(found)
}

/// Whether one of `names` is that inode of the base already: what is to replace it cannot be a name of it.
fn is_of(steps: &BTreeMap<RelPath, Step>, names: &[RelPath], there: &Meta) -> bool {
    let before = names.iter().filter_map(|name| steps.get(name)?.before);
    let mut before = before.map(|before| (before.dev, before.ino));
    before.any(|before| before == (there.dev, there.ino))
}

/// All files in a layer with several names. What cannot be read has none that count.
fn linked_files(root: &Root) -> io::Result<Vec<(RelPath, Meta)>> {
    let mut found = Vec::new();
    let mut left = vec![RelPath::root()];
    while let Some(path) = left.pop() {
        let Ok(dir) = root.list_dir(&path) else { continue };
        for name in names(dir.as_fd())? {
            let inner = path.join(&name).map_err(io::Error::other)?;
            match Meta::at(&dir, Path::new(&name))? {
                Some(meta) if meta.is_dir() => left.push(inner),
                Some(meta) if meta.kind == NodeKind::File && meta.nlink > 1 => found.push((inner, meta)),
                _ => {}
            }
        }
    }
    Ok(found)
}

/// What the base has at `path`, if it is the file that the layer has there.
fn same_in_base(
    layer: &Layer,
    root: &Root,
    base: &Root,
    path: &RelPath,
    meta: &Meta,
) -> io::Result<Option<Meta>> {
    let alike = |there: &Meta| {
        let known = |meta: &Meta| (meta.kind, meta.size, meta.mtime, meta.mode, meta.uid, meta.gid);
        known(there) == known(meta)
    };
    let Some(there) = base.meta(path)?.filter(alike) else {
        return Ok(None);
    };
    let (Ok(ours), Ok(theirs)) = (root.file(path), base.file(path)) else {
        return Ok(None);
    };
    let now = xattr::read(ours.as_fd(), Reading::Layer(layer.format))?;
    let before = xattr::read(theirs.as_fd(), Reading::Exact)?;
    if now != xattr::seen(before, &now) {
        return Ok(None);
    }
    Ok(is_equal(ours, theirs)?.then_some(there))
}

fn is_equal(mut a: File, mut b: File) -> io::Result<bool> {
    let (mut of_a, mut of_b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let read = a.read(&mut of_a)?;
        let (Some(of_a), Some(of_b)) = (of_a.get(..read), of_b.get_mut(..read)) else {
            return Ok(false);
        };
        if read == 0 {
            return Ok(b.read(&mut [0])? == 0);
        }
        match b.read_exact(of_b) {
            Ok(()) if of_a == of_b => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

fn source<'a>(steps: &'a BTreeMap<RelPath, Step>, path: Option<&RelPath>) -> Option<&'a Source> {
    match steps.get(path?).map(|step| &step.after) {
        Some(After::File { source, .. }) => Some(source),
        _ => None,
    }
}
