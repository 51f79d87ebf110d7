//! The filter that a clone puts before that of its template: what only the template needed is refused again.

use super::compile::Bpf;
use super::error::SeccompError;
use super::instruction::{Instruction, Test, answer, branch, load_number};
use super::numbers::{self, Arch};
use super::select;
use super::spec::FilterSpec;

const ALLOW: u32 = 0x7FFF_0000;
const NOT_PERMITTED: u32 = 0x0005_0000 | 1;

/// The program for clones of a template whose filter is that of `spec`. The template's own stays in force: another
/// architecture's calls never get here.
pub fn narrowing(spec: &FilterSpec) -> Result<Bpf, SeccompError> {
    let arch = Arch::native().ok_or(SeccompError::UnsupportedArchitecture)?;
    let calls = select::only_for_template(spec)?;
    let mut program: Vec<Instruction> = vec![load_number()];
    for number in calls.into_iter().filter_map(|call| numbers::number(call, arch)) {
        program.push(branch(Test::Equal, number, 0, 1));
        program.push(answer(NOT_PERMITTED));
    }
    program.push(answer(ALLOW));
    Ok(Bpf::of(&program))
}
