//! Access control lists take room, too: also those that a directory hands down.

use sandbox_types::{ByteSize, StatVirtualization};

use super::super::PassthroughFs;
use super::quota::{ONE, counted, usage};
use super::{OFFERED, World};
use crate::backend::quota::Quota;
use crate::fs::{DynFileSystem, OpenFlags};

const MIB: u64 = 1 << 20;

#[test]
fn lists_that_a_directory_hands_down_are_charged() {
    let place = tempfile::tempdir_in(super::scratch()).unwrap();
    std::fs::create_dir(place.path().join("root")).unwrap();
    let quota = Quota::bytes(ByteSize::from_bytes(MIB)).state_dir(place.path().join("state"));
    let fs = PassthroughFs::builder()
        .root_dir(place.path().join("root"))
        .stat_virtualization(StatVirtualization::Off)
        .quota(quota)
        .build()
        .unwrap();
    fs.init(OFFERED).unwrap();
    let world = World {
        fs,
        place: std::sync::Arc::new(place),
    };
    let uid = rustix::process::geteuid().as_raw();
    let me = super::ctx(uid, rustix::process::getegid().as_raw());
    let dir = world.fs.mkdir(&me, 1, "d".as_ref(), 0o755, 0).unwrap().ino;
    let named = (0..50_u32).map(|number| (0x02, 7, number + 10));
    let list = acl([(0x01, 7, NOBODY)].into_iter().chain(named).chain([
        (0x04, 7, NOBODY),
        (0x10, 7, NOBODY),
        (0x20, 5, NOBODY),
    ]));
    let host = world.host("d");
    let path = std::ffi::CString::new(host.to_str().unwrap()).unwrap();
    // As somebody on the host does it; a server that passes lists on does the same.
    let set = rustix::fs::setxattr(
        path.as_c_str(),
        "system.posix_acl_default",
        &list,
        rustix::fs::XattrFlags::empty(),
    );
    if set.is_err() {
        return;
    }
    let before = counted(&world);
    let (mode, flags) = (libc::S_IFREG | 0o644, OpenFlags::RDWR | OpenFlags::EXCL);
    let mut made = 0_u64;
    while world
        .fs
        .create(&me, dir, format!("{made:04}").as_ref(), mode, flags, 0)
        .is_ok()
    {
        made += 1;
        assert!(made < 1000);
    }
    // What has no room in the inode is in a block of the host's.
    let block = std::os::unix::fs::MetadataExt::blocks(&world.host("d/0000").metadata().unwrap()) * 512;
    let each = ONE + 3 + "system.posix_acl_access".len() as u64 + list.len() as u64 + block;
    let live = usage(&world);
    let found = counted(&world);
    assert_eq!(found.bytes - before.bytes, made * each);
    // What was set behind its back is all that it does not know of.
    assert_eq!(live.bytes, found.bytes - (before.bytes - ONE));
    world.fs.mkdir(&me, dir, "e".as_ref(), 0o755, 0).unwrap_err();
}

/// As getxattr(2) gives it: `linux/posix_acl_xattr.h`.
fn acl(entries: impl IntoIterator<Item = (u16, u16, u32)>) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

const NOBODY: u32 = u32::MAX;
