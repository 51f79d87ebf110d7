//! Problems in words.

use core::ffi::c_char;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};

use super::sys::files;

/// Why this process is not forked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Nobody has started it to be forked.
    NotForked,
    /// It is a clone.
    Again,
    /// It has so many threads.
    Threads(u32),
    /// /proc does not say how many.
    NoProc,
    /// The descriptor by which the keeper is spoken to leads nowhere.
    Closed(i32),
}

impl Problem {
    /// The errno(3) that comes nearest.
    pub const fn errno(&self) -> i32 {
        match self {
            Self::NotForked => 107,
            Self::Again => 114,
            Self::Threads(_) => 16,
            Self::NoProc => 2,
            Self::Closed(_) => 9,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotForked => f.write_str(
                "this process is no template: nobody has started it to be forked (sandbox fork -- PROGRAM)",
            ),
            Self::Again => f.write_str("this is a clone already; a program is ready once"),
            Self::Threads(threads) => write!(
                f,
                "this process has {threads} threads, and a fork copies one: stop the others before (join them, close \
                 pools and event loops; numeric libraries: OMP_NUM_THREADS=1, OPENBLAS_NUM_THREADS=1)"
            ),
            Self::NoProc => {
                f.write_str("/proc/self/status cannot be read, which tells how many threads there are")
            }
            Self::Closed(number) => write!(
                f,
                "descriptor {number}, by which this program says that it is ready, is not what it was: leave it open \
                 (close descriptors by number, or from {} on)",
                number.saturating_add(1)
            ),
        }
    }
}

/// The last problem, as a C string: the last byte is never written.
static TEXT: [AtomicU8; 384] = [const { AtomicU8::new(0) }; 384];

/// Where it is kept.
pub fn text() -> *const c_char {
    TEXT.as_ptr().cast()
}

/// Keeps a problem for who asks what it was.
pub fn remember(problem: &Problem) {
    struct Kept(usize);
    impl Write for Kept {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for byte in text.bytes() {
                if let Some(place) = TEXT.get(self.0).filter(|_| self.0 + 1 < TEXT.len()) {
                    place.store(byte, Ordering::Relaxed);
                    self.0 += 1;
                }
            }
            Ok(())
        }
    }
    let mut kept = Kept(0);
    let _ = write!(kept, "{problem}");
    if let Some(end) = TEXT.get(kept.0) {
        end.store(0, Ordering::Relaxed);
    }
}

/// Says on standard error why a clone ends before it has begun.
pub fn cannot_confine(what: &str, errno: i32) {
    struct Stderr;
    impl Write for Stderr {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            files::write_error(text.as_bytes());
            Ok(())
        }
    }
    let _ = writeln!(Stderr, "sandbox: cannot confine a clone: {what}: error {errno}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_fits_and_says_what_to_do() {
        for problem in [
            Problem::NotForked,
            Problem::Again,
            Problem::Threads(u32::MAX),
            Problem::NoProc,
            Problem::Closed(i32::MAX),
        ] {
            let text = problem.to_string();
            assert!(text.len() + 1 < TEXT.len(), "{text}");
            remember(&problem);
            let kept: Vec<u8> = TEXT.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
            assert!(kept.starts_with(text.as_bytes()) && kept.get(text.len()) == Some(&0));
        }
    }
}
