//! Raw mode of the caller's terminal, and its restoration.

use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};

use crate::error::CliError;

/// The caller's settings while raw mode is on. Here and not in the guard, for the panic hook.
static ORIGINAL: Mutex<Option<Termios>> = Mutex::new(None);

/// Raw mode for as long as it lives; nothing where standard input is no terminal.
#[derive(Debug)]
pub(crate) struct RawMode(());

impl RawMode {
    pub(crate) fn enter() -> Result<Self, CliError> {
        let stdin = rustix::stdio::stdin();
        if isatty(stdin) {
            restore_on_panic();
            let failed = |what| {
                move |errno: rustix::io::Errno| CliError::Terminal {
                    what,
                    source: errno.into(),
                }
            };
            let original = tcgetattr(stdin).map_err(failed("tcgetattr"))?;
            let mut raw = original.clone();
            raw.make_raw();
            *ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(original);
            tcsetattr(stdin, OptionalActions::Now, &raw).map_err(failed("tcsetattr"))?;
        }
        Ok(Self(()))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// A panic may end the process without unwinding.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            report(info);
        }));
    });
}

fn restore() {
    // A lock that is held is one whose holder is about to set or has just set the terminal itself.
    if let Ok(mut original) = ORIGINAL.try_lock()
        && let Some(original) = original.take()
    {
        // The terminal may be gone, and there is nobody left to tell.
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &original).ok();
    }
}
