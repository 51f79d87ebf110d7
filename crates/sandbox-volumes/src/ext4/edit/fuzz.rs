//! What a fuzzer calls: files of a disk that may be damaged, changed at random.

use std::io::{self, Cursor};

use rustix::io::Errno;
use sandbox_types::{TreeTime, TreeXattr};

use super::{Editor, Filling, Follow, NewNode, Node, Owner, damaged, device_numbers};
use crate::ext4::check;
use crate::ext4::disk::inode::mode;

/// Changes of a program, at most: so that one takes no longer than a moment.
const MOST_STEPS: usize = 60;

/// Does to the files of `disk` what `program` says, four bytes a step. An error is what was found wrong: with a disk that
/// was sound before (`is_sound`), and is not any more or is said not to be.
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "only a fuzzer reaches it"))]
pub fn edit_disk(disk: Vec<u8>, is_sound: bool, program: &[u8]) -> Result<(), &'static str> {
    let Ok(mut editor) = Editor::open(Box::new(Cursor::new(disk))) else {
        return if is_sound {
            Err("it cannot be opened")
        } else {
            Ok(())
        };
    };
    let (steps, _) = program.as_chunks::<4>();
    for step in steps.iter().take(MOST_STEPS) {
        let done = editor.change(|editor| act(editor, *step));
        let is_damage = |error: &io::Error| Errno::from_io_error(error) == Some(Errno::UCLEAN);
        if is_sound && done.as_ref().is_err_and(is_damage) {
            return Err("a sound disk is said to be damaged");
        }
    }
    if !is_sound {
        return Ok(());
    }
    let bytes = all_of(&mut editor).map_err(|_| "it cannot be read")?;
    let report = check(Cursor::new(bytes)).map_err(|_| "it cannot be checked")?;
    if report.is_clean() {
        Ok(())
    } else {
        Err("it is not sound any more")
    }
}

fn all_of(editor: &mut Editor) -> io::Result<Vec<u8>> {
    let size = editor.device.size()?;
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| damaged())?];
    editor.device.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// A file: in the root, where the disk's own are, or in one of a few directories.
fn path(number: u8) -> Vec<u8> {
    let name = match number % 4 {
        0 => format!("a name of some length {number}"),
        1 => format!("d{}", number / 64),
        2 => format!("d{}/{}", number / 64, number % 64),
        _ => format!("{:0width$}", number / 4, width = usize::from(number)),
    };
    name.into_bytes()
}

fn act(editor: &mut Editor, [what, one, two, amount]: [u8; 4]) -> io::Result<()> {
    let (one, two) = (path(one), path(two));
    match what % 14 {
        0 | 1 => put(editor, &one, amount, Vec::new()),
        2 => put(editor, &one, 1, xattrs(amount)),
        3 => {
            let (mut parent, name) = editor.resolve_parent(&one)?;
            editor
                .make_directory(&mut parent, name, &new(mode::DIR))
                .map(drop)
        }
        4 => {
            let (mut parent, name) = editor.resolve_parent(&one)?;
            let target = vec![b't'; usize::from(amount) + 1];
            editor
                .make_link(&mut parent, name, &target, &new(mode::LINK))
                .map(drop)
        }
        5 => {
            let (mut parent, name) = editor.resolve_parent(&one)?;
            editor
                .make_special(&mut parent, name, device_numbers((5, 1)), &new(mode::CHAR))
                .map(drop)
        }
        6 => {
            let number = editor.resolve(&two, Follow::Parents)?.number;
            let (mut parent, name) = editor.resolve_parent(&one)?;
            editor.link(&mut parent, name, number)
        }
        7 => {
            let (mut parent, name) = editor.resolve_parent(&one)?;
            editor.remove(&mut parent, name)
        }
        8 => {
            let (mut parent, name) = editor.resolve_parent(&one)?;
            editor.remove_directory(&mut parent, name)
        }
        9 => {
            let (from, to) = (editor.resolve_parent(&one)?, editor.resolve_parent(&two)?);
            editor.rename(from, to)
        }
        10 => {
            let mut file = a_file(editor, &one)?;
            editor.overwrite(&mut file, u64::from(amount) * 997, &[amount; 3000])
        }
        11 => {
            let mut file = a_file(editor, &one)?;
            editor.set_len(&mut file, u64::from(amount) << (amount % 32))
        }
        12 => {
            let (parent, name) = editor.resolve_parent(&one)?;
            editor.remove_tree(&parent, name)
        }
        _ => look_at_all(editor, amount),
    }
}

fn new(kind: u16) -> NewNode {
    NewNode::plain(kind | 0o644, Owner { uid: 1, gid: 70_000 })
}

fn put(editor: &mut Editor, path: &[u8], amount: u8, xattrs: Vec<TreeXattr>) -> io::Result<()> {
    let (mut parent, name) = editor.resolve_new(path)?;
    let mut filling = Filling::default();
    // Every other piece is a hole.
    for piece in 0..amount / 4 {
        editor.fill(&mut filling, &vec![piece % 2; 1500])?;
    }
    let new = NewNode {
        xattrs,
        ..new(mode::FILE)
    };
    editor.put_file(&mut parent, &name, &new, &mut filling).map(drop)
}

fn xattrs(amount: u8) -> Vec<TreeXattr> {
    let one = |number: u8| TreeXattr {
        name: format!("user.{number}").into_bytes(),
        value: vec![number; usize::from(amount) * 2],
    };
    (0..amount % 5).map(one).collect()
}

fn a_file(editor: &mut Editor, path: &[u8]) -> io::Result<Node> {
    let node = editor.resolve(path, Follow::All)?;
    if node.is_file() {
        Ok(node)
    } else {
        Err(Errno::ISDIR.into())
    }
}

/// What is told of all files, as deep as a few directories; and something is said of the last one.
fn look_at_all(editor: &mut Editor, amount: u8) -> io::Result<()> {
    let mut waiting = vec![editor.resolve(b"", Follow::All)?];
    let mut last = None;
    for _ in 0..200 {
        let Some(node) = waiting.pop() else { break };
        editor.xattrs(&node)?;
        std::hint::black_box((node.owner(), node.device(), node.modified(), node.accessed()));
        if node.is_directory() {
            for entry in editor.list(&node)? {
                waiting.push(editor.node(entry.inode)?);
            }
        } else if node.is_link() {
            editor.target(&node)?;
        } else if node.is_file() {
            editor.read_content(&node, u64::from(amount) * 700, &mut [0; 5000])?;
            last = Some(node);
        }
        editor.commit_if_large()?;
    }
    let time = TreeTime {
        seconds: i64::from(amount) << 30,
        nanoseconds: 5,
    };
    match &mut last {
        Some(file) => editor.set_attributes(file, Some(0o4711), Some((time, time))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sandbox_types::SizeExt;

    use super::*;
    use crate::ext4::{Ext4FormatOptions, Size, Source, write};

    fn disk() -> Vec<u8> {
        let options = Ext4FormatOptions::builder(Size::Bytes(3.mib())).build().unwrap();
        let mut memory = Cursor::new(Vec::new());
        write(&mut memory, Source::Empty, &options).unwrap();
        memory.into_inner()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn a_sound_disk_stays_sound_whatever_is_done_to_its_files(
            program in prop::collection::vec(any::<u8>(), 4..240),
        ) {
            prop_assert_eq!(edit_disk(disk(), true, &program), Ok(()));
        }

        #[test]
        fn a_damaged_disk_is_an_error_at_most(
            damage in prop::collection::vec((0_usize..1 << 18, any::<u8>()), 1..8),
            program in prop::collection::vec(any::<u8>(), 4..80),
        ) {
            let mut disk = disk();
            for (at, byte) in damage {
                disk[at] = byte;
            }
            prop_assert_eq!(edit_disk(disk, false, &program), Ok(()));
        }
    }
}
