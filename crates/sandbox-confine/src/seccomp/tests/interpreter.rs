//! Classic BPF as seccomp runs it: loads from `seccomp_data`, tests, forward jumps, one accumulator.

/// What a filter decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Allow,
    KillProcess,
    Errno(i32),
}

/// Runs `program` as for the call `number` with `args` of the ABI `audit_token`. Panics where the kernel would
/// refuse to load the program.
pub(super) fn run(program: &[u8], number: u32, audit_token: u32, args: &[u64]) -> Answer {
    run_and_watch(program, number, audit_token, args).0
}

/// Whether `program` answers the call `number` without a look at its arguments. Then the kernel (5.11 and later)
/// notes an allowed call in a bitmap when the program is loaded and never runs the program for it.
pub(super) fn ignores_arguments(program: &[u8], number: u32, audit_token: u32) -> bool {
    !run_and_watch(program, number, audit_token, &[]).1
}

/// The answer, and whether anything but the number and the architecture was loaded.
fn run_and_watch(program: &[u8], number: u32, audit_token: u32, args: &[u64]) -> (Answer, bool) {
    let mut looked = false;
    let data = seccomp_data(number, audit_token, args);
    let (mut at, mut accumulator, mut scratch, mut x) = (0, 0_u32, [0_u32; 16], 0_u32);
    loop {
        let instruction = &program[at * 8..at * 8 + 8];
        let op = u16::from_ne_bytes([instruction[0], instruction[1]]);
        let (when_true, when_false) = (usize::from(instruction[2]), usize::from(instruction[3]));
        let k = u32::from_ne_bytes(instruction[4..].try_into().unwrap());
        let index = k as usize;
        at += 1;
        let test = match op {
            0x20 => {
                assert_eq!(k % 4, 0, "seccomp loads aligned words only");
                looked |= k > 4;
                accumulator = u32::from_ne_bytes(data[index..index + 4].try_into().unwrap());
                continue;
            }
            0x02 => {
                scratch[index] = accumulator;
                continue;
            }
            0x60 => {
                accumulator = scratch[index];
                continue;
            }
            0x07 => {
                x = accumulator;
                continue;
            }
            0x87 => {
                accumulator = x;
                continue;
            }
            0x54 => {
                accumulator &= k;
                continue;
            }
            0x05 => {
                at += index;
                continue;
            }
            0x06 => return (answer(k), looked),
            0x15 => accumulator == k,
            0x25 => accumulator > k,
            0x35 => accumulator >= k,
            0x45 => accumulator & k != 0,
            other => panic!("instruction {other:#x} is not expected in a filter"),
        };
        at += if test { when_true } else { when_false };
    }
}

fn seccomp_data(number: u32, audit_token: u32, args: &[u64]) -> [u8; 64] {
    let mut data = [0; 64];
    data[..4].copy_from_slice(&number.to_ne_bytes());
    data[4..8].copy_from_slice(&audit_token.to_ne_bytes());
    for (place, argument) in data[16..].chunks_exact_mut(8).zip(args) {
        place.copy_from_slice(&argument.to_ne_bytes());
    }
    data
}

fn answer(value: u32) -> Answer {
    match value & 0xFFFF_0000 {
        0x7FFF_0000 => Answer::Allow,
        0x8000_0000 => Answer::KillProcess,
        0x0005_0000 => Answer::Errno(i32::try_from(value & 0xFFFF).unwrap()),
        other => panic!("action {other:#x} is not expected from a filter"),
    }
}
