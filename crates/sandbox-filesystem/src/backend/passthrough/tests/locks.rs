//! Locks are the host's.

use std::os::fd::AsFd;
use std::time::Duration;

use super::{ctx, off, root_ctx, strict};
use crate::fs::{
    Context, DynFileSystem, Errno, FlockOperation, Interrupt, Lock, LockKind, LockOwner, OpenFlags,
};
use crate::sys::record_lock::{self, RecordLock};

fn lock(kind: LockKind, start: u64, end: u64) -> Lock {
    Lock {
        start,
        end,
        kind,
        pid: 7,
    }
}

const ALL: RecordLock = RecordLock {
    kind: libc::F_WRLCK,
    start: 0,
    len: 0,
};
const ONE: LockOwner = LockOwner(1);
const TWO: LockOwner = LockOwner(2);

#[test]
fn owners_exclude_each_other_and_the_host_and_closing_gives_up() {
    for world in [strict(), off()] {
        let file = world.file("f", b"0123456789");
        let handle = world.open(file, OpenFlags::RDWR).unwrap();
        let (fs, me) = (&world.fs, root_ctx());
        let host = std::fs::File::options()
            .read(true)
            .write(true)
            .open(world.host("f"))
            .unwrap();

        fs.setlk(&me, file, handle, ONE, lock(LockKind::Exclusive, 0, 4))
            .unwrap();
        fs.setlk(&me, file, handle, TWO, lock(LockKind::Exclusive, 5, u64::MAX))
            .unwrap();
        assert_eq!(
            fs.setlk(&me, file, handle, TWO, lock(LockKind::Shared, 4, 4)),
            Err(Errno::EAGAIN)
        );
        assert!(record_lock::set(host.as_fd(), ALL).is_err());

        let found = fs
            .getlk(&me, file, handle, TWO, lock(LockKind::Shared, 0, 9))
            .unwrap();
        assert_eq!(found, lock(LockKind::Exclusive, 0, 4));
        let own = fs
            .getlk(&me, file, handle, ONE, lock(LockKind::Exclusive, 0, 4))
            .unwrap();
        assert_eq!(own.kind, LockKind::Unlocked);

        fs.flush(&me, file, handle, ONE).unwrap();
        fs.setlk(&me, file, handle, TWO, lock(LockKind::Unlocked, 5, u64::MAX))
            .unwrap();
        record_lock::set(host.as_fd(), ALL).unwrap();
        assert_eq!(
            fs.setlk(&me, file, handle, ONE, lock(LockKind::Shared, 0, 0)),
            Err(Errno::EAGAIN)
        );
        assert_eq!(
            fs.getlk(&me, file, handle, ONE, lock(LockKind::Shared, 0, 0))
                .unwrap()
                .pid,
            0
        );
    }
}

#[test]
fn who_waits_for_a_lock_gets_it_or_can_be_interrupted() {
    let world = off();
    let file = world.file("f", b"");
    let (fs, me) = (&world.fs, root_ctx());
    let handle = world.open(file, OpenFlags::RDWR).unwrap();
    fs.setlk(&me, file, handle, ONE, lock(LockKind::Exclusive, 0, 9))
        .unwrap();
    let interrupt = Interrupt::new();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let me = Context {
                interrupt: &interrupt,
                ..ctx(0, 0)
            };
            fs.setlkw(&me, file, handle, TWO, lock(LockKind::Shared, 0, 0))
        });
        std::thread::sleep(Duration::from_millis(5));
        interrupt.raise();
        assert_eq!(waiter.join().unwrap(), Err(Errno::EINTR));
        let waiter = scope.spawn(|| fs.setlkw(&root_ctx(), file, handle, TWO, lock(LockKind::Shared, 0, 0)));
        fs.setlk(&me, file, handle, ONE, lock(LockKind::Unlocked, 0, 9))
            .unwrap();
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
}

#[test]
fn flock_belongs_to_the_open_file_and_ends_with_it() {
    let world = strict();
    let file = world.file("f", b"");
    let (fs, me) = (&world.fs, root_ctx());
    let one = world.open(file, OpenFlags::RDWR).unwrap();
    let two = world.open(file, OpenFlags::empty()).unwrap();
    let exclusive = FlockOperation {
        kind: LockKind::Exclusive,
        wait: false,
    };
    let shared = FlockOperation {
        kind: LockKind::Shared,
        wait: false,
    };
    fs.flock(&me, file, one, ONE, exclusive).unwrap();
    assert_eq!(fs.flock(&me, file, two, TWO, shared), Err(Errno::EAGAIN));
    let host = std::fs::File::open(world.host("f")).unwrap();
    assert!(rustix::fs::flock(&host, rustix::fs::FlockOperation::NonBlockingLockShared).is_err());
    fs.release(&me, file, one, OpenFlags::RDWR, Some(ONE)).unwrap();
    fs.flock(
        &me,
        file,
        two,
        TWO,
        FlockOperation {
            wait: true,
            ..exclusive
        },
    )
    .unwrap();
}

#[test]
fn a_lock_ends_with_the_open_file_by_which_it_was_taken_and_with_no_other() {
    let world = off();
    let file = world.file("f", b"0123456789");
    let first = world.open(file, OpenFlags::RDWR).unwrap();
    let second = world.open(file, OpenFlags::RDWR).unwrap();
    let (fs, me) = (&world.fs, root_ctx());
    // As the kernel says it of F_OFD_SETLK: an owner of its own, and no flush by that owner.
    fs.setlk(&me, file, first, ONE, lock(LockKind::Exclusive, 0, 9))
        .unwrap();
    fs.release(&me, file, second, OpenFlags::RDWR, None).unwrap();
    let asked = lock(LockKind::Exclusive, 0, 9);
    assert_eq!(fs.setlk(&me, file, None, TWO, asked), Err(Errno::EAGAIN));
    fs.release(&me, file, first, OpenFlags::RDWR, None).unwrap();
    assert_eq!(fs.setlk(&me, file, None, TWO, asked), Ok(()));
}

#[test]
fn who_would_wait_for_themselves_is_told() {
    let world = off();
    let one = world.file("one", b"0");
    let two = world.file("two", b"0");
    let fs = &world.fs;
    let all = lock(LockKind::Exclusive, 0, u64::MAX);
    fs.setlk(&root_ctx(), one, None, ONE, all).unwrap();
    fs.setlk(&root_ctx(), two, None, TWO, all).unwrap();
    let interrupt = Interrupt::new();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let me = Context {
                interrupt: &interrupt,
                ..root_ctx()
            };
            fs.setlkw(&me, two, None, ONE, all)
        });
        // The other one waits by now, or will find the first waiting: one of the two is told.
        let told = loop {
            let never = Interrupt::new();
            let me = Context {
                interrupt: &never,
                ..root_ctx()
            };
            never.raise();
            match fs.setlkw(&me, one, None, TWO, all) {
                Err(Errno::EINTR) => std::thread::sleep(Duration::from_millis(1)),
                other => break other,
            }
            if waits.is_finished() {
                break Err(Errno::EINTR);
            }
        };
        interrupt.raise();
        let first = waits.join().unwrap();
        let is_told = [told, first].contains(&Err(Errno::EDEADLK));
        assert!(is_told, "{told:?} {first:?}");
    });
}
