//! Random sequences: of operations, which are answered as the host does and charged to the last byte; and of requests as a
//! hostile client sends them.

use std::ffi::OsStr;
use std::fs;
use std::sync::Arc;

use proptest::prelude::*;

use super::quota::{counted, limited, usage};
use super::{World, off, root_ctx, strict};
use crate::backend::quota::Usage;
use crate::conformance::{
    Backend, Host, Op, check_requests_of, compare, process_umask, random_steps, request_bytes,
};
use crate::fs::{Capabilities, DynFileSystem, Fit, Ino, OpenFlags, ROOT_INO};

const MIB: u64 = 1 << 20;

fn case(fs: &dyn DynFileSystem) -> Backend<'_> {
    Backend::new(fs, Capabilities::all(), OsStr::new("case"), process_umask()).unwrap()
}

/// Removes everything in a directory.
fn remove_all(fs: &dyn DynFileSystem, ino: Ino) {
    let mut names = Vec::new();
    let opened = fs.opendir(&root_ctx(), ino, OpenFlags::empty()).unwrap().handle;
    fs.readdir(&root_ctx(), ino, opened, 0, &mut |entry| {
        names.push((entry.name.to_owned(), entry.kind));
        Ok(Fit::Taken)
    })
    .unwrap();
    fs.releasedir(&root_ctx(), ino, opened).unwrap();
    for (name, kind) in names.into_iter().filter(|(name, _)| name != "." && name != "..") {
        if kind == libc::DT_DIR {
            let child = fs.lookup(&root_ctx(), ino, &name).unwrap().ino;
            remove_all(fs, child);
            fs.rmdir(&root_ctx(), ino, &name).unwrap();
            fs.forget(child, 1);
        } else {
            fs.unlink(&root_ctx(), ino, &name).unwrap();
        }
    }
}

/// Something that is not served, beside the root, and links that lead there.
fn with_a_secret_beside(world: &World) -> impl Fn() -> (Vec<u8>, usize) + use<> {
    let (secret, beside) = (world.outside().join("secret"), world.outside().to_owned());
    fs::write(&secret, "secret").unwrap();
    std::os::unix::fs::symlink(&secret, world.host("a")).unwrap();
    std::os::unix::fs::symlink(&beside, world.host("b")).unwrap();
    move || (fs::read(&secret).unwrap(), fs::read_dir(&beside).unwrap().count())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_are_answered_as_the_host_does(bytes in proptest::collection::vec(any::<u8>(), 0..800)) {
        let mut steps = random_steps(&bytes);
        // flock(2) of directories is kept by the kernel, and who may open a whiteout is checked by it.
        steps.retain(|step| match step {
            Op::Rename(_, _, flags) => !flags.whiteout,
            step => !matches!(step, Op::Flock(..)),
        });
        for world in [strict(), off()] {
            let oracle = tempfile::tempdir_in(super::scratch()).unwrap();
            let mut backend = case(&world.fs);
            let differences = compare("random", &steps, &mut Host::new(oracle.path()), &mut backend);
            prop_assert!(differences.is_empty(), "{:#?}\n{}", steps, differences[0]);
        }
    }

    /// What is charged is what a count finds, and removing all of it gives everything back.
    #[test]
    fn random_operations_are_charged_for_what_is_there(bytes in proptest::collection::vec(any::<u8>(), 0..800)) {
        let steps = random_steps(&bytes);
        let world = limited(64 * MIB, None);
        let oracle = tempfile::tempdir_in(super::scratch()).unwrap();
        let mut backend = case(&world.fs);
        compare("random", &steps, &mut Host::new(oracle.path()), &mut backend);
        drop(backend);
        prop_assert_eq!(usage(&world), counted(&world), "{:#?}", steps);
        remove_all(&world.fs, ROOT_INO);
        prop_assert_eq!(world.fs.known_inodes(), 1);
        prop_assert_eq!(usage(&world), Usage::default(), "{:#?}", steps);
    }

    /// Every answer is one, nothing beside the root is read or changed, and what is charged is there.
    #[test]
    fn whatever_a_hostile_client_asks_stays_in_the_root_and_in_the_quota(bytes in request_bytes()) {
        for world in [limited(4 * MIB, Some(100)), strict(), off()] {
            let beside = with_a_secret_beside(&world);
            let before = beside();
            let World { fs, place } = world;
            let fs = Arc::new(fs);
            let served: Arc<dyn DynFileSystem> = Arc::<super::super::PassthroughFs>::clone(&fs);
            prop_assert_eq!(check_requests_of(served, &bytes), Ok(()));
            prop_assert_eq!(beside(), before);
            prop_assert_eq!(fs.known_inodes(), 1);
            let world = World { fs: Arc::into_inner(fs).unwrap(), place };
            if let Some(quota) = world.fs.quota() {
                prop_assert!(quota.usage().bytes <= 4 * MIB);
                prop_assert!(counted(&world).bytes <= 4 * MIB);
            }
        }
    }
}
