//! Who holds what of one file.

use crate::fs::{Errno, FsResult, Handle, Lock, LockKind, LockOwner};

/// Locks that are held. None is [`LockKind::Unlocked`], and those of one owner do not overlap.
#[derive(Debug, Default)]
pub(in crate::backend) struct Held {
    records: Vec<(LockOwner, Lock)>,
    files: Vec<(LockOwner, LockKind)>,
    /// The open files by which an owner of ranges took some. The kernel says of a lock of an open file description
    /// (`F_OFD_SETLK`) only that the file was closed, not that there was a lock.
    by: Vec<(LockOwner, Handle)>,
}

impl Held {
    pub(in crate::backend) fn count(&self) -> u64 {
        (self.records.len() + self.files.len() + self.by.len()) as u64
    }

    /// The lock of somebody else that is in the way.
    pub(in crate::backend) fn conflict(&self, owner: LockOwner, lock: &Lock) -> Option<(LockOwner, Lock)> {
        let in_the_way = |(theirs, held): &&(LockOwner, Lock)| {
            *theirs != owner && overlap(held, lock) && excludes(held.kind, lock.kind)
        };
        self.records.iter().find(in_the_way).copied()
    }

    /// As [`set`](Self::set), through an open file: with the last of those that an owner has used, all that it holds ends.
    pub(in crate::backend) fn set_by(
        &mut self,
        owner: LockOwner,
        by: Option<Handle>,
        lock: Lock,
    ) -> FsResult<()> {
        self.set(owner, lock)?;
        let taken = by.filter(|_| lock.kind != LockKind::Unlocked);
        if let Some(new) = taken.map(|by| (owner, by)).filter(|new| !self.by.contains(new)) {
            self.by.push(new);
        }
        if !self.holds(owner) {
            self.by.retain(|(who, _)| *who != owner);
        }
        Ok(())
    }

    /// An open file is there no more.
    pub(in crate::backend) fn closed(&mut self, file: Handle) {
        let ended: Vec<_> = self.by.extract_if(.., |(_, by)| *by == file).collect();
        for (owner, _) in ended {
            if !self.by.iter().any(|(who, _)| *who == owner) {
                self.records.retain(|(who, _)| *who != owner);
            }
        }
    }

    fn holds(&self, owner: LockOwner) -> bool {
        self.records.iter().any(|(who, _)| *who == owner)
    }

    /// Takes, changes or gives up a range. `EAGAIN` where somebody else is in the way.
    fn set(&mut self, owner: LockOwner, lock: Lock) -> FsResult<()> {
        if self.conflict(owner, &lock).is_some() {
            return Err(Errno::EAGAIN);
        }
        let mut rest = Vec::new();
        let mut new = lock;
        self.records.retain(|(who, held)| {
            if *who != owner {
                return true;
            }
            if held.kind == new.kind && touch(held, &new) {
                new.start = new.start.min(held.start);
                new.end = new.end.max(held.end);
                return false;
            }
            if !overlap(held, &new) {
                return true;
            }
            rest.extend(outside(held, &new));
            false
        });
        self.records.extend(rest.into_iter().map(|lock| (owner, lock)));
        if new.kind != LockKind::Unlocked {
            self.records.push((owner, new));
        }
        Ok(())
    }

    /// flock(2): what was held is given up first, also where the answer is `EAGAIN`, as Linux does it.
    pub(in crate::backend) fn set_flock(&mut self, owner: LockOwner, kind: LockKind) -> FsResult<()> {
        if self.files.contains(&(owner, kind)) {
            return Ok(());
        }
        self.files.retain(|(who, _)| *who != owner);
        if self.files.iter().any(|(_, theirs)| excludes(*theirs, kind)) {
            return Err(Errno::EAGAIN);
        }
        if kind != LockKind::Unlocked {
            self.files.push((owner, kind));
        }
        Ok(())
    }
}

fn overlap(one: &Lock, other: &Lock) -> bool {
    one.start <= other.end && other.start <= one.end
}

/// Whether they overlap or have nothing between them.
fn touch(one: &Lock, other: &Lock) -> bool {
    one.start <= other.end.saturating_add(1) && other.start <= one.end.saturating_add(1)
}

fn excludes(one: LockKind, other: LockKind) -> bool {
    one != LockKind::Unlocked
        && other != LockKind::Unlocked
        && (one == LockKind::Exclusive || other == LockKind::Exclusive)
}

/// What is left of `held` on both sides of `cut`.
fn outside(held: &Lock, cut: &Lock) -> impl Iterator<Item = Lock> {
    let before = (held.start < cut.start).then(|| Lock {
        end: cut.start - 1,
        ..*held
    });
    let after = (held.end > cut.end).then(|| Lock {
        start: cut.end + 1,
        ..*held
    });
    before.into_iter().chain(after)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RANGE: usize = 12;

    fn kind() -> impl Strategy<Value = LockKind> {
        prop_oneof![
            Just(LockKind::Shared),
            Just(LockKind::Exclusive),
            Just(LockKind::Unlocked)
        ]
    }

    proptest! {
        /// The model: for every byte and owner what is held.
        #[test]
        fn ranges_hold_what_was_set_byte_by_byte(
            steps in proptest::collection::vec((0..3_usize, 0..RANGE, 0..RANGE, kind()), 1..40)
        ) {
            let mut held = Held::default();
            let mut model = [[LockKind::Unlocked; 3]; RANGE];
            for (owner, one, other, kind) in steps {
                let range = one.min(other)..=one.max(other);
                let lock = Lock { start: *range.start() as u64, end: *range.end() as u64, kind, pid: 0 };
                let blocked = model[range.clone()].iter().any(|byte| {
                    byte.iter().enumerate().any(|(who, theirs)| who != owner && excludes(*theirs, kind))
                });
                let before = held.count();
                let result = held.set(LockOwner(owner as u64), lock);
                prop_assert_eq!(result, if blocked { Err(Errno::EAGAIN) } else { Ok(()) });
                prop_assert!(held.count() <= before + 2);
                if !blocked {
                    for byte in &mut model[range] {
                        byte[owner] = kind;
                    }
                }
                for (at, byte) in model.iter().enumerate() {
                    for (who, expected) in byte.iter().enumerate() {
                        let at = at as u64;
                        let found: Vec<_> = held.records.iter()
                            .filter(|(owner, lock)| owner.0 == who as u64 && lock.start <= at && at <= lock.end)
                            .map(|(_, lock)| lock.kind).collect();
                        let expected: &[LockKind] =
                            if *expected == LockKind::Unlocked { &[] } else { std::slice::from_ref(expected) };
                        prop_assert_eq!(&found[..], expected);
                    }
                }
            }
        }
    }
}
