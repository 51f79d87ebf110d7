//! The filter as data, as a program, and loaded into a process.

mod arguments;
mod builtin;
mod interpreter;
mod kernel;
mod length;
mod model;
mod policy;
mod profiles;
mod search;
mod sockets;
mod sys;
mod table;

use sandbox_types::policy::SyscallProfile;

use self::interpreter::{Answer, ignores_arguments, run};
use super::numbers::{self, Arch};
use super::{Bpf, FilterSpec, Toggles, compile};

/// A compiled filter that answers questions.
struct Filter(Bpf);

impl Filter {
    fn of(spec: &FilterSpec) -> Self {
        Self(compile(spec).unwrap_or_else(|error| panic!("{spec:?}: {error}")))
    }

    fn profile(profile: SyscallProfile) -> Self {
        Self::of(&FilterSpec::new(profile, Toggles::namespaced()))
    }

    /// The answer to the call `name`; ENOSYS by the kernel itself when this machine does not have it.
    fn call(&self, name: &str, args: &[u64]) -> Answer {
        match numbers::number(name, native()) {
            Some(number) => self.number(number, args),
            None => Answer::Errno(libc::ENOSYS),
        }
    }

    fn number(&self, number: u32, args: &[u64]) -> Answer {
        self.foreign(native().audit_token(), number, args)
    }

    fn ignores_arguments(&self, number: u32) -> bool {
        ignores_arguments(self.0.as_bytes(), number, native().audit_token())
    }

    fn foreign(&self, audit_token: u32, number: u32, args: &[u64]) -> Answer {
        run(self.0.as_bytes(), number, audit_token, args)
    }
}

fn native() -> Arch {
    Arch::native().expect("the tests run where filters can be made")
}

const EPERM: Answer = Answer::Errno(libc::EPERM);
const ENOSYS: Answer = Answer::Errno(libc::ENOSYS);

/// What a careless or hostile caller leaves in the upper half of a register.
const GARBAGE: u64 = 0xDEAD_BEEF_0000_0000;
