//! The instructions that we write ourselves, as `struct sock_filter` lies in memory.

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
    /// `BPF_JMP | BPF_JA`.
    const ALWAYS: u16 = 0x05;
    // A distance that does not fit is longer than any program, and the kernel refuses to load it.
    instruction(ALWAYS, 0, 0, u32::try_from(instructions).unwrap_or(u32::MAX))
}

fn load(offset: u32) -> Instruction {
    /// `BPF_LD | BPF_W | BPF_ABS`.
    const LOAD: u16 = 0x20;
    instruction(LOAD, 0, 0, offset)
}

const fn instruction(code: u16, when_true: u8, when_false: u8, value: u32) -> Instruction {
    let [c0, c1] = code.to_ne_bytes();
    let [v0, v1, v2, v3] = value.to_ne_bytes();
    [c0, c1, when_true, when_false, v0, v1, v2, v3]
}
