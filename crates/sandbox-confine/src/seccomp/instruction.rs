//! The instructions that we write or look into, as `struct sock_filter` lies in memory.

/// Eight bytes: operation, two jump offsets, an operand.
pub(super) type Instruction = [u8; INSTRUCTION];

/// The size of one instruction.
pub(super) const INSTRUCTION: usize = 8;

/// A comparison of what was loaded with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// `BPF_JMP | BPF_JEQ | BPF_K`.
    Equal = 0x15,
    /// `BPF_JMP | BPF_JGE | BPF_K`.
    AtLeast = 0x35,
}

/// Loads the number of the call.
pub(super) fn load_number() -> Instruction {
    load(0)
}

/// Loads the `AUDIT_ARCH_*` token of the call.
pub(super) fn load_architecture() -> Instruction {
    load(4)
}

/// Ends the program with a `SECCOMP_RET_*` value.
pub(super) const fn answer(action: u32) -> Instruction {
    /// `BPF_RET | BPF_K`.
    const RETURN: u16 = 0x06;
    instruction(RETURN, 0, 0, action)
}

/// Skips as many instructions as the test says.
pub(super) fn branch(test: Test, value: u32, when_true: u8, when_false: u8) -> Instruction {
    instruction(test as u16, when_true, when_false, value)
}

/// Skips `instructions`. The only jump that goes farther than 255.
pub(super) fn skip(instructions: usize) -> Instruction {
    // A distance that does not fit is longer than any program, and the kernel refuses to load it.
    instruction(ALWAYS, 0, 0, u32::try_from(instructions).unwrap_or(u32::MAX))
}

/// Loads the word at `offset` of `struct seccomp_data`.
pub(super) fn load(offset: u32) -> Instruction {
    instruction(LOAD, 0, 0, offset)
}

/// Keeps those bits of what was loaded that are in `mask`.
pub(super) fn keep(mask: u32) -> Instruction {
    /// `BPF_ALU | BPF_AND | BPF_K`.
    const AND: u16 = 0x54;
    instruction(AND, 0, 0, mask)
}

/// Whether it makes no difference what was loaded before.
pub(super) fn is_load(instruction: Instruction) -> bool {
    operation(instruction) == LOAD
}

/// How many instructions it may skip: when its test holds, and when not.
pub(super) fn jumps(instruction: Instruction) -> Vec<usize> {
    let [_, _, yes, no, operand @ ..] = instruction;
    match operation(instruction) {
        ALWAYS => usize::try_from(u32::from_ne_bytes(operand)).into_iter().collect(),
        other if other & CLASS == JUMP => vec![yes.into(), no.into()],
        _ => Vec::new(),
    }
}

/// The instruction after some were taken out: `gone` says how many of those that a jump of this distance skips.
pub(super) fn shortened(instruction: Instruction, gone: impl Fn(usize) -> usize) -> Instruction {
    let [c0, c1, yes, no, v0, v1, v2, v3] = instruction;
    let left = |distance: usize| distance - gone(distance);
    // What is left of a byte fits a byte.
    let left_of_byte = |distance: u8| u8::try_from(left(distance.into())).unwrap_or(distance);
    match (operation(instruction), jumps(instruction).as_slice()) {
        (_, [distance]) => skip(left(*distance)),
        (_, [_, _]) => [c0, c1, left_of_byte(yes), left_of_byte(no), v0, v1, v2, v3],
        _ => instruction,
    }
}

/// `BPF_LD | BPF_W | BPF_ABS`.
const LOAD: u16 = 0x20;
/// `BPF_JMP | BPF_JA`.
const ALWAYS: u16 = 0x05;
/// `BPF_JMP`.
const JUMP: u16 = 0x05;
/// The bits of an operation that say what kind it is.
const CLASS: u16 = 0x07;

fn operation(instruction: Instruction) -> u16 {
    let [c0, c1, ..] = instruction;
    u16::from_ne_bytes([c0, c1])
}

const fn instruction(code: u16, when_true: u8, when_false: u8, value: u32) -> Instruction {
    let [c0, c1] = code.to_ne_bytes();
    let [v0, v1, v2, v3] = value.to_ne_bytes();
    [c0, c1, when_true, when_false, v0, v1, v2, v3]
}
