//! A disk appears complete or not at all.

use std::{fs, io, ops::Range, path::Path};

use sandbox_types::{TreeEntry, TreeNode, TreeNodeId, TreeSource, TreeXattr};
use sandbox_volumes::ext4::{
    BlockDevice, FormatError, JournalSize, Source, XattrRefused, format_ext4, write, write_ext4,
};

use super::{KIB, MIB, MemoryTree, fitting, memory_tree::ROOT, options};
use crate::harness::{is_clean, place};

/// Says that its files are longer than they are.
struct Shrinking(MemoryTree);

impl TreeSource for Shrinking {
    fn root(&self) -> io::Result<TreeNode> {
        self.0.root()
    }
    fn list(&self, directory: TreeNodeId) -> io::Result<Vec<TreeEntry>> {
        self.0.list(directory)
    }
    fn target(&self, link: TreeNodeId) -> io::Result<Vec<u8>> {
        self.0.target(link)
    }
    fn xattrs(&self, node: TreeNodeId) -> io::Result<Vec<TreeXattr>> {
        self.0.xattrs(node)
    }
    fn data(&self, file: TreeNodeId, len: u64) -> io::Result<Vec<Range<u64>>> {
        self.0.data(file, len)
    }
    fn read_at(&self, file: TreeNodeId, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.0.read_at(file, offset, buffer)?;
        Ok(if offset >= 300 * KIB { 0 } else { got })
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory");
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

#[test]
fn a_failure_in_the_middle_leaves_nothing_behind() {
    let place = place();
    let mut tree = MemoryTree::new();
    tree.file(ROOT, b"long", &vec![1; 1 << 20]);
    let asked = options(16 * MIB).build().expect("options");
    let error = write_ext4(place.path().join("disk"), Source::Tree(&Shrinking(tree)), &asked);
    assert!(matches!(error, Err(FormatError::Changed { path }) if path == Path::new("long")));
    assert_eq!(names(place.path()), Vec::<String>::new());
}

#[test]
fn a_failure_keeps_what_was_there() {
    let place = place();
    let image = place.path().join("disk");
    fs::write(&image, b"precious").expect("a file");
    let mut tree = MemoryTree::new();
    tree.file(ROOT, b"large", &vec![1; 4 << 20]);
    let asked = options(2 * MIB).build().expect("options");
    let error = write_ext4(&image, Source::Tree(&tree), &asked).expect_err("too large");
    assert!(
        matches!(error, FormatError::NoSpace { missing } if missing > MIB),
        "{error}"
    );
    assert_eq!(fs::read(&image).expect("the file"), b"precious");
    assert_eq!(names(place.path()), ["disk"]);
}

#[test]
fn a_directory_in_the_way_is_said() {
    let place = place();
    let asked = options(MIB).build().expect("options");
    assert!(matches!(
        format_ext4(place.path(), &asked),
        Err(FormatError::Image { .. })
    ));
    let missing = place.path().join("missing/disk");
    assert!(matches!(
        format_ext4(missing, &asked),
        Err(FormatError::Image { .. })
    ));
}

/// Fails at the n-th write, and knows whether anything was written after the last sync.
struct Frail {
    writes: u64,
    fail_at: u64,
    synced: bool,
    memory: io::Cursor<Vec<u8>>,
}

impl BlockDevice for Frail {
    fn size(&mut self) -> io::Result<u64> {
        BlockDevice::size(&mut self.memory)
    }
    fn reset(&mut self, size: u64) -> io::Result<()> {
        self.memory.reset(size)
    }
    fn extend(&mut self, size: u64) -> io::Result<()> {
        self.memory.extend(size)
    }
    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.memory.truncate(size)
    }
    fn zero(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.memory.zero(offset, len)
    }
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.memory.read_at(offset, buffer)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.synced = false;
        self.writes += 1;
        if self.writes == self.fail_at {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.memory.write_at(offset, data)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.synced = true;
        Ok(())
    }
}

#[test]
fn all_is_synced_and_every_failing_write_is_an_error() {
    let mut tree = MemoryTree::new();
    tree.file(ROOT, b"file", &[1; 5000]);
    let asked = options(8 * MIB).build().expect("options");
    let run = |fail_at| {
        let memory = io::Cursor::new(Vec::new());
        let mut device = Frail {
            writes: 0,
            fail_at,
            synced: false,
            memory,
        };
        let result = write(&mut device, Source::Tree(&tree), &asked);
        (device, result)
    };
    let (whole, result) = run(0);
    assert!(result.is_ok() && whole.synced);
    for fail_at in 1..=whole.writes {
        let (_, result) = run(fail_at);
        let is_told =
            matches!(&result, Err(FormatError::Write(error)) if error.kind() == io::ErrorKind::StorageFull);
        assert!(is_told, "write {fail_at}: {result:?}");
    }
}

#[test]
fn what_ext4_cannot_hold_is_refused_by_name() {
    let refused = |build: &dyn Fn(&mut MemoryTree)| {
        let mut tree = MemoryTree::new();
        build(&mut tree);
        let asked = options(16 * MIB).build().expect("options");
        write(&mut io::Cursor::new(Vec::new()), Source::Tree(&tree), &asked)
            .expect_err("refused")
            .to_string()
    };
    let with_xattr = |name: &'static str, size: usize| {
        refused(&move |tree| {
            let id = tree.file(ROOT, b"f", b"");
            tree.xattr(id, name, &vec![1; size]);
        })
    };
    assert!(with_xattr("user.big", 4100).contains("user.big"));
    assert!(with_xattr("other.x", 1).contains("other.x"));
    assert!(with_xattr("system.posix_acl_access", 3).contains("system.posix_acl_access"));
    assert!(refused(&|tree| _ = tree.symlink(ROOT, b"l", &[b'x'; 5000])).starts_with("l: "));
    assert!(refused(&|tree| _ = tree.symlink(ROOT, b"l", b"")).starts_with("l: "));
    assert!(refused(&|tree| _ = tree.file(ROOT, &[b'n'; 256], b"")).contains("1 to 255 bytes"));
    assert!(refused(&|tree| _ = tree.file(ROOT, b"a/b", b"")).contains("1 to 255 bytes"));
    assert!(refused(&|tree| _ = tree.sparse(ROOT, b"huge", 1 << 60, Vec::new())).starts_with("huge: "));
    assert!(refused(&|tree| tree.link(ROOT, b"again", ROOT)).starts_with("again: "));
    assert_eq!(XattrRefused::Twice.to_string(), "it is there twice");
}

#[test]
fn a_disk_that_fits_has_its_headroom_and_hardly_more() {
    let place = place();
    let image = place.path().join("disk");
    for (files, headroom) in [(0_u32, 0), (10, MIB), (300, 64 * MIB), (2000, 200 * MIB)] {
        let mut tree = MemoryTree::new();
        for number in 0..files {
            tree.file(ROOT, format!("file {number}").as_bytes(), &vec![7; 20_000]);
        }
        let asked = fitting(headroom)
            .journal(JournalSize::None)
            .reserved_percent(0)
            .build()
            .expect("options");
        let report = write_ext4(&image, Source::Tree(&tree), &asked).expect("a disk");
        is_clean(&image);
        let free = report.free_blocks * u64::from(report.block_size);
        assert!(free >= headroom, "{free} of {headroom}");
        assert!(
            free <= headroom + headroom / 50 + 2 * MIB,
            "{free} for {headroom}"
        );
        assert_eq!(report.files, u64::from(files));
    }
}
