//! A second thread of init, for work beside the first.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use super::{EAGAIN, EINTR, Errno, Mapping, Result, Stack, arch};

const CLONE_VM: usize = 0x100;
const CLONE_FS: usize = 0x200;
const CLONE_FILES: usize = 0x400;
const CLONE_SIGHAND: usize = 0x800;
const CLONE_THREAD: usize = 0x1_0000;
const CLONE_SYSVSEM: usize = 0x4_0000;
const FUTEX_WAKE: usize = 1;

/// A thread that turns a `T` into an `R`. Descriptors are shared with it.
pub struct Thread<T: 'static, R: 'static> {
    shared: &'static Shared<T, R>,
}

/// What both threads see, in memory of its own.
struct Shared<T, R> {
    run: fn(&T) -> R,
    argument: T,
    result: UnsafeCell<Option<R>>,
    is_done: AtomicU32,
}

impl<T, R> Thread<T, R> {
    /// Starts `run(&argument)`.
    pub fn start(run: fn(&T) -> R, argument: T) -> Result<Self> {
        let mut memory = Mapping::of_pointers(size_of::<Shared<T, R>>().div_ceil(size_of::<usize>()))?;
        let stack = Stack::new()?;
        let place = memory.pointers().as_mut_ptr().cast::<Shared<T, R>>();
        let fresh = Shared {
            run,
            argument,
            result: UnsafeCell::new(None),
            is_done: AtomicU32::new(0),
        };
        // SAFETY: `place` is page-aligned and as large as `Shared`; nobody else knows it yet.
        unsafe { place.write(fresh) };
        // SAFETY: just written; it stays mapped for good.
        let shared = unsafe { &*place };
        let flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
        arch::clone_onto(flags, stack.top(), enter::<T, R>, place as usize, 0, 0)?;
        // Never unmapped: the thread may still be on its way out after `join`, or at work when nobody joins it
        // because something else has failed.
        core::mem::forget((memory, stack));
        Ok(Self { shared })
    }

    /// Waits for the result.
    pub fn join(self) -> Result<R> {
        let done = &self.shared.is_done;
        while done.load(Ordering::Acquire) == 0 {
            match wait_while(done, 0, None) {
                Ok(()) | Err(EAGAIN | EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        // SAFETY: the thread set `is_done` after its last access, and this is the only other one.
        let result = unsafe { &mut *self.shared.result.get() }.take();
        result.ok_or(Errno(0))
    }
}

/// futex(2): sleeps while `word` is `value`, for at most `milliseconds` if that is given.
pub fn wait_while(word: &AtomicU32, value: u32, milliseconds: Option<u32>) -> Result<()> {
    const FUTEX_WAIT: usize = 0;
    let limit = milliseconds.map(|limit| [u64::from(limit / 1000), u64::from(limit % 1000) * 1_000_000]);
    let limit = limit.as_ref().map_or(0, |limit| limit.as_ptr() as usize);
    let args = [word.as_ptr() as usize, FUTEX_WAIT, value as usize, limit, 0, 0];
    arch::call(arch::number::FUTEX, args).map(drop)
}

/// futex(2): wakes whoever sleeps on `word`.
pub fn wake(word: &AtomicU32) {
    // Waking cannot fail; a waiter that has not slept yet sees what was stored.
    let _ = arch::call(
        arch::number::FUTEX,
        [word.as_ptr() as usize, FUTEX_WAKE, 1, 0, 0, 0],
    );
}

extern "C" fn enter<T, R>(shared: usize) -> ! {
    // SAFETY: the address `start` gave, which outlives this thread.
    let shared = unsafe { &*(shared as *const Shared<T, R>) };
    let result = (shared.run)(&shared.argument);
    // SAFETY: `join` looks at it only after `is_done`.
    unsafe { *shared.result.get() = Some(result) };
    shared.is_done.store(1, Ordering::Release);
    wake(&shared.is_done);
    loop {
        // exit(2) of this thread does not return.
        let _ = arch::call(arch::number::EXIT, [0; 6]);
    }
}
