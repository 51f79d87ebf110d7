//! What is left of it afterwards: nothing.

use std::os::unix::fs::MetadataExt;

use sandbox::fs::Context;
use sandbox::tree::Tree;
use sandbox::{Command, RunError, Sandbox, StartError};

use super::{memory, needs_fuse_inside, policy, sh, stdout};
use crate::harness::{eventually, in_own_process, name_of_test};

/// Descriptors of this process that lead to a FUSE device.
fn devices() -> usize {
    let fuse = rustix::fs::makedev(10, 229);
    let open = std::fs::read_dir("/proc/self/fd").expect("/proc").flatten();
    open.filter(|entry| std::fs::metadata(entry.path()).is_ok_and(|device| device.rdev() == fuse))
        .count()
}

#[test]
fn a_filesystem_is_served_again_when_its_sandbox_has_ended() {
    needs_fuse_inside!();
    in_own_process(name_of_test!(), || {
        let (builder, fs) = memory();
        for round in 0..3 {
            let script = format!("echo {round} >> /data/rounds");
            assert_eq!(stdout(&sh(&policy(), builder.clone(), &script).unwrap()), "");
        }
        let tree = Tree::new(&*fs, Context::new(0, 0));
        assert_eq!(tree.read("rounds").unwrap(), b"0\n1\n2\n");
        assert_eq!(devices(), 0);
    });
}

#[test]
fn a_filesystem_is_served_to_one_sandbox_at_a_time() {
    needs_fuse_inside!();
    in_own_process(name_of_test!(), || {
        let (builder, _fs) = memory();
        let mut first = Sandbox::builder(&policy())
            .serve("data", builder.clone())
            .build()
            .unwrap();
        let running = first.spawn(Command::new("sleep").arg("1000")).unwrap();
        let second = sh(&policy(), builder.clone(), "true");
        let is_busy = |error: &RunError| match error {
            RunError::Start(StartError::Serve { source, .. }) => {
                source.kind() == std::io::ErrorKind::ResourceBusy
            }
            _ => false,
        };
        assert!(second.as_ref().is_err_and(is_busy), "{second:?}");
        assert_eq!(devices(), 1);
        first.kill().unwrap();
        drop(running);
        assert_eq!(devices(), 0);
        assert_eq!(stdout(&sh(&policy(), builder, "echo again").unwrap()), "again\n");
    });
}

#[test]
fn a_sandbox_that_is_dropped_takes_the_mount_along() {
    needs_fuse_inside!();
    in_own_process(name_of_test!(), || {
        let (builder, fs) = memory();
        let mut sandbox = Sandbox::builder(&policy())
            .serve("data", builder)
            .build()
            .unwrap();
        let script = "while echo line >> /data/log; do :; done";
        let process = sandbox
            .spawn(Command::new("/bin/sh").args(["-c", script]))
            .unwrap();
        let tree = Tree::new(&*fs, Context::new(0, 0));
        eventually("it writes", || tree.read("log").is_ok_and(|log| !log.is_empty()));
        drop(sandbox);
        drop(process);
        assert_eq!(devices(), 0);
        let length = tree.read("log").unwrap().len();
        assert_eq!(tree.read("log").unwrap().len(), length);
    });
}
