//! What the suite for all backends does not see: memory, capacity, waiting, and many at once.

mod capacity;
mod many;
mod memory;
mod waiting;

use std::ffi::OsStr;

use proptest::prelude::*;
use sandbox_types::SizeExt;

use super::MemFs;
use crate::conformance::{self, Backend, Model};
use crate::fs::{
    Capabilities, Context, DynFileSystem, Entry, FsResult, Ino, OpenFlags, ROOT_INO, WriteRequest,
};

fn new(mib: u32) -> MemFs {
    MemFs::builder().capacity(mib.mib()).build().unwrap()
}

fn ctx() -> Context<'static> {
    Context::new(0, 0)
}

fn file(fs: &MemFs, parent: Ino, name: &str) -> FsResult<Entry> {
    fs.mknod(&ctx(), parent, OsStr::new(name), libc::S_IFREG | 0o644, 0, 0)
}

fn directory(fs: &MemFs, parent: Ino, name: &str) -> FsResult<Entry> {
    fs.mkdir(&ctx(), parent, OsStr::new(name), 0o755, 0)
}

fn write(fs: &MemFs, ino: Ino, offset: u64, bytes: &[u8]) -> FsResult<usize> {
    let request = WriteRequest {
        offset,
        size: u32::try_from(bytes.len()).unwrap(),
        flags: OpenFlags::RDWR,
        delayed: false,
        kill_privileges: false,
    };
    let mut data = bytes;
    fs.write(&ctx(), ino, None, &request, &mut data)
}

#[test]
fn it_answers_every_case_as_the_host_does() {
    let host = tempfile::tempdir().unwrap();
    let fs = new(256);
    let report = conformance::run(&fs, host.path(), &[]).unwrap();
    assert!(
        report.differences.is_empty() && report.unseen.is_empty(),
        "{report}"
    );
}

#[test]
fn listings_stand_changes() {
    assert_eq!(conformance::check_listing(&new(64)), Ok(Vec::new()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// And whatever was done, removing all of it gives everything back.
    #[test]
    fn random_operations_give_what_the_model_gives_and_leave_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..800)
    ) {
        let steps = conformance::random_steps(&bytes);
        let fs = new(64);
        let before = fs.statfs(&ctx(), ROOT_INO).unwrap();
        let agreed = fs.init(Capabilities::all()).unwrap();
        let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let mut backend = Backend::new(&fs, agreed, OsStr::new("case"), 0o022).unwrap();
        let differences = conformance::compare("random", &steps, &mut Model::new(0o022, ids), &mut backend);
        prop_assert!(differences.is_empty(), "{:#?}\n{}", steps, differences[0]);
        drop(backend);
        remove_all(&fs, ROOT_INO);
        prop_assert_eq!(fs.statfs(&ctx(), ROOT_INO).unwrap(), before);
    }
}

/// Removes everything in a directory.
fn remove_all(fs: &MemFs, ino: Ino) {
    let mut names = Vec::new();
    fs.readdir(&ctx(), ino, None, 0, &mut |entry| {
        names.push((entry.name.to_owned(), entry.kind));
        Ok(crate::fs::Fit::Taken)
    })
    .unwrap();
    for (name, kind) in names.into_iter().filter(|(name, _)| name != "." && name != "..") {
        if kind == libc::DT_DIR {
            let child = fs.lookup(&ctx(), ino, &name).unwrap().ino;
            remove_all(fs, child);
            fs.forget(child, 1);
            fs.rmdir(&ctx(), ino, &name).unwrap();
        } else {
            fs.unlink(&ctx(), ino, &name).unwrap();
        }
    }
}
