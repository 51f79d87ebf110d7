//! One list of cases as a program, by libseccomp.

use std::fs::File;
use std::io::{self, Read, Seek};

use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use rustix::fs::{MemfdFlags, memfd_create};

use super::conditions::{Case, Condition, List, Verdict};
use super::error::SeccompError;
use super::instruction::{Instruction, answer};
use super::tidy::tidy;

/// How a program says that the next list decides, until the programs are joined. `SECCOMP_RET_KILL_THREAD`, which
/// nothing else in a filter answers: a marker that was left in place would end the caller, not let it through.
pub(super) const PASS: Instruction = answer(0);

/// The program of `list`, from pairs of a number and a case.
pub(super) fn generate<'a>(
    list: List,
    cases: impl Iterator<Item = (u32, &'a Case)>,
) -> Result<Vec<Instruction>, SeccompError> {
    let mut filter = ScmpFilterContext::new(action(list.otherwise()))?;
    filter.set_act_badarch(ScmpAction::KillProcess)?;
    for (number, case) in cases {
        let comparisons: Vec<_> = case.when.iter().map(comparison).collect();
        let call = ScmpSyscall::from_raw_syscall(number.cast_signed());
        filter.add_rule_conditional_exact(action(case.verdict), call, &comparisons)?;
    }
    let program = read_back(&filter)?;
    let (instructions, _) = program.as_chunks();
    Ok(tidy(instructions))
}

fn action(verdict: Verdict) -> ScmpAction {
    match verdict {
        Verdict::Allow => ScmpAction::Allow,
        Verdict::Errno(errno) => ScmpAction::Errno(errno),
        Verdict::Pass => ScmpAction::KillThread,
    }
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
