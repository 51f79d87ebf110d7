//! Templates and their clones. Each test of functions is in a process of its own, which has one thread, as a template of
//! them wants it.

mod asynchronous;
mod bad_input;
mod clones;
mod ends;
mod from_zygote;
mod gathering;
mod hostile;
mod programs;
mod reducing;
mod walls;

use sandbox_confine::{Policy, Sandbox};
use sandbox_types::RunResult;

/// A template under the default policy that loads nothing.
pub(crate) fn template(work: impl Fn(u32) + Send + Sync) -> Sandbox {
    Sandbox::new_with_fns(&Policy::default(), || {}, work).expect("a template")
}

/// Waits for each, in order.
fn results(clones: Vec<Sandbox>) -> Vec<RunResult> {
    clones
        .into_iter()
        .map(|mut clone| clone.wait().expect("a clone ends"))
        .collect()
}

/// Runs the body in a process of its own, where namespaces work.
macro_rules! alone {
    ($body:expr) => {
        crate::harness::needs_namespaces!();
        crate::harness::in_own_process(crate::harness::name_of_test!(), || {
            assert!(crate::harness::sys::alone_in_a_copy($body));
        });
    };
}
pub(crate) use alone;
