//! A filesystem that does not answer: it keeps nothing from ending.

use std::ffi::OsStr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use sandbox::fs::{
    Attr, Context, DataWriter, DynFileSystem, Entry, Errno, FsResult, Handle, Ino, OpenFlags, OpenReplyFlags,
    Opened, ROOT_INO, ReadRequest,
};
use sandbox::{Command, Outcome, Sandbox, Span};

use super::{builder, needs_fuse_inside, policy, sh};
use crate::harness::eventually;

const FILE: Ino = 2;

/// One file, of which every read waits until the test is over, whatever signals come.
#[derive(Default)]
struct Stuck {
    over: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Stuck {
    fn waiting(&self) -> usize {
        self.over.lock().unwrap().1
    }

    fn let_go(&self) {
        self.over.lock().unwrap().0 = true;
        self.changed.notify_all();
    }
}

/// Lets go of everybody at the end of a test, or its threads would stay.
struct LetGo(Arc<Stuck>);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

fn attr(ino: Ino) -> Attr {
    Attr {
        ino,
        mode: if ino == ROOT_INO { 0o40_555 } else { 0o100_444 },
        nlink: 1,
        ..Attr::default()
    }
}

impl DynFileSystem for Stuck {
    fn lookup(&self, _: &Context<'_>, _: Ino, name: &OsStr) -> FsResult<Entry> {
        if name != "file" {
            return Err(Errno::ENOENT);
        }
        Ok(Entry {
            ino: FILE,
            generation: 0,
            attr: attr(FILE),
            attr_timeout: Duration::ZERO,
            entry_timeout: Duration::ZERO,
        })
    }

    fn getattr(&self, _: &Context<'_>, ino: Ino, _: Option<Handle>) -> FsResult<(Attr, Duration)> {
        Ok((attr(ino), Duration::ZERO))
    }

    fn open(&self, _: &Context<'_>, _: Ino, _: OpenFlags) -> FsResult<Opened> {
        Ok(Opened {
            handle: None,
            flags: OpenReplyFlags::DIRECT_IO,
        })
    }

    fn read(
        &self,
        _: &Context<'_>,
        _: Ino,
        _: Option<Handle>,
        _: &ReadRequest,
        _: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        let mut over = self.over.lock().unwrap();
        over.1 += 1;
        while !over.0 {
            over = self.changed.wait(over).unwrap();
        }
        Ok(0)
    }
}

#[test]
fn a_sandbox_whose_command_waits_for_an_answer_is_killed_all_the_same() {
    needs_fuse_inside!();
    let fs = Arc::new(Stuck::default());
    let _let_go = LetGo(fs.clone());
    let mut sandbox = Sandbox::builder(&policy())
        .serve("data", builder(fs.clone()))
        .build()
        .unwrap();
    let process = sandbox.spawn(Command::new("cat").arg("/data/file")).unwrap();
    eventually("it reads", || fs.waiting() == 1);
    sandbox.kill().unwrap();
    assert_eq!(process.wait().unwrap().outcome, Outcome::Cancelled);
}

#[test]
fn a_limit_ends_a_command_that_waits_for_an_answer() {
    needs_fuse_inside!();
    let fs = Arc::new(Stuck::default());
    let _let_go = LetGo(fs.clone());
    let mut policy = policy();
    policy.limits.wall_time = Some(Span::from(Duration::from_millis(300)));
    let result = sh(&policy, builder(fs.clone()), "cat /data/file").unwrap();
    assert_eq!(result.outcome, Outcome::WallTime);
    assert_eq!(fs.waiting(), 1);
}

#[test]
fn a_process_that_is_left_waiting_does_not_keep_a_run_from_ending() {
    needs_fuse_inside!();
    let fs = Arc::new(Stuck::default());
    let _let_go = LetGo(fs.clone());
    let prepared = Sandbox::builder(&policy())
        .serve("data", builder(fs.clone()))
        .prepare()
        .unwrap();
    let script = "cat /data/file & read line; exit 7";
    let mut process = prepared
        .command("/bin/sh")
        .args(["-c", script])
        .stdin(sandbox::Stdio::Piped)
        .spawn()
        .unwrap();
    eventually("it reads", || fs.waiting() == 1);
    drop(process.stdin.take());
    assert_eq!(process.wait().unwrap().outcome, Outcome::Exited { code: 7 });
}
