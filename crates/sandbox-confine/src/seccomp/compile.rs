//! From rules to a program that seccomp(2) takes.

use std::fs::File;
use std::io::{self, Read, Seek};

use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use rustix::fs::{MemfdFlags, memfd_create};

use super::conditions::{Condition, Verdict};
use super::error::SeccompError;
use super::numbers::Arch;
use super::prologue::{self, INSTRUCTION};
use super::rules::{self, Rule};
use super::spec::FilterSpec;

/// A filter program: an array of `struct sock_filter` in this machine's byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bpf(Vec<u8>);

impl Bpf {
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

/// Makes the program of `spec` for the machine this runs on. Takes about a millisecond: once a policy.
pub fn compile(spec: &FilterSpec) -> Result<Bpf, SeccompError> {
    let arch = Arch::native().ok_or(SeccompError::UnsupportedArchitecture)?;
    let mut program = prologue::bytes(arch);
    program.extend(generate(&rules::plan(spec, arch)?)?);
    let program = Bpf(program);
    let instructions = program.instructions();
    if instructions > KERNEL_MAXIMUM {
        Err(SeccompError::TooLong { instructions })
    } else {
        Ok(program)
    }
}

/// `BPF_MAXINSNS`.
const KERNEL_MAXIMUM: usize = 4096;

/// libseccomp's balanced tree over the numbers, instead of one comparison after the other.
const BINARY_TREE: u32 = 2;

fn generate(rules: &[Rule]) -> Result<Vec<u8>, SeccompError> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(libc::EPERM))?;
    filter.set_act_badarch(ScmpAction::KillProcess)?;
    filter.set_ctl_optimize(BINARY_TREE)?;
    for rule in rules {
        let action = match rule.case.verdict {
            Verdict::Allow => ScmpAction::Allow,
            Verdict::Errno(errno) => ScmpAction::Errno(errno),
        };
        let comparisons: Vec<_> = rule.case.when.iter().map(comparison).collect();
        let call = ScmpSyscall::from_raw_syscall(rule.number.cast_signed());
        filter.add_rule_conditional_exact(action, call, &comparisons)?;
    }
    read_back(&filter)
}

fn comparison(condition: &Condition) -> ScmpArgCompare {
    let masked = ScmpCompareOp::MaskedEqual(condition.mask);
    ScmpArgCompare::new(u32::from(condition.argument), masked, condition.value)
}

/// Through a memory file: libseccomp 2.5 writes to a descriptor only, and a pipe may be too small for it.
fn read_back(filter: &ScmpFilterContext) -> Result<Vec<u8>, SeccompError> {
    let mut file = memfd_create("filter", MemfdFlags::CLOEXEC)
        .map(File::from)
        .map_err(export)?;
    filter.export_bpf(&file)?;
    file.rewind().map_err(export)?;
    let mut program = Vec::new();
    file.read_to_end(&mut program).map_err(export)?;
    Ok(program)
}

fn export(error: impl Into<io::Error>) -> SeccompError {
    SeccompError::Export(error.into())
}
