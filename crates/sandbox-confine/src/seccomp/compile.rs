//! From a spec to a program that seccomp(2) takes: the search among the numbers, then the lists on arguments.

use std::collections::BTreeMap;

use super::conditions::List;
use super::error::SeccompError;
use super::instruction::{INSTRUCTION, Instruction, skip};
use super::library::{self, PASS};
use super::numbers::Arch;
use super::ranges::ranges;
use super::rules::{self, Call};
use super::search::search;
use super::spec::FilterSpec;

/// A filter program: an array of `struct sock_filter` in this machine's byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bpf(Vec<u8>);

impl Bpf {
    /// A program of these instructions.
    #[allow(dead_code, reason = "the build uses a part")]
    pub(super) fn of(instructions: &[Instruction]) -> Self {
        Self(instructions.concat())
    }

    /// The program as seccomp(2) reads it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The program as seccomp(2) reads it, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// How many instructions it has; never more than the kernel takes.
    pub fn instructions(&self) -> usize {
        self.0.len() / INSTRUCTION
    }
}

/// Makes the program of `spec` for the machine this runs on. Takes a fraction of a millisecond: once a policy.
pub fn compile(spec: &FilterSpec) -> Result<Bpf, SeccompError> {
    let arch = Arch::native().ok_or(SeccompError::UnsupportedArchitecture)?;
    let calls = rules::plan(spec, arch)?;
    let program = Bpf(join(arch, &calls, lists(&calls)?).concat());
    let instructions = program.instructions();
    if instructions > KERNEL_MAXIMUM {
        Err(SeccompError::TooLong { instructions })
    } else {
        Ok(program)
    }
}

/// `BPF_MAXINSNS`.
const KERNEL_MAXIMUM: usize = 4096;

/// The programs of the lists that have cases.
fn lists(calls: &[Call]) -> Result<Vec<(List, Vec<Instruction>)>, SeccompError> {
    let mut programs = Vec::new();
    for list in List::ALL {
        let mut cases = calls
            .iter()
            .flat_map(Call::cases)
            .filter(|(_, case)| case.list == list)
            .peekable();
        if cases.peek().is_some() {
            programs.push((list, library::generate(list, cases)?));
        }
    }
    Ok(programs)
}

/// The whole program. Its parts can simply stand one behind the other, because jumps are relative.
fn join(arch: Arch, calls: &[Call], lists: Vec<(List, Vec<Instruction>)>) -> Vec<Instruction> {
    let mut starts = BTreeMap::new();
    let mut behind = Vec::new();
    for (list, program) in lists {
        starts.insert(list, behind.len());
        behind.extend(program);
    }
    if let Some(last) = starts.get(&List::LAST) {
        for (at, instruction) in behind.iter_mut().enumerate().take(*last) {
            if *instruction == PASS {
                *instruction = skip(last - at - 1);
            }
        }
    }
    let mut program = search(arch, &ranges(calls, arch), &starts);
    program.append(&mut behind);
    program
}
