//! Building the new root, step by step.

use crate::beside::Beside;
use crate::sys::files::{self, At};
use crate::sys::mounts::{self, Reach};
use crate::sys::sockets::send;
use crate::sys::{self, EINVAL, ENOENT, ENOTDIR, Errno, Fd, Thread};
use crate::wire::{Cursor, DEVICE, MAX_SOURCES, Op, TREE, Text};
use crate::{fuse, overlay};

/// What has been made so far.
struct Build<'a> {
    control: &'a Fd,
    beside: Beside,
    root: Option<Fd>,
    /// At work letting go of the old root, once the new one has been entered.
    leaving: Option<Thread<(), sys::Result<()>>>,
    sources: [Option<Fd>; MAX_SOURCES],
    count: usize,
}

/// Carries out every step of the blob. An error carries the number of its step.
pub fn build(cursor: &mut Cursor<'_>, control: &Fd, beside: Beside) -> Result<(), (u64, Errno)> {
    let mut build = Build {
        control,
        beside,
        root: None,
        leaving: None,
        sources: [const { None }; MAX_SOURCES],
        count: 0,
    };
    let mut step = 0;
    while let Some(op) = cursor.op().ok_or((step, EINVAL))? {
        build.carry_out(op).map_err(|errno| (step, errno))?;
        step += 1;
    }
    build.leave().map_err(|errno| (step, errno))
}

impl Build<'_> {
    fn carry_out(&mut self, op: Op<'_>) -> sys::Result<()> {
        match op {
            Op::Hostname(name) => sys::set_hostname(name),
            Op::Join => self.beside.join(),
            Op::Source { path, attributes } => self.source(path, attributes),
            Op::Overlay {
                lowers,
                upper,
                work,
                lock,
                attributes,
            } => {
                if !lock.is_empty() {
                    files::hold(lock)?;
                }
                let overlay = overlay::mount(lowers, upper, work, attributes)?;
                self.keep(overlay)
            }
            Op::Served {
                name,
                lock,
                attributes,
            } => {
                if !lock.is_empty() {
                    files::hold(lock)?;
                }
                let (mount, device) = fuse::mount(name, attributes)?;
                send(self.control, &[DEVICE, 0, 0, 0, 0, 0, 0, 0], &[&device])?;
                self.keep(mount)
            }
            Op::Tree { path } => {
                let place = files::open_place(At::Here, path)?;
                let tree = mounts::copy_tree(&place, Reach::Mount)?;
                mounts::set_attributes(&tree, Reach::Mount, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)?;
                send(self.control, &[TREE, 0, 0, 0, 0, 0, 0, 0], &[&tree])
            }
            Op::Root { size } => self.make_root(size),
            Op::Dir { path, mode } => files::make_dir(At::Dir(self.root()?), path, mode),
            Op::Link { path, target } => files::make_link(At::Dir(self.root()?), path, target),
            Op::File { path, mode, content } => files::create(At::Dir(self.root()?), path, mode, content),
            Op::Attach { source, path } => {
                let source = usize::try_from(source)
                    .ok()
                    .and_then(|index| self.sources.get_mut(index));
                let tree = source.and_then(Option::take).ok_or(EINVAL)?;
                self.attach(&tree, path)
            }
            Op::Own {
                from,
                path,
                attributes,
            } => self.own(from, path, attributes),
            Op::Cover {
                from,
                path,
                attributes,
            } => match self.own(from, path, attributes) {
                Err(ENOENT | ENOTDIR) => Ok(()),
                result => result,
            },
            Op::Mount {
                kind,
                options,
                path,
                attributes,
            } => {
                let mount = mounts::new_file_system(kind, options, attributes)?;
                self.attach(&mount, path)
            }
            Op::Owner { path, uid, gid } => files::change_owner(At::Dir(self.root()?), path, uid, gid),
            Op::Remove { path } => files::remove(At::Dir(self.root()?), path),
            Op::Attributes { path, attributes } => {
                let place = files::open_place(At::Dir(self.root()?), path)?;
                mounts::set_attributes(&place, Reach::Mount, attributes)
            }
            Op::Enter => self.enter(),
        }
    }

    /// Enters the new root. Letting go of the old one takes a wait that another thread does meanwhile; until then
    /// the working directory stays, and every place in the new root is named from its descriptor.
    fn enter(&mut self) -> sys::Result<()> {
        sys::fchdir(self.root()?)?;
        sys::change_root_here()?;
        self.leaving = Some(Thread::start(|()| sys::detach_root_on_top(), ())?);
        Ok(())
    }

    /// Waits until the old root is gone. Without a new root there is nothing to leave.
    fn leave(&mut self) -> sys::Result<()> {
        let Some(leaving) = self.leaving.take() else {
            return Ok(());
        };
        leaving.join()??;
        self.root = None;
        sys::chdir(c"/")
    }

    fn root(&self) -> sys::Result<&Fd> {
        self.root.as_ref().ok_or(EINVAL)
    }

    fn own(&self, from: &Text, path: &Text, attributes: u64) -> sys::Result<()> {
        let place = files::open_place(At::Dir(self.root()?), path)?;
        let from = files::open_place(At::Dir(self.root()?), from)?;
        let tree = mounts::copy_tree(&from, Reach::Mount)?;
        mounts::set_attributes(&tree, Reach::Mount, attributes)?;
        mounts::attach(&tree, &place)
    }

    fn source(&mut self, path: &Text, attributes: u64) -> sys::Result<()> {
        let place = files::open_place(At::Here, path)?;
        let reach = if files::is_dir(&place) {
            Reach::Tree
        } else {
            Reach::Mount
        };
        let tree = mounts::copy_tree(&place, reach)?;
        mounts::set_attributes(&tree, reach, attributes)?;
        self.keep(tree)
    }

    /// Gives a detached tree the next number.
    fn keep(&mut self, tree: Fd) -> sys::Result<()> {
        *self.sources.get_mut(self.count).ok_or(sys::ENOMEM)? = Some(tree);
        self.count += 1;
        Ok(())
    }

    /// Attaches the new root on top of the old one, where pivot_root(2) finds it.
    fn make_root(&mut self, size: u64) -> sys::Result<()> {
        mounts::make_all_private()?;
        let mut options = [0_u8; 64];
        let options = size_option(&mut options, size);
        let root = mounts::new_file_system(c"tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)?;
        let place = files::open_place(At::Here, c"/")?;
        mounts::attach(&root, &place)?;
        self.root = Some(root);
        Ok(())
    }

    fn attach(&self, tree: &Fd, path: &Text) -> sys::Result<()> {
        let place = files::open_place(At::Dir(self.root()?), path)?;
        mounts::attach(tree, &place)
    }
}

/// mount_setattr(2).
const MOUNT_ATTR_NOSUID: u64 = 2;
const MOUNT_ATTR_NODEV: u64 = 4;

/// `mode=0755,size=N` as a text in `buffer`.
fn size_option(buffer: &mut [u8; 64], mut size: u64) -> &Text {
    const PREFIX: &[u8] = b"mode=0755,size=";
    let mut digits = [0_u8; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (size % 10) as u8;
        size /= 10;
        count += 1;
        if size == 0 {
            break;
        }
    }
    let text = PREFIX.iter().chain(digits.iter().skip(20 - count));
    for (to, from) in buffer.iter_mut().zip(text) {
        *to = *from;
    }
    Text::from_bytes_until_nul(buffer).unwrap_or(c"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_in_decimal() {
        for (size, text) in [(0, c"mode=0755,size=0"), (1 << 31, c"mode=0755,size=2147483648")] {
            assert_eq!(size_option(&mut [0; 64], size), text);
        }
        assert_eq!(
            size_option(&mut [0; 64], u64::MAX),
            c"mode=0755,size=18446744073709551615"
        );
    }
}
