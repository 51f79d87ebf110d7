//! A machine that stops at any point while a disk grows.

use std::{
    fs,
    io::{self, Cursor},
    path::Path,
};

use sandbox_types::ByteSize;
use sandbox_volumes::ext4::{BlockDevice, JournalSize, check, grow_device, recover_device};

use super::{MIB, MemoryTree, fill, memory_tree::ROOT, options, view::agree};
use crate::harness::{is_clean, place, text, tool};

/// What a device is told to do.
#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    Zero(u64, u64),
    Extend(u64),
    Truncate(u64),
    Sync,
}

/// Memory that remembers what is done to it.
struct Recorder {
    memory: Cursor<Vec<u8>>,
    steps: Vec<Step>,
}

impl BlockDevice for Recorder {
    fn size(&mut self) -> io::Result<u64> {
        BlockDevice::size(&mut self.memory)
    }
    fn reset(&mut self, size: u64) -> io::Result<()> {
        self.memory.reset(size)
    }
    fn extend(&mut self, size: u64) -> io::Result<()> {
        self.steps.push(Step::Extend(size));
        self.memory.extend(size)
    }
    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.steps.push(Step::Truncate(size));
        self.memory.truncate(size)
    }
    fn zero(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.steps.push(Step::Zero(offset, len));
        self.memory.zero(offset, len)
    }
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.memory.read_at(offset, buffer)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.steps.push(Step::Write(offset, data.to_vec()));
        self.memory.write_at(offset, data)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.steps.push(Step::Sync);
        Ok(())
    }
}

fn replayed<'a>(before: &[u8], steps: impl IntoIterator<Item = &'a Step>) -> Vec<u8> {
    let mut memory = Cursor::new(before.to_vec());
    for step in steps {
        let done = match step {
            Step::Write(at, data) => memory.write_at(*at, data),
            Step::Zero(at, len) => memory.zero(*at, *len),
            Step::Extend(size) => memory.extend(*size),
            Step::Truncate(size) => memory.truncate(*size),
            Step::Sync => Ok(()),
        };
        done.expect("memory");
    }
    memory.into_inner()
}

/// All states in which the disk may be found: every prefix of the steps, and of the steps between two syncs every
/// single one missing while the others are there.
fn states<'a>(before: &'a [u8], steps: &'a [Step]) -> impl Iterator<Item = Vec<u8>> + 'a {
    let prefixes = (0..=steps.len()).map(|len| replayed(before, &steps[..len]));
    let mut start = 0;
    let ends = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| matches!(step, Step::Sync))
        .map(|(end, _)| end);
    let epochs = ends.map(move |end| std::mem::replace(&mut start, end + 1)..end);
    prefixes.chain(epochs.flat_map(move |epoch| {
        epoch.clone().map(move |missing| {
            let others = steps[..epoch.end]
                .iter()
                .enumerate()
                .filter(move |(at, _)| *at != missing);
            replayed(before, others.map(|(_, step)| step))
        })
    }))
}

fn recorded(before: &[u8], size: u64) -> Vec<Step> {
    let mut recorder = Recorder {
        memory: Cursor::new(before.to_vec()),
        steps: Vec::new(),
    };
    grow_device(&mut recorder, ByteSize::from_bytes(size)).expect("it grows");
    recorder.steps
}

fn tree() -> MemoryTree {
    let mut tree = MemoryTree::new();
    for number in 0..40_u8 {
        let directory = tree.directory(ROOT, &[b'a' + number % 26, b'0' + number / 26]);
        tree.file(directory, b"file", &vec![number; 3000]);
    }
    tree
}

fn disk(place: &Path, journal: JournalSize) -> Vec<u8> {
    let image = place.join("before");
    fill(&image, &tree(), options(8 * MIB + 5000).journal(journal));
    fs::read(&image).expect("the image")
}

#[test]
fn at_every_point_of_growing_the_journal_or_a_second_call_makes_the_disk_whole() {
    let place = place();
    let image = place.path().join("state");
    let before = disk(place.path(), JournalSize::Auto);
    let steps = recorded(&before, 20 * MIB);
    for state in states(&before, &steps) {
        // What e2fsck does at boot: replay, then look at everything.
        fs::write(&image, &state).expect("the image");
        let judge = tool("e2fsck").arg("-fp").arg(&image).output().expect("e2fsck");
        assert!(matches!(judge.status.code(), Some(0 | 1)), "{}", text(&judge));
        is_clean(&image);

        let mut device = Cursor::new(state.clone());
        recover_device(&mut device).expect("it recovers");
        assert!(check(&mut device).expect("a disk").is_clean());

        let mut device = Cursor::new(state);
        grow_device(&mut device, ByteSize::from_bytes(20 * MIB)).expect("it grows");
        fs::write(&image, device.get_ref()).expect("the image");
        is_clean(&image);
        agree(&image, &tree());
    }
}

#[test]
fn a_disk_without_a_journal_is_made_whole_by_the_next_call() {
    let place = place();
    let image = place.path().join("state");
    let before = disk(place.path(), JournalSize::None);
    let steps = recorded(&before, 20 * MIB);
    for state in states(&before, &steps) {
        let mut device = Cursor::new(state.clone());
        recover_device(&mut device).expect("it recovers");
        let report = check(&mut device).expect("a disk");
        let only_marked = report
            .problems
            .iter()
            .all(|problem| problem.to_string().contains("not unmounted cleanly"));
        assert!(only_marked, "{report:#?}");

        let mut device = Cursor::new(state);
        grow_device(&mut device, ByteSize::from_bytes(20 * MIB)).expect("it grows");
        assert_eq!(device.get_ref().len() as u64, 20 * MIB);
        fs::write(&image, device.get_ref()).expect("the image");
        is_clean(&image);
        agree(&image, &tree());
    }
}

#[test]
fn a_write_that_fails_leaves_a_disk_that_a_second_call_completes() {
    struct Failing(Recorder, usize);
    impl BlockDevice for Failing {
        fn size(&mut self) -> io::Result<u64> {
            self.0.size()
        }
        fn reset(&mut self, size: u64) -> io::Result<()> {
            self.0.reset(size)
        }
        fn extend(&mut self, size: u64) -> io::Result<()> {
            self.0.extend(size)
        }
        fn truncate(&mut self, size: u64) -> io::Result<()> {
            self.0.truncate(size)
        }
        fn zero(&mut self, offset: u64, len: u64) -> io::Result<()> {
            self.0.zero(offset, len)
        }
        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.0.read_at(offset, buffer)
        }
        fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
            if self.1 == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.1 -= 1;
            self.0.write_at(offset, data)
        }
        fn sync(&mut self) -> io::Result<()> {
            self.0.sync()
        }
    }
    let place = place();
    let before = disk(place.path(), JournalSize::Auto);
    let writes = recorded(&before, 20 * MIB)
        .iter()
        .filter(|step| matches!(step, Step::Write(..)))
        .count();
    for fail_at in 0..writes {
        let recorder = Recorder {
            memory: Cursor::new(before.clone()),
            steps: Vec::new(),
        };
        let mut device = Failing(recorder, fail_at);
        grow_device(&mut device, ByteSize::from_bytes(20 * MIB)).expect_err("the disk is full");
        let mut device = device.0.memory;
        grow_device(&mut device, ByteSize::from_bytes(20 * MIB)).expect("it grows");
        assert!(check(&mut device).expect("a disk").is_clean());
    }
}
