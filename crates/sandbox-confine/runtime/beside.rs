//! Forking beside a process: vfork(2) whose child forks on.
//!
//! Compiled twice, see [`super::template`].
#![allow(unsafe_code)]

use core::ffi::c_void;

use super::sys::{Errno, Result};

/// Where fork(2) has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// In the process that called, with the child's pid.
    Parent(i32),
    /// In the child.
    Child,
}

/// What the function given to [`beside`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// The process beside this one is done.
    Over,
    /// This is a copy that it has forked.
    InCopy,
}

/// Runs `child` in a process that shares this one's memory, which meanwhile stands still, as with vfork(2). When
/// `child` is over so is that process; unless it has forked: in a child of *its* own, a copy of this process, it
/// answers [`Beside::InCopy`], and that copy goes on from here.
///
/// So this returns once in this process, with the pid of the process that is over, and once in each such copy.
pub fn beside<T>(argument: &mut T, child: fn(&mut T) -> Beside) -> Result<Forked> {
    struct Call<'a, T> {
        argument: &'a mut T,
        child: fn(&mut T) -> Beside,
    }
    extern "C" fn enter<T>(call: *mut c_void) -> i64 {
        // SAFETY: the `Call` below, whose owner stands still while this runs.
        let call = unsafe { &mut *call.cast::<Call<'_, T>>() };
        match (call.child)(call.argument) {
            Beside::Over => -1,
            Beside::InCopy => 0,
        }
    }
    let mut call = Call { argument, child };
    // SAFETY: `enter` takes what it is given; `call` outlives the child that shares it.
    let result = unsafe { sandbox_fork_beside(enter::<T>, (&raw mut call).cast()) };
    match i32::try_from(result) {
        Ok(0) => Ok(Forked::Child),
        Ok(pid) if pid > 0 => Ok(Forked::Parent(pid)),
        Ok(errno) => Err(Errno(-errno)),
        Err(_) => Err(super::sys::EINVAL),
    }
}

unsafe extern "C" {
    fn sandbox_fork_beside(child: extern "C" fn(*mut c_void) -> i64, argument: *mut c_void) -> i64;
}

// clone(CLONE_VM | CLONE_VFORK | SIGCHLD) on the caller's own stack, below what the caller has on it: the child returns
// from here in a copy of the memory only, so each memory sees one return. Written by hand because a compiler must not
// keep anything on that stack across the call.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl sandbox_fork_beside",
    ".hidden sandbox_fork_beside",
    ".type sandbox_fork_beside,@function",
    "sandbox_fork_beside:",
    "push rbx",
    "push r12",
    "push r13",
    "mov r12, rdi",
    "mov r13, rsi",
    "mov eax, 56",
    "mov edi, 0x4111",
    "xor esi, esi",
    "xor edx, edx",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "syscall",
    "test rax, rax",
    "jnz 2f",
    "mov rdi, r13",
    "call r12",
    "test rax, rax",
    "jns 2f",
    "xor edi, edi",
    "mov eax, 231",
    "syscall",
    "ud2",
    "2:",
    "pop r13",
    "pop r12",
    "pop rbx",
    "ret",
    ".size sandbox_fork_beside, . - sandbox_fork_beside",
);
