//! What the kernel keeps before it writes it back.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use rustix::fs::SeekFrom;
use sandbox_filesystem::backend::{MemFs, PassthroughFs};
use sandbox_filesystem::fs::DynFileSystem;
use sandbox_filesystem::serve::fuse::Session;
use sandbox_types::{CachePolicy, SizeExt, StatVirtualization};

use super::usable;

// Whoever copies by SEEK_DATA would else take it for one hole.
#[test]
fn data_that_is_not_written_back_yet_is_no_hole() {
    let host = tempfile::tempdir().unwrap();
    let passthrough = PassthroughFs::builder()
        .root_dir(host.path())
        .stat_virtualization(StatVirtualization::Off)
        .cache_policy(CachePolicy::Always)
        .writeback(true);
    let memory = MemFs::builder().capacity(64.mib()).writeback(true);
    let backends: [Arc<dyn DynFileSystem>; 2] = [
        Arc::new(passthrough.build().unwrap()),
        Arc::new(memory.build().unwrap()),
    ];
    for fs in backends {
        let mount = tempfile::tempdir().unwrap();
        let _session = match usable(Session::builder(fs).mount(mount.path())) {
            Ok(session) => session,
            Err(why) => skip!("{why}"),
        };
        let path = mount.path().join("file");
        // In memory, the root belongs to root.
        let Ok(mut file) = fs::File::create(&path) else {
            continue;
        };
        file.write_all(&[b'x'; 10_000]).unwrap();
        assert_eq!(rustix::fs::seek(&file, SeekFrom::Data(100)), Ok(100));
        assert_eq!(rustix::fs::seek(&file, SeekFrom::Hole(100)), Ok(10_000));
        assert_eq!(fs::copy(&path, mount.path().join("copy")).unwrap(), 10_000);
        assert_eq!(fs::read(mount.path().join("copy")).unwrap(), [b'x'; 10_000]);
    }
}
