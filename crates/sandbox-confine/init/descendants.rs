//! Everything below init, where there is no pid namespace to end it with.
//!
//! Init is the subreaper, so nothing that a command starts gets away from it; /proc says who they are. A
//! fork bomb is chased: each round stops and kills all that it sees, until a round sees nobody.

use crate::sys::files::{self, open_read};
use crate::sys::{self, Fd};
use crate::wire::Text;

const SIGKILL: u64 = 9;
const SIGSTOP: u64 = 19;

/// Kills and reaps every descendant; returns when none is left.
pub fn kill_all() {
    // Stopped first, so that no round is outrun by forks of those it has not come to.
    signal_all(SIGSTOP);
    loop {
        signal_all(SIGKILL);
        if !sys::wait_for_any() {
            return;
        }
    }
}

/// Signals every descendant.
pub fn signal_all(signal: u64) {
    signal_below(sys::getpid(), signal, 0);
}

/// How deep a family tree is followed; what is deeper is reached when its ancestors are gone.
const MAX_DEPTH: u32 = 64;

fn signal_below(pid: i32, signal: u64, depth: u32) {
    if depth == MAX_DEPTH {
        return;
    }
    // Each thread lists the children that it has made.
    each_task(pid, |task| {
        let Some(children) = open_of(pid, Some(task)) else {
            return;
        };
        each_number(&children, |child| {
            if signal == SIGSTOP {
                // From the top: a stopped parent forks no more.
                let _ = sys::kill(child, signal);
                signal_below(child, signal, depth + 1);
            } else {
                signal_below(child, signal, depth + 1);
                // ESRCH: it has ended meanwhile.
                let _ = sys::kill(child, signal);
            }
        });
    });
}

/// Calls `each` for every thread of `pid`.
fn each_task(pid: i32, mut each: impl FnMut(i32)) {
    let Some(directory) = open_of(pid, None) else {
        return;
    };
    let mut buffer = [0_u8; 1024];
    while let Ok(count @ 1..) = files::list(&directory, &mut buffer) {
        let mut rest = buffer.get(..count).unwrap_or_default();
        // An inode and an offset of 8 bytes each, the entry's length, its type, its name (getdents64(2)).
        while let [
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            low,
            high,
            _,
            name @ ..,
        ] = rest
        {
            if let Some(task) = leading_number(name) {
                each(task);
            }
            let length = usize::from(u16::from_ne_bytes([*low, *high]));
            rest = rest.get(length.max(1)..).unwrap_or_default();
        }
    }
}

fn leading_number(text: &[u8]) -> Option<i32> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number, byte| {
        Some(
            number
                .unwrap_or(0_i32)
                .wrapping_mul(10)
                .wrapping_add(i32::from(byte - b'0')),
        )
    })
}

/// /proc/PID/task, or the list of children of one thread in it.
fn open_of(pid: i32, task: Option<i32>) -> Option<Fd> {
    let mut buffer = [0_u8; 64];
    let (mut pid_digits, mut task_digits) = ([0_u8; 12], [0_u8; 12]);
    let pid = decimal(pid, &mut pid_digits);
    let (task, children): (&[u8], &[u8]) = match task {
        Some(task) => (decimal(task, &mut task_digits), b"/children"),
        None => (b"", b""),
    };
    let path: [&[u8]; 5] = [b"/proc/", pid, b"/task/", task, children];
    let mut place = buffer.iter_mut();
    for byte in path.iter().flat_map(|part| part.iter()).chain(b"\0") {
        *place.next()? = *byte;
    }
    open_read(Text::from_bytes_until_nul(&buffer).ok()?).ok()
}

/// A number as digits.
pub fn decimal(number: i32, buffer: &mut [u8; 12]) -> &[u8] {
    let mut rest = number.unsigned_abs();
    let mut start = buffer.len();
    for (index, digit) in buffer.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        start = index;
        if rest == 0 {
            break;
        }
    }
    buffer.get(start..).unwrap_or_default()
}

/// Calls `each` for every number of a file of numbers separated by spaces.
fn each_number(file: &Fd, mut each: impl FnMut(i32)) {
    let mut chunk = [0_u8; 512];
    let mut number: Option<i32> = None;
    while let Ok(count @ 1..) = files::read(file, &mut chunk) {
        for byte in chunk.iter().take(count) {
            match byte {
                b'0'..=b'9' => {
                    let digit = i32::from(byte - b'0');
                    number = Some(number.unwrap_or(0).wrapping_mul(10).wrapping_add(digit));
                }
                _ => {
                    if let Some(pid) = number.take() {
                        each(pid);
                    }
                }
            }
        }
    }
    if let Some(pid) = number {
        each(pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_number_or_none() {
        assert_eq!(leading_number(b"4242\0\0"), Some(4242));
        assert_eq!([leading_number(b"..\0"), leading_number(b"")], [None, None]);
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [1, 42, 4_194_304, i32::MAX] {
            assert_eq!(decimal(number, &mut [0; 12]), number.to_string().as_bytes());
        }
    }
}
