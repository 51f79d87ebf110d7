//! Executing a program as execvp(3) does it, out of a command blob.
//!
//! Compiled twice, as the walls are: into init, and into the library for the template of a fork that is a program.
//! What must be allocated is allocated by [`Program::of`], beforehand.

use core::cell::Cell;

use super::sys::{self, EACCES, EINVAL, ENOENT, ENOEXEC, ENOTDIR, Errno, Mapping};
use super::wire::{self, Exec, Text};

/// A program with its arguments and variables, as the kernel takes them.
pub struct Program<'a> {
    candidates: &'a [u8],
    argv: Cell<Option<Mapping>>,
    envp: Cell<Option<Mapping>>,
    shell_argv: Cell<Option<Mapping>>,
}

impl<'a> Program<'a> {
    /// What a blob says, which must stay where it is.
    pub fn of(exec: &Exec<'a>) -> sys::Result<Self> {
        Ok(Self {
            candidates: exec.candidates,
            argv: Cell::new(Some(pointers(exec.argv, exec.argc, 0)?)),
            envp: Cell::new(Some(pointers(exec.envp, exec.envc, 0)?)),
            shell_argv: Cell::new(Some(pointers(exec.argv, exec.argc, 1)?)),
        })
    }

    /// Tries every candidate. Answers what to report when none can be executed; once only.
    pub fn execute(&self) -> Errno {
        let mut answer = ENOENT;
        let (Some(mut argv), Some(mut envp)) = (self.argv.take(), self.envp.take()) else {
            return EINVAL;
        };
        for path in wire::texts(self.candidates) {
            match sys::exec(path, &mut argv, &mut envp) {
                ENOENT | ENOTDIR => {}
                EACCES => answer = EACCES,
                ENOEXEC => return self.execute_as_script(path, &mut envp),
                errno => return errno,
            }
        }
        answer
    }

    /// A text without an interpreter line is the shell's, as in execvp(3).
    fn execute_as_script(&self, path: &Text, envp: &mut Mapping) -> Errno {
        let Some(mut argv) = self.shell_argv.take() else {
            return ENOEXEC;
        };
        if let [shell, script, ..] = argv.pointers() {
            *shell = c"/bin/sh".as_ptr() as usize;
            *script = path.as_ptr() as usize;
        }
        match sys::exec(c"/bin/sh", &mut argv, envp) {
            ENOENT => ENOEXEC,
            errno => errno,
        }
    }
}

/// Pointers to `count` texts, ended by null, with `spare` places in front.
fn pointers(bytes: &[u8], count: u32, spare: usize) -> sys::Result<Mapping> {
    let count = usize::try_from(count).map_err(|_| EINVAL)?;
    let mut mapping = Mapping::of_pointers(spare + count + 1)?;
    let slots = mapping.pointers().get_mut(spare..spare + count).ok_or(EINVAL)?;
    for (slot, text) in slots.iter_mut().zip(wire::texts(bytes)) {
        *slot = text.as_ptr() as usize;
    }
    Ok(mapping)
}
