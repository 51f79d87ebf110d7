//! Where views of clones are made: a process of the keeper's that sees nothing but the trees they are made of.
//!
//! It shares the keeper's memory and descriptors, and has a mount namespace of its own, in the keeper's user namespace,
//! with a root in which there is nothing but those trees: `/0`, `/1` and so on. What it makes are detached overlays, which
//! others attach. So no process that runs anything of the caller's ever sees the directories that branches are kept in.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::overlay;
use crate::sys::files::{self, At};
use crate::sys::{self, EAGAIN, EINTR, EINVAL, ESRCH, Fd, Mapping, Sharer, mounts, wait_while, wake};
use crate::wire::{Cursor, MAX_TREES, MAX_VIEWS, MESSAGE_FDS, Text};

/// mount_setattr(2).
const NOSUID_NODEV: u64 = 2 | 4;

/// What trees are called.
const NAMES: [&Text; MAX_TREES] = [c"0", c"1", c"2", c"3", c"4"];

/// The process, as the keeper has it.
pub struct Workshop(Sharer<Bench>);

/// What a clone gets: its overlays, detached, and its lock.
#[derive(Default)]
pub struct Made {
    pub overlays: [Option<Fd>; MAX_VIEWS],
    pub lock: Option<Fd>,
}

/// What both have in common. Who may touch it is whose turn it is, by `state`.
struct Bench {
    state: AtomicU32,
    trees: Cell<Trees>,
    /// Views and clones, and how much of it has been used.
    blob: Cell<Option<Mapping>>,
    used: Cell<usize>,
    made: Cell<Option<sys::Result<Made>>>,
}

type Trees = [Option<Fd>; MESSAGE_FDS];

/// It gets ready.
const STARTS: u32 = 0;
/// It waits for an order.
const WAITS: u32 = 1;
/// It works at one.
const WORKS: u32 = 2;

impl Workshop {
    /// Starts it with these trees.
    pub fn start(trees: Trees) -> sys::Result<Self> {
        let bench = Bench {
            state: AtomicU32::new(STARTS),
            trees: Cell::new(trees),
            blob: Cell::new(None),
            used: Cell::new(0),
            made: Cell::new(None),
        };
        let child = Sharer::start_apart(Bench::run, bench)?;
        let bench = child.argument();
        child.await_change(&bench.state, STARTS, |_| {});
        if bench.state.load(Ordering::Acquire) == WAITS {
            return Ok(Self(child));
        }
        Err(match bench.made.take() {
            Some(Err(errno)) => errno,
            _ => ESRCH,
        })
    }

    /// What is made from now on.
    pub fn take_orders(&self, blob: Mapping) {
        let bench = self.0.argument();
        bench.blob.set(Some(blob));
        bench.used.set(0);
    }

    /// Makes what the next clone gets.
    pub fn make(&self) -> sys::Result<Made> {
        let bench = self.0.argument();
        if bench.state.load(Ordering::Acquire) != WAITS || self.0.has_let_go() {
            return Err(ESRCH);
        }
        bench.turn(WORKS);
        self.0.await_change(&bench.state, WORKS, |_| {});
        bench.made.take().unwrap_or(Err(ESRCH))
    }
}

impl Bench {
    fn run(&self) {
        if let Err(errno) = self.set_up() {
            self.made.set(Some(Err(errno)));
            return;
        }
        loop {
            self.turn(WAITS);
            while self.state.load(Ordering::Acquire) == WAITS {
                match wait_while(&self.state, WAITS, None) {
                    Ok(()) | Err(EAGAIN | EINTR) => {}
                    Err(_) => return,
                }
            }
            self.made.set(Some(self.next()));
        }
    }

    fn turn(&self, state: u32) {
        self.state.store(state, Ordering::Release);
        wake(&self.state);
    }

    /// Enters a root in which nothing is but the trees.
    fn set_up(&self) -> sys::Result<()> {
        sys::set_name(c"sandbox-views")?;
        let root = mounts::new_file_system(c"tmpfs", c"mode=0700,size=65536", NOSUID_NODEV)?;
        mounts::attach(&root, &files::open_place(At::Here, c"/")?)?;
        for (tree, name) in self.trees.take().iter().flatten().zip(NAMES) {
            files::make_dir(At::Dir(&root), name, 0o700)?;
            mounts::attach(tree, &files::open_place(At::Dir(&root), name)?)?;
        }
        sys::fchdir(&root)?;
        sys::change_root_here()?;
        sys::detach_root_on_top()?;
        sys::chdir(c"/")
    }

    fn next(&self) -> sys::Result<Made> {
        let blob = self.blob.take().ok_or(EINVAL)?;
        let made = self.next_of(blob.bytes());
        self.blob.set(Some(blob));
        made
    }

    fn next_of(&self, blob: &[u8]) -> sys::Result<Made> {
        let mut cursor = Cursor(blob);
        let views = cursor.views().ok_or(EINVAL)?;
        cursor = Cursor(cursor.0.get(self.used.get()..).ok_or(EINVAL)?);
        let all = cursor.0.len();
        let lock = cursor.text().ok_or(EINVAL)?;
        let mut made = Made {
            lock: match lock.is_empty() {
                true => None,
                false => Some(files::lock(lock)?),
            },
            ..Made::default()
        };
        for (view, slot) in views.iter().flatten().zip(&mut made.overlays) {
            let upper = cursor.text().ok_or(EINVAL)?;
            let work = cursor.text().ok_or(EINVAL)?;
            let written = (!upper.is_empty()).then_some((upper, work));
            *slot = Some(overlay::mount_named(view.lowers, written, NOSUID_NODEV)?);
        }
        self.used.set(self.used.get() + all - cursor.0.len());
        Ok(made)
    }
}
