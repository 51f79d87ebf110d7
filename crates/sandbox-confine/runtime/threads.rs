//! How many threads this process has.

use super::sys::files;

/// How often threads that have been told to end are looked for, a millisecond apart.
const LOOKS: u32 = 50;

/// How many threads there are, when those have ended that end at a fork: libraries with threads of their own (OpenBLAS)
/// stop them in a handler of pthread_atfork(3), which `fork` has run. `None` where /proc does not tell.
pub fn settled(fork: impl FnOnce()) -> Option<u32> {
    let mut threads = count()?;
    if threads > 1 {
        fork();
    }
    for _ in 0..LOOKS {
        threads = count()?;
        if threads == 1 {
            break;
        }
        files::pause(1);
    }
    Some(threads)
}

fn count() -> Option<u32> {
    let file = files::open_read(c"/proc/self/status").ok()?;
    let mut buffer = [0; 4096];
    let length = files::read(&file, &mut buffer).ok()?;
    threads_in(buffer.get(..length)?)
}

/// The field of proc_pid_status(5).
fn threads_in(status: &[u8]) -> Option<u32> {
    let mut lines = status.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(b"Threads:"))?;
    core::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_is_a_field_of_the_status() {
        assert_eq!(threads_in(b"Name:\tx\nThreads:\t12\nSigQ:\t0/1\n"), Some(12));
        assert_eq!(threads_in(b"Name:\tThreads:\n"), None);
        assert_eq!(threads_in(b""), None);
    }
}
