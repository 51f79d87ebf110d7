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
