//! When a change on the host is seen: the table of docs/filesystems.md.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use sandbox_filesystem::backend::PassthroughFs;
use sandbox_filesystem::serve::fuse::Session;
use sandbox_types::{CachePolicy, StatVirtualization};

use super::usable;
use crate::harness::comes_true;

/// A directory of the host, and its mount.
struct Served {
    host: tempfile::TempDir,
    mount: tempfile::TempDir,
    _session: Session,
}

fn served(policy: CachePolicy) -> Result<Served, String> {
    let (host, mount) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["edited", "replaced", "held", "deleted"] {
        fs::write(host.path().join(name), "before").unwrap();
    }
    let fs = PassthroughFs::builder()
        .root_dir(host.path())
        .stat_virtualization(StatVirtualization::Off)
        .cache_policy(policy)
        .build()
        .unwrap();
    let session = usable(Session::builder(Arc::new(fs)).mount(mount.path()))?;
    Ok(Served {
        host,
        mount,
        _session: session,
    })
}

/// What is seen of each change: an edit, a rename over, an append on a held descriptor, a deletion.
fn seen(mount: &Path, held: &mut fs::File) -> [bool; 4] {
    let now = |name: &str| fs::read_to_string(mount.join(name)).unwrap_or_default();
    let mut rest = String::new();
    held.read_to_string(&mut rest).unwrap();
    [
        now("edited") == "after the edit",
        now("replaced") == "after the rename",
        rest == " and more" || fs::metadata(mount.join("held")).unwrap().len() == 15,
        fs::metadata(mount.join("deleted")).is_err(),
    ]
}

/// Lets the kernel remember everything, then changes it on the host.
fn changed(served: &Served) -> fs::File {
    let (host, mount) = (served.host.path(), served.mount.path());
    for name in ["edited", "replaced", "held", "deleted"] {
        assert_eq!(fs::read_to_string(mount.join(name)).unwrap(), "before");
    }
    let mut held = fs::File::open(mount.join("held")).unwrap();
    held.read_to_end(&mut Vec::new()).unwrap();

    fs::write(host.join("edited"), "after the edit").unwrap();
    fs::write(host.join("new"), "after the rename").unwrap();
    fs::rename(host.join("new"), host.join("replaced")).unwrap();
    let mut appends = fs::File::options().append(true).open(host.join("held")).unwrap();
    appends.write_all(b" and more").unwrap();
    fs::remove_file(host.join("deleted")).unwrap();
    held
}

#[test]
fn without_a_cache_every_change_of_the_host_is_seen_at_once() {
    let served = match served(CachePolicy::Never) {
        Ok(served) => served,
        Err(reason) => skip!("{reason}"),
    };
    let mut held = changed(&served);
    assert_eq!(seen(served.mount.path(), &mut held), [true; 4]);
}

#[test]
fn with_the_default_cache_every_change_of_the_host_is_seen_soon() {
    let served = match served(CachePolicy::Auto) {
        Ok(served) => served,
        Err(reason) => skip!("{reason}"),
    };
    let mut held = changed(&served);
    assert!(comes_true(|| seen(served.mount.path(), &mut held) == [true; 4]));
}

#[test]
fn with_everything_cached_no_change_of_the_host_is_seen_but_an_edit_by_who_opens_the_file() {
    let served = match served(CachePolicy::Always) {
        Ok(served) => served,
        Err(reason) => skip!("{reason}"),
    };
    let mut held = changed(&served);
    assert_eq!(seen(served.mount.path(), &mut held), [true, false, false, false]);
}
