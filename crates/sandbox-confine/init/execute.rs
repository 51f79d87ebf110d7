//! Executing a program as execvp(3) does it, out of a command blob.
//!
//! Compiled twice, as the walls are: into init, and into the library for the template of a fork that is a program.
//! What must be allocated is allocated by [`Words::of`], beforehand.

use super::sys::{self, EACCES, EINVAL, ENOENT, ENOEXEC, ENOTDIR, Errno, Mapping};
use super::walls::Failure;
use super::wire::{self, Cursor, Exec, Stage, Text};

/// What to execute, laid out as the kernel takes it.
pub struct Words<'a> {
    exec: Exec<'a>,
    argv: Mapping,
    envp: Mapping,
    shell_argv: Mapping,
}

impl<'a> Words<'a> {
    /// Those of a command blob.
    pub fn of(blob: &'a [u8]) -> Result<Self, Failure> {
        let request = |errno| (Stage::Request, errno);
        let exec = Cursor(blob).exec().ok_or(request(EINVAL))?;
        Ok(Self {
            exec,
            argv: pointers(exec.argv, exec.argc, 0).map_err(request)?,
            envp: pointers(exec.envp, exec.envc, 0).map_err(request)?,
            shell_argv: pointers(exec.argv, exec.argc, 1).map_err(request)?,
        })
    }

    /// Where to start.
    pub const fn cwd(&self) -> &'a Text {
        self.exec.cwd
    }

    /// Tries every candidate. Answers what to report when none can be executed.
    pub fn execute(&mut self) -> Errno {
        let mut answer = ENOENT;
        for path in wire::texts(self.exec.candidates) {
            match sys::exec(path, &mut self.argv, &mut self.envp) {
                ENOENT | ENOTDIR => {}
                EACCES => answer = EACCES,
                ENOEXEC => return self.execute_as_script(path),
                errno => return errno,
            }
        }
        answer
    }

    /// A text without an interpreter line is the shell's, as in execvp(3).
    fn execute_as_script(&mut self, path: &Text) -> Errno {
        if let [shell, script, ..] = self.shell_argv.pointers() {
            *shell = c"/bin/sh".as_ptr() as usize;
            *script = path.as_ptr() as usize;
        }
        match sys::exec(c"/bin/sh", &mut self.shell_argv, &mut self.envp) {
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
