//! A child that shares init's memory and descriptors until it executes, while init goes on.

use core::sync::atomic::{AtomicU32, Ordering};

use super::process::await_change;
use super::{Mapping, Result, Stack, arch, exit};

const CLONE_VM: usize = 0x100;
const CLONE_FILES: usize = 0x400;
const CLONE_CHILD_CLEARTID: usize = 0x20_0000;
const SIGCHLD: usize = 17;

/// A child that runs `run(argument)` and ends, unless that executes a program.
pub struct Sharer<T: 'static> {
    shared: &'static Shared<T>,
    pid: i32,
}

/// What both see, in memory of its own.
struct Shared<T> {
    run: fn(&T),
    argument: T,
    /// The kernel clears it when the child lets go of the memory, by execve(2) or its end.
    shares: AtomicU32,
}

impl<T> Sharer<T> {
    /// Starts it.
    pub fn start(run: fn(&T), argument: T) -> Result<Self> {
        Self::start_with(0, run, argument)
    }

    /// Starts it in a mount namespace of its own.
    pub fn start_apart(run: fn(&T), argument: T) -> Result<Self> {
        const CLONE_NEWNS: usize = 0x2_0000;
        Self::start_with(CLONE_NEWNS, run, argument)
    }

    fn start_with(namespaces: usize, run: fn(&T), argument: T) -> Result<Self> {
        let mut memory = Mapping::of_pointers(size_of::<Shared<T>>().div_ceil(size_of::<usize>()))?;
        let stack = Stack::new()?;
        let place = memory.pointers().as_mut_ptr().cast::<Shared<T>>();
        let fresh = Shared {
            run,
            argument,
            shares: AtomicU32::new(1),
        };
        // SAFETY: `place` is page-aligned and as large as `Shared`; nobody else knows it yet.
        unsafe { place.write(fresh) };
        // SAFETY: just written; it stays mapped for good.
        let shared = unsafe { &*place };
        let flags = namespaces | CLONE_VM | CLONE_FILES | CLONE_CHILD_CLEARTID | SIGCHLD;
        let word = shared.shares.as_ptr() as usize;
        let pid = arch::clone_onto(flags, stack.top(), enter::<T>, place as usize, word, 0)? as i32;
        // Never unmapped: nobody knows when the child has let go of it. There is one in the life of an init or a keeper.
        core::mem::forget((memory, stack));
        Ok(Self { shared, pid })
    }

    /// What it was given.
    pub fn argument(&self) -> &'static T {
        &self.shared.argument
    }

    /// Its number.
    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it has executed a program, or has ended.
    pub fn has_let_go(&self) -> bool {
        self.shared.shares.load(Ordering::Acquire) == 0
    }

    /// Waits until it has let go; `meanwhile(pid)` is called whenever that takes long.
    pub fn await_letting_go(&self, meanwhile: impl Fn(i32)) {
        await_change(&self.shared.shares, 1, self.pid, meanwhile);
    }

    /// Waits until it has changed `word` of its argument, or has ended.
    pub fn await_change(&self, word: &AtomicU32, value: u32, meanwhile: impl Fn(i32)) {
        await_change(word, value, self.pid, meanwhile);
    }
}

extern "C" fn enter<T>(shared: usize) -> ! {
    // SAFETY: the address that `start` gave, which is never unmapped.
    let shared = unsafe { &*(shared as *const Shared<T>) };
    (shared.run)(&shared.argument);
    exit(127)
}
