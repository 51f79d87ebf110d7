//! The first instructions of every filter: the ABI, and numbers that we do not know.
//!
//! They stand before what libseccomp generates, which is sound because classic BPF jumps are relative and go
//! forward only. Here rather than there, because "everything above the last number I know" and "every gap in the
//! table" are ranges, and libseccomp has rules for single numbers only; and because a call of another ABI must be
//! killed whatever the version of the library makes of it.

use super::numbers::{self, Arch};

/// One instruction, as `struct sock_filter` lies in memory.
pub(super) const INSTRUCTION: usize = 8;

/// The prologue for `arch`. Falls through for a known number of the right ABI.
pub(super) fn bytes(arch: Arch) -> Vec<u8> {
    let mut code = vec![
        load(ARCHITECTURE),
        skip_if(EQUAL, arch.audit_token()),
        answer(KILL_PROCESS),
        load(NUMBER),
    ];
    // A tracer writes −1 to skip a call; it must not be taken for an x32 number.
    code.extend([skip_unless(EQUAL, u32::MAX), answer(NO_SUCH_CALL)]);
    if arch == Arch::X86_64 {
        code.extend([skip_unless(ANY_BIT, X32_CALL_BIT), answer(KILL_PROCESS)]);
    }
    for (first, last) in gaps(&numbers::numbers(arch)) {
        // Below the gap: jump over the second test too.
        code.push(jump(AT_LEAST, first, 0, 2));
        code.extend([skip_if(ABOVE, last), answer(NO_SUCH_CALL)]);
    }
    code.concat()
}

/// The ranges of numbers, first and last, that are not in `known`, up to the last number there could be.
fn gaps(known: &[u32]) -> Vec<(u32, u32)> {
    let after = known.iter().map(|number| number + 1);
    let before = known.iter().skip(1).map(|number| number - 1).chain([u32::MAX]);
    after.zip(before).filter(|(first, last)| first <= last).collect()
}

const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const X32_CALL_BIT: u32 = 0x4000_0000;

/// `SECCOMP_RET_KILL_PROCESS`.
const KILL_PROCESS: u32 = 0x8000_0000;
/// `SECCOMP_RET_ERRNO` with ENOSYS.
const NO_SUCH_CALL: u32 = 0x0005_0000 | libc::ENOSYS.cast_unsigned();

/// `BPF_LD | BPF_W | BPF_ABS`.
const LOAD: u16 = 0x20;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGT | BPF_K`.
const ABOVE: u16 = 0x25;
/// `BPF_JMP | BPF_JGE | BPF_K`.
const AT_LEAST: u16 = 0x35;
/// `BPF_JMP | BPF_JSET | BPF_K`.
const ANY_BIT: u16 = 0x45;

type Instruction = [u8; INSTRUCTION];

fn load(offset: u32) -> Instruction {
    instruction(LOAD, 0, 0, offset)
}

fn answer(action: u32) -> Instruction {
    instruction(RETURN, 0, 0, action)
}

/// Skips the next instruction when the test holds.
fn skip_if(test: u16, value: u32) -> Instruction {
    jump(test, value, 1, 0)
}

/// Skips the next instruction when the test does not hold.
fn skip_unless(test: u16, value: u32) -> Instruction {
    jump(test, value, 0, 1)
}

fn jump(test: u16, value: u32, when_true: u8, when_false: u8) -> Instruction {
    instruction(test, when_true, when_false, value)
}

fn instruction(code: u16, when_true: u8, when_false: u8, value: u32) -> Instruction {
    let [c0, c1] = code.to_ne_bytes();
    let [v0, v1, v2, v3] = value.to_ne_bytes();
    [c0, c1, when_true, when_false, v0, v1, v2, v3]
}
