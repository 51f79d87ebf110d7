//! What a server of a filesystem in memory has resident, in a process of its own.
#![expect(clippy::print_stdout, reason = "the other process says when it is ready")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use sandbox_filesystem::backend::MemFs;
use sandbox_filesystem::serve::fuse::Session;
use sandbox_types::SizeExt;

use crate::harness::{comes_true, other_process, part, wait_for};

const CAPACITY: u64 = 64 << 20;

#[test]
fn a_served_filesystem_in_memory_takes_a_tenth_more_than_its_capacity_at_most_and_gives_it_back() {
    if let Some(place) = part() {
        serve(&place.join("mount"));
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mount = place.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let probe = tempfile::tempdir().unwrap();
    drop(super::mounted!(&super::tiny::Tiny::new(), probe.path()));

    let name = "served::memory::\
                a_served_filesystem_in_memory_takes_a_tenth_more_than_its_capacity_at_most_and_gives_it_back";
    let mut server = other_process(name, place.path()).spawn().unwrap();
    wait_for(&mut server, "mounted");
    // What large requests have taken of the server goes back when there are none for a while.
    let settles = |limit: u64| {
        let mut last = 0;
        let settled = comes_true(|| {
            last = resident(server.id());
            last <= limit
        });
        (settled, last)
    };
    for round in 0..2 {
        fill(&mount);
        let (settled, full) = settles(CAPACITY + CAPACITY / 10);
        assert!(settled, "round {round}: {full} bytes are resident");
        fs::remove_dir_all(mount.join("many")).unwrap();
        for large in 0..4 {
            fs::remove_file(mount.join(format!("large-{large}"))).unwrap();
        }
        let (settled, left) = settles(CAPACITY / 10);
        assert!(settled, "round {round}: {left} bytes stay");
    }
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}

fn serve(mount: &Path) {
    let fs = MemFs::builder().capacity(64.mib()).build().unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let own = sandbox_filesystem::fs::SetAttr {
        uid: Some(uid),
        ..Default::default()
    };
    let ctx = sandbox_filesystem::fs::Context::new(uid, uid);
    sandbox_filesystem::tree::Tree::new(&fs, ctx)
        .set_attr("", &own)
        .unwrap();
    let session = Session::builder(Arc::new(fs)).mount(mount).unwrap();
    println!("mounted");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    session.unmount().map_err(|(_, error)| error).unwrap();
}

/// Small files, and as much at once as there is room for.
fn fill(mount: &Path) {
    fs::create_dir(mount.join("many")).unwrap();
    for small in 0..2000 {
        fs::write(mount.join(format!("many/{small}")), b"x").unwrap();
    }
    std::thread::scope(|scope| {
        for large in 0..4 {
            let path = mount.join(format!("large-{large}"));
            scope.spawn(move || {
                let mut file = fs::File::create(path).unwrap();
                let bytes = vec![7; 1 << 20];
                while let Ok(written) = file.write(&bytes) {
                    assert!(written > 0);
                }
            });
        }
    });
}

/// Bytes of a process that are no file's.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap()
        << 10
}
