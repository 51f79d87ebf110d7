//! Crashes: whatever prefix of the writes is on the disk, it is whole, with what was or what is to be.

use std::io::{self, Cursor};
use std::sync::{Arc, Mutex};

use sandbox_types::SizeExt;

use super::*;
use crate::ext4::{Ext4FormatOptions, JournalSize, Size, check, write};

/// A disk in memory that remembers what was written to it.
#[derive(Clone)]
struct Recorder {
    memory: Arc<Mutex<Cursor<Vec<u8>>>>,
    log: Arc<Mutex<Vec<Step>>>,
}

#[derive(Clone)]
enum Step {
    Write(u64, Vec<u8>),
    Extend(u64),
    Truncate(u64),
}

impl Recorder {
    fn new(image: Vec<u8>) -> Self {
        Self {
            memory: Arc::new(Mutex::new(Cursor::new(image))),
            log: Arc::default(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Cursor<Vec<u8>>) -> T) -> T {
        work(&mut self.memory.lock().unwrap())
    }

    fn note(&self, step: Step) {
        self.log.lock().unwrap().push(step);
    }
}

impl BlockDevice for Recorder {
    fn size(&mut self) -> io::Result<u64> {
        self.with(BlockDevice::size)
    }

    fn reset(&mut self, size: u64) -> io::Result<()> {
        self.with(|memory| memory.reset(size))
    }

    fn extend(&mut self, size: u64) -> io::Result<()> {
        self.note(Step::Extend(size));
        self.with(|memory| memory.extend(size))
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.note(Step::Truncate(size));
        self.with(|memory| BlockDevice::truncate(memory, size))
    }

    fn zero(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.with(|memory| memory.zero(offset, len))
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with(|memory| memory.read_at(offset, buffer))
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note(Step::Write(offset, data.to_vec()));
        self.with(|memory| memory.write_at(offset, data))
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn image(journal: JournalSize) -> Vec<u8> {
    let options = Ext4FormatOptions::builder(Size::Bytes(16.mib()))
        .journal(journal)
        .build()
        .unwrap();
    let mut memory = Cursor::new(Vec::new());
    write(&mut memory, crate::ext4::Source::Empty, &options).unwrap();
    memory.into_inner()
}

fn owner() -> Owner {
    Owner { uid: 0, gid: 0 }
}

fn put(editor: &mut Editor, name: &[u8], content: &[u8]) -> io::Result<()> {
    let mut root = editor.resolve(b"", Follow::All)?;
    let mut filling = Filling::default();
    editor.fill(&mut filling, content)?;
    let new = NewNode::plain(0o100_644, owner());
    editor.put_file(&mut root, name, &new, &mut filling).map(drop)
}

fn get(editor: &mut Editor, name: &[u8]) -> Option<Vec<u8>> {
    let node = editor.resolve(name, Follow::All).ok()?;
    let mut content = vec![0; usize::try_from(node.size()).unwrap()];
    editor.read_content(&node, 0, &mut content).unwrap();
    Some(content)
}

/// The disk after the first `count` writes, recovered and found whole.
fn after_crash(before: &[u8], log: &[Step], count: usize) -> Editor {
    let mut memory = Cursor::new(before.to_vec());
    for step in &log[..count] {
        match step {
            Step::Write(at, data) => memory.write_at(*at, data).unwrap(),
            Step::Extend(size) => memory.extend(*size).unwrap(),
            Step::Truncate(size) => BlockDevice::truncate(&mut memory, *size).unwrap(),
        }
    }
    let whole = Recorder::new(memory.into_inner());
    let editor = Editor::open(Box::new(whole.clone())).unwrap();
    let bytes = whole.with(|memory| memory.get_ref().clone());
    let report = check(Cursor::new(bytes)).unwrap();
    assert!(report.is_clean(), "after {count}: {report:?}");
    editor
}

#[test]
fn at_every_point_of_a_change_it_is_done_or_not_done() {
    for journal in [JournalSize::Auto, JournalSize::None] {
        let start = Recorder::new(image(journal));
        let mut editor = Editor::open(Box::new(start.clone())).unwrap();
        editor
            .change(|editor| put(editor, b"kept", b"as it was"))
            .unwrap();
        editor
            .change(|editor| put(editor, b"old", &vec![1; 50_000]))
            .unwrap();
        let before = start.with(|memory| memory.get_ref().clone());
        start.log.lock().unwrap().clear();
        editor
            .change(|editor| {
                put(editor, b"old", &vec![2; 70_000])?;
                let mut root = editor.resolve(b"", Follow::All)?;
                editor.make_directory(&mut root, b"dir", &NewNode::plain(0o040_755, owner()))?;
                let root = editor.resolve(b"", Follow::All)?;
                let dir = editor.resolve(b"dir", Follow::All)?;
                editor.rename((root, b"kept"), (dir, b"moved"))
            })
            .unwrap();
        let log = start.log.lock().unwrap().clone();
        let mut done = Vec::new();
        for count in 0..=log.len() {
            let mut editor = after_crash(&before, &log, count);
            let old = get(&mut editor, b"old").unwrap();
            let is_done = old == vec![2; 70_000];
            assert!(is_done || old == vec![1; 50_000], "after {count}");
            let moved = get(&mut editor, b"dir/moved");
            assert_eq!(moved.is_some(), is_done, "after {count}");
            assert_eq!(get(&mut editor, b"kept").is_none(), is_done, "after {count}");
            done.push(is_done);
        }
        // It was not done at first, is done in the end, and never undone.
        assert!(done.is_sorted() && !done[0] && done[log.len()]);
    }
}
