//! Waiting for locks.

use std::thread;
use std::time::Duration;

use super::*;
use crate::fs::{Errno, FlockOperation, Interrupt, Lock, LockKind, LockOwner};

const ONE: LockOwner = LockOwner(1);
const TWO: LockOwner = LockOwner(2);

fn lock(start: u64, kind: LockKind) -> Lock {
    Lock {
        start,
        end: start,
        kind,
        pid: 7,
    }
}

/// Long enough for a thread to begin to wait; where it is not, the test still holds.
fn moment() {
    thread::sleep(Duration::from_millis(20));
}

#[test]
fn who_waits_gets_the_lock_when_it_is_given_up() {
    let fs = new(1);
    let ino = file(&fs, ROOT_INO, "f").unwrap().ino;
    fs.setlk(&ctx(), ino, None, ONE, lock(0, LockKind::Exclusive))
        .unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| fs.setlkw(&ctx(), ino, None, TWO, lock(0, LockKind::Shared)));
        moment();
        fs.flush(&ctx(), ino, None, ONE).unwrap();
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
    let held = fs
        .getlk(&ctx(), ino, None, ONE, lock(0, LockKind::Exclusive))
        .unwrap();
    assert_eq!(held.kind, LockKind::Shared);
}

#[test]
fn an_interrupt_ends_waiting_whenever_it_comes() {
    let fs = new(1);
    let ino = file(&fs, ROOT_INO, "f").unwrap().ino;
    fs.setlk(&ctx(), ino, None, ONE, lock(0, LockKind::Exclusive))
        .unwrap();
    let exclusive = FlockOperation {
        kind: LockKind::Exclusive,
        wait: true,
    };
    fs.flock(&ctx(), ino, None, ONE, exclusive).unwrap();
    for early in [true, false] {
        let interrupt = Interrupt::new();
        let ctx = Context {
            interrupt: &interrupt,
            ..ctx()
        };
        if early {
            interrupt.raise();
        }
        thread::scope(|scope| {
            let record = scope.spawn(|| fs.setlkw(&ctx, ino, None, TWO, lock(0, LockKind::Shared)));
            if !early {
                moment();
                interrupt.raise();
            }
            assert_eq!(record.join().unwrap(), Err(Errno::EINTR));
            let whole = scope.spawn(|| fs.flock(&ctx, ino, None, TWO, exclusive));
            assert_eq!(whole.join().unwrap(), Err(Errno::EINTR));
        });
    }
    fs.setlk(&ctx(), ino, None, ONE, lock(0, LockKind::Unlocked))
        .unwrap();
    fs.setlk(&ctx(), ino, None, TWO, lock(0, LockKind::Exclusive))
        .unwrap();
}

#[test]
fn who_would_wait_for_themselves_is_told() {
    let fs = new(1);
    let ino = file(&fs, ROOT_INO, "f").unwrap().ino;
    fs.setlk(&ctx(), ino, None, ONE, lock(0, LockKind::Exclusive))
        .unwrap();
    fs.setlk(&ctx(), ino, None, TWO, lock(1, LockKind::Exclusive))
        .unwrap();
    thread::scope(|scope| {
        let one = scope.spawn(|| fs.setlkw(&ctx(), ino, None, ONE, lock(1, LockKind::Exclusive)));
        moment();
        let two = scope.spawn(|| fs.setlkw(&ctx(), ino, None, TWO, lock(0, LockKind::Exclusive)));
        // Whichever came second is told; it gives up, and the other one gets its lock.
        moment();
        let told = if two.is_finished() { TWO } else { ONE };
        fs.flush(&ctx(), ino, None, told).unwrap();
        let results = [one.join().unwrap(), two.join().unwrap()];
        assert!(results.contains(&Err(Errno::EDEADLK)), "{results:?}");
        assert!(results.contains(&Ok(())), "{results:?}");
    });
}

#[test]
fn locks_have_a_limit_and_giving_up_never_fails() {
    let fs = new(1);
    let mut files = Vec::new();
    let error = 'full: loop {
        let ino = file(&fs, ROOT_INO, &format!("f{}", files.len())).unwrap().ino;
        files.push(ino);
        for start in 0..1024 {
            if let Err(error) = fs.setlk(&ctx(), ino, None, ONE, lock(start * 2, LockKind::Shared)) {
                break 'full error;
            }
        }
    };
    assert_eq!(error, Errno::ENOLCK);
    assert!(files.len() > 60);
    for ino in &files {
        fs.flush(&ctx(), *ino, None, ONE).unwrap();
    }
    fs.setlk(&ctx(), files[0], None, ONE, lock(0, LockKind::Shared))
        .unwrap();
}
