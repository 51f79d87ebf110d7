//! When a change on the host is seen: the table of docs/filesystems.md.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sandbox_filesystem::backend::PassthroughFs;
use sandbox_filesystem::backend::passthrough::{HostWatch, PassthroughBuilder};
use sandbox_filesystem::serve::fuse::Session;
use sandbox_types::{CachePolicy, StatVirtualization};

use super::usable;
use crate::harness::comes_true;

/// A directory of the host, and its mount.
struct Served {
    host: tempfile::TempDir,
    mount: tempfile::TempDir,
    _session: Session,
    _watch: Option<HostWatch>,
}

/// Longer than any test takes.
const LONG: Duration = Duration::from_hours(1);

fn served(policy: CachePolicy) -> Result<Served, String> {
    served_as(|builder| builder.cache_policy(policy), Watched::No)
}

#[derive(Clone, Copy, PartialEq)]
enum Watched {
    No,
    Yes,
}

fn served_as(
    change: impl FnOnce(PassthroughBuilder) -> PassthroughBuilder,
    watched: Watched,
) -> Result<Served, String> {
    let (host, mount) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["edited", "replaced", "held", "deleted"] {
        fs::write(host.path().join(name), "before").unwrap();
    }
    let builder = PassthroughFs::builder()
        .root_dir(host.path())
        .stat_virtualization(StatVirtualization::Off);
    let fs = Arc::new(change(builder).build().unwrap());
    let watch = (watched == Watched::Yes).then(|| fs.watch().unwrap());
    let session = usable(Session::builder(fs).mount(mount.path()))?;
    Ok(Served {
        host,
        mount,
        _session: session,
        _watch: watch,
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
fn until_the_timeout_is_over_names_and_sizes_are_believed() {
    let builder = |builder: PassthroughBuilder| builder.entry_timeout(LONG).attr_timeout(LONG);
    let served = match served_as(builder, Watched::No) {
        Ok(served) => served,
        Err(reason) => skip!("{reason}"),
    };
    let mut held = changed(&served);
    assert_eq!(seen(served.mount.path(), &mut held), [true, false, false, false]);
}

#[test]
fn with_watching_every_change_of_the_host_is_seen_however_long_the_timeout_is() {
    let builder = |builder: PassthroughBuilder| builder.entry_timeout(LONG).attr_timeout(LONG);
    let served = match served_as(builder, Watched::Yes) {
        Ok(served) => served,
        Err(reason) => skip!("{reason}"),
    };
    let mut held = changed(&served);
    assert!(comes_true(|| seen(served.mount.path(), &mut held) == [true; 4]));
}

#[test]
fn with_watching_everything_can_be_cached_and_every_change_of_the_host_is_seen() {
    let builder = |builder: PassthroughBuilder| builder.cache_policy(CachePolicy::Always);
    let served = match served_as(builder, Watched::Yes) {
        Ok(served) => served,
        Err(reason) => skip!("{reason}"),
    };
    let mut held = changed(&served);
    assert!(comes_true(|| seen(served.mount.path(), &mut held) == [true; 4]));
    // A name that was not there, of which the kernel has been told so; and what is beneath a directory.
    let (host, mount) = (served.host.path(), served.mount.path());
    assert!(!mount.join("appears").exists());
    fs::write(host.join("appears"), "now").unwrap();
    assert!(comes_true(|| mount.join("appears").exists()));
    fs::create_dir_all(host.join("deep/er")).unwrap();
    fs::write(host.join("deep/er/file"), "one").unwrap();
    assert!(comes_true(
        || fs::read_to_string(mount.join("deep/er/file")).is_ok_and(|text| text == "one")
    ));
    fs::write(host.join("deep/er/file"), "one and two").unwrap();
    let deep = || fs::read_to_string(mount.join("deep/er/file")).unwrap();
    assert!(comes_true(|| deep() == "one and two"));
    let listed = |path: &Path| fs::read_dir(path).unwrap().count();
    assert_eq!(listed(&mount.join("deep")), 1);
    fs::rename(host.join("deep/er/file"), host.join("deep/file")).unwrap();
    assert!(comes_true(
        || listed(&mount.join("deep")) == 2 && listed(&mount.join("deep/er")) == 0
    ));
}

#[test]
fn a_directory_is_watched_as_long_as_somebody_knows_it() {
    let builder = |builder: PassthroughBuilder| builder.cache_policy(CachePolicy::Always);
    let served = match served_as(builder, Watched::Yes) {
        Ok(served) => served,
        Err(reason) => skip!("{reason}"),
    };
    let (host, mount) = (served.host.path(), served.mount.path());
    for round in 0..3 {
        fs::create_dir(host.join("dir")).unwrap();
        let file = format!("file{round}");
        fs::write(host.join("dir").join(&file), "x").unwrap();
        assert!(comes_true(|| mount.join("dir").join(&file).exists()));
        fs::remove_dir_all(host.join("dir")).unwrap();
        assert!(comes_true(|| !mount.join("dir").exists()));
    }
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
