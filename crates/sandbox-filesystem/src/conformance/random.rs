//! Cases from bytes: any bytes are a sequence of operations, and fewer bytes a shorter one, so that both proptest and a
//! fuzzer can shrink them.

use super::op::{
    Allocation, Exclusive, HandleName, Locking, NodeKind, Op, Opening, Path, Renaming, Time, XattrMode,
};

/// Few, so that operations meet.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const HANDLES: &[u8; 3] = b"xyz";

/// The operations that `bytes` stand for. Seeking is not among them: where holes are is a filesystem's own business.
pub fn random_steps(bytes: &[u8]) -> Vec<Op> {
    let mut bytes = Bytes(bytes);
    let mut steps = Vec::new();
    while !bytes.0.is_empty() {
        steps.push(step(&mut bytes));
    }
    steps
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    /// Zero when there are none left.
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn pick<T: Copy>(&mut self, from: &[T], default: T) -> T {
        let index = usize::from(self.next()) % from.len().max(1);
        from.get(index).copied().unwrap_or(default)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    fn path(&mut self) -> Path {
        let depth = self.next() % 8;
        let mut path = Path::from(self.pick(&NAMES, "a"));
        for _ in 0..depth.saturating_sub(5) {
            path.push("/");
            path.push(self.pick(&NAMES, "a"));
        }
        path
    }

    fn directory(&mut self) -> Path {
        if self.coin() { Path::from(".") } else { self.path() }
    }

    fn handle(&mut self) -> HandleName {
        self.pick(HANDLES, b'x')
    }

    /// Around ends of pages, mostly.
    fn offset(&mut self) -> u64 {
        let page = u64::from(self.next() % 6) * 4096;
        match self.next() {
            byte if byte < 100 => page,
            byte if byte < 200 => page.saturating_add(u64::from(byte)).saturating_sub(150),
            byte => page + u64::from(byte) * 17,
        }
    }

    /// Whole pages.
    fn page(&mut self) -> u64 {
        u64::from(self.next() % 6) * 4096
    }
}

fn step(bytes: &mut Bytes<'_>) -> Op {
    match bytes.next() % 30 {
        0..=2 => Op::Mkdir(bytes.path(), 0o755),
        3 => Op::Mknod(bytes.path(), node(bytes), 0o644),
        4 => Op::Symlink(bytes.path(), "/nowhere/at/all".into()),
        5 | 6 => Op::Link(bytes.path(), bytes.path()),
        7 => Op::Unlink(bytes.path()),
        8 => Op::Rmdir(bytes.path()),
        9..=11 => Op::Rename(bytes.path(), bytes.path(), renaming(bytes)),
        12..=14 => Op::Open(bytes.handle(), bytes.path(), opening(bytes), 0o644),
        15 => Op::Tmpfile(bytes.handle(), bytes.directory(), Exclusive::No),
        16 => Op::LinkHandle(bytes.handle(), bytes.path()),
        17 => Op::Close(bytes.handle()),
        18 => Op::Read(bytes.handle(), bytes.offset(), bytes.offset()),
        19 | 20 => Op::Write(
            bytes.handle(),
            bytes.offset(),
            b'A' + bytes.next() % 26,
            bytes.offset(),
        ),
        21 => Op::Truncate(bytes.path(), bytes.offset()),
        22 => Op::TruncateHandle(bytes.handle(), bytes.offset()),
        23 => allocate(bytes),
        24 => Op::Copy(
            (bytes.handle(), bytes.offset()),
            (bytes.handle(), bytes.offset()),
            bytes.offset(),
        ),
        25 => Op::Stat(bytes.path()),
        26 => Op::StatHandle(bytes.handle()),
        27 => attributes(bytes),
        28 => Op::List(bytes.directory()),
        _ => lock(bytes),
    }
}

fn node(bytes: &mut Bytes<'_>) -> NodeKind {
    bytes.pick(
        &[NodeKind::File, NodeKind::Fifo, NodeKind::Socket],
        NodeKind::File,
    )
}

fn renaming(bytes: &mut Bytes<'_>) -> Renaming {
    match bytes.next() % 8 {
        0 => Renaming {
            noreplace: true,
            ..Renaming::default()
        },
        1 | 2 => Renaming {
            exchange: true,
            ..Renaming::default()
        },
        3 => Renaming {
            whiteout: true,
            ..Renaming::default()
        },
        _ => Renaming::default(),
    }
}

fn opening(bytes: &mut Bytes<'_>) -> Opening {
    let flags = bytes.next();
    Opening {
        read: flags & 1 == 0,
        write: flags & 3 != 2,
        create: flags & 4 == 0,
        exclusive: flags & 0x18 == 0x18,
        truncate: flags & 0x60 == 0x60,
        append: flags & 0x83 == 0x80,
        noatime: false,
    }
}

fn allocate(bytes: &mut Bytes<'_>) -> Op {
    use Allocation::{Collapse, Insert, Keep, Plain, Punch, Zero, ZeroKeep};
    let mode = bytes.pick(&[Plain, Keep, Punch, Zero, ZeroKeep, Collapse, Insert], Plain);
    let (offset, len) = if matches!(mode, Collapse | Insert) {
        (bytes.page(), bytes.page())
    } else {
        (bytes.offset(), bytes.offset())
    };
    Op::Allocate(bytes.handle(), mode, offset, len)
}

fn attributes(bytes: &mut Bytes<'_>) -> Op {
    let path = bytes.path();
    match bytes.next() % 8 {
        0 => Op::Chmod(path, 0o700 | u32::from(bytes.next() & 0o77)),
        1 => Op::Utimes(path, Time::At(1, 2), Time::Omit),
        2..=4 => Op::SetXattr(path, "user.t".into(), vec![bytes.next(); 5], xattr_mode(bytes)),
        5 => Op::GetXattr(path, "user.t".into(), u32::from(bytes.next() % 8)),
        6 => Op::RemoveXattr(path, "user.t".into()),
        _ => Op::Readlink(path),
    }
}

fn xattr_mode(bytes: &mut Bytes<'_>) -> XattrMode {
    bytes.pick(
        &[XattrMode::Set, XattrMode::Create, XattrMode::Replace],
        XattrMode::Set,
    )
}

fn lock(bytes: &mut Bytes<'_>) -> Op {
    let kind = bytes.pick(
        &[Locking::Shared, Locking::Exclusive, Locking::Unlocked],
        Locking::Shared,
    );
    let handle = bytes.handle();
    let (start, len) = (u64::from(bytes.next() % 16), u64::from(bytes.next() % 16));
    match bytes.next() % 4 {
        0 => Op::Flock(handle, kind),
        _ => Op::Lock(handle, kind, start, len),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Host, Model, compare};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        /// The model is what others are held against, so the kernel has to agree with it.
        #[test]
        fn the_model_answers_as_the_host_does(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let steps = random_steps(&bytes);
            let directory = tempfile::tempdir().unwrap();
            let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            let mut model = Model::new(super::super::report::process_umask(), ids);
            let mut host = Host::new(directory.path());
            let differences = compare("random", &steps, &mut host, &mut model);
            prop_assert!(differences.is_empty(), "{:#?}\n{}", steps, differences[0]);
        }
    }
}
