//! Operations that are begun on one filesystem and go on above it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::Arc;

use sandbox_types::SizeExt;

use super::super::{Backend, Difference, Model, NodeKind, Op, compare, random_steps};
use crate::backend::dual::Durability;
use crate::backend::{DualFs, MemFs};
use crate::fs::{Capabilities, Context, DynFileSystem, Errno, FsResult, ROOT_INO};

const UMASK: u32 = 0o022;
/// What all of it is in.
const CASE: &str = "case";

/// Carries the operations that `bytes` stand for out on the model and on two filesystems in memory: some on the one that a
/// [`DualFs`] of both only reads, the rest on the [`DualFs`]; the first difference.
///
/// Nobody makes whiteouts there, and where one ends and the next begins nothing is open. An odd first byte builds the
/// [`DualFs`] anew before the last third; then nothing but files and directories is made, since hard links of others are kept
/// together for as long as it is built only.
pub fn check_dual_operations(bytes: &[u8]) -> Result<(), Box<Difference>> {
    let Some((first, bytes)) = bytes.split_first() else {
        return Ok(());
    };
    let is_built_anew = first & 1 == 1;
    let (Some(a), Some(b)) = (memory(), memory()) else {
        return Ok(());
    };
    let ids = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let mut model = Model::new(UMASK, ids);
    let third = bytes.len() / 3;
    let (beneath, rest) = bytes.split_at(third);
    let (above, anew) = rest.split_at(if is_built_anew { third } else { rest.len() });
    let steps = |bytes| steps_of(bytes, is_built_anew);
    begin(&*b, &closed(steps(beneath)), &mut model)?;
    let above = steps(above);
    let above = if is_built_anew { closed(above) } else { above };
    go_on(&a, &b, "above", &above, &mut model)?;
    go_on(&a, &b, "built anew", &steps(anew), &mut model)
}

fn memory() -> Option<Arc<dyn DynFileSystem>> {
    Some(Arc::new(MemFs::builder().capacity(64.mib()).build().ok()?))
}

fn begin(fs: &dyn DynFileSystem, steps: &[Op], model: &mut Model) -> Result<(), Box<Difference>> {
    let agreed = fs.init(Capabilities::all()).unwrap_or_default();
    match Backend::new(fs, agreed, OsStr::new(CASE), UMASK) {
        Ok(mut backend) => first(compare("beneath", steps, model, &mut backend)),
        Err(_) => Ok(()),
    }
}

fn go_on(
    a: &Arc<dyn DynFileSystem>,
    b: &Arc<dyn DynFileSystem>,
    title: &str,
    steps: &[Op],
    model: &mut Model,
) -> Result<(), Box<Difference>> {
    let builder = DualFs::builder()
        .backend_a(Arc::clone(a))
        .backend_b(Arc::clone(b));
    let Ok(fs) = builder.durability(Durability::Volatile).build() else {
        return Ok(());
    };
    let agreed = fs.init(Capabilities::all()).unwrap_or_default();
    let Ok(root) = root(&fs) else { return Ok(()) };
    let mut backend = Backend::beneath(&fs, agreed, root, UMASK);
    let mut differences = compare(title, steps, model, &mut backend);
    differences.retain(|difference| !is_count_of_merged(difference));
    first(differences)
}

fn root(fs: &DualFs) -> FsResult<u64> {
    let ctx = Context::new(
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    match fs.lookup(&ctx, ROOT_INO, OsStr::new(CASE))?.ino {
        0 => Err(Errno::ENOENT),
        ino => Ok(ino),
    }
}

fn first(differences: Vec<Difference>) -> Result<(), Box<Difference>> {
    let first = differences.into_iter().next();
    first.map_or(Ok(()), |difference| Err(Box::new(difference)))
}

/// Those that anybody may carry out.
fn steps_of(bytes: &[u8], files_alone: bool) -> Vec<Op> {
    let mut steps = random_steps(bytes);
    steps.retain(|step| match step {
        Op::Mknod(_, NodeKind::Whiteout, _) => false,
        Op::Mknod(_, kind, _) => !files_alone || *kind == NodeKind::File,
        Op::Symlink(..) => !files_alone,
        Op::Rename(_, _, flags) => !flags.whiteout,
        _ => true,
    });
    steps
}

/// The same, with nothing left open or remembered at the end.
fn closed(mut steps: Vec<Op>) -> Vec<Op> {
    steps.retain(|step| !matches!(step, Op::Mark(_) | Op::Changed(_)));
    let opened = steps.iter().filter_map(|step| match step {
        Op::Open(name, ..) | Op::Tmpfile(name, ..) => Some(*name),
        _ => None,
    });
    let opened: BTreeSet<_> = opened.collect();
    steps.extend(opened.into_iter().map(Op::Close));
    steps
}

/// Nobody counts the directories in a merged directory.
fn is_count_of_merged(difference: &Difference) -> bool {
    let (Ok(expected), Ok(found)) = (&difference.expected, &difference.found) else {
        return false;
    };
    let without = |text: &str| {
        let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let at = words.iter().position(|word| word == "nlink")?;
        words.drain(at..words.len().min(at + 2));
        Some(words)
    };
    expected.starts_with("directory") && found.contains("nlink 1 ") && without(expected) == without(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_operations_on_two_filesystems_as_on_one(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let checked = check_dual_operations(&bytes);
            prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
        }
    }
}
