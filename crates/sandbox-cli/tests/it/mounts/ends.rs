//! How a mount ends: whoever is killed, nothing stale is left, and what was written is there.

use std::fs;
use std::io::Write;

use rustix::process::Signal;

use super::{eventually, is_alive, read, signal, site};

#[test]
fn a_server_that_is_killed_leaves_the_data_and_no_mount() {
    let site = site!();
    let mounted = site.start(&[]);
    let mut open = fs::File::create(site.point.join("log")).unwrap();
    open.write_all(b"written\n").unwrap();
    signal(mounted.server(), Signal::KILL);
    let (status, said) = mounted.end();
    assert!(!status.success());
    assert!(said.contains("the server was killed"), "{said}");
    assert!(!site.is_mounted());
    assert_eq!(read(&site.dir.join("log")), "written\n");
    assert_eq!(read(&site.dir.join("file")), "before\n");
    assert!(open.write_all(b"more").is_err(), "nobody answers any more");
    assert!(site.point.read_dir().unwrap().next().is_none());
}

#[test]
fn a_mounter_that_is_killed_is_unmounted_by_its_guard_and_the_server_ends() {
    let site = site!();
    let mounted = site.start(&[]);
    fs::write(site.point.join("new"), "new\n").unwrap();
    let server = mounted.server();
    signal(mounted.child.id(), Signal::KILL);
    let (_, _) = mounted.end();
    eventually("it is unmounted", || !site.is_mounted());
    eventually("the server ends", || !is_alive(server));
    assert_eq!(read(&site.dir.join("new")), "new\n");
}

#[test]
fn both_may_be_killed_at_once() {
    let site = site!();
    let mounted = site.start(&[]);
    let server = mounted.server();
    signal(server, Signal::KILL);
    signal(mounted.child.id(), Signal::KILL);
    let (_, _) = mounted.end();
    eventually("it is unmounted", || !site.is_mounted());
    eventually("the server ends", || !is_alive(server));
    assert_eq!(read(&site.dir.join("file")), "before\n");
}

#[test]
fn a_mount_in_use_is_taken_away_all_the_same() {
    let site = site!();
    let mounted = site.start(&["--writeback", "--stat", "off", "--cache", "always"]);
    let mut open = fs::File::create(site.point.join("log")).unwrap();
    open.write_all(b"not synced\n").unwrap();
    signal(mounted.child.id(), Signal::INT);
    let (status, said) = mounted.end();
    assert!(status.success(), "{said}");
    assert!(said.contains("it was in use"), "{said}");
    assert!(!site.is_mounted());
    assert_eq!(read(&site.dir.join("log")), "not synced\n");
    assert!(open.sync_all().is_err());
}

#[test]
fn unmounting_it_is_a_clean_end() {
    let site = site!();
    let mounted = site.start(&[]);
    site.unmount();
    let (status, said) = mounted.end();
    assert!(status.success(), "{said}");
}

#[test]
fn a_mount_can_be_made_again_where_a_killed_one_was() {
    let site = site!();
    for _ in 0..3 {
        let mounted = site.start(&[]);
        signal(mounted.server(), Signal::KILL);
        let _ = mounted.end();
    }
    let mounted = site.start(&[]);
    assert_eq!(read(&site.point.join("file")), "before\n");
    drop(mounted);
    eventually("it is unmounted", || !site.is_mounted());
}
