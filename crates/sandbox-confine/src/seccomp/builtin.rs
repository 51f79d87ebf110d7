//! The programs compiled when this crate was built.

use std::borrow::Cow;

use super::compile::compile;
use super::error::SeccompError;
use super::preset;
use super::spec::FilterSpec;

/// The program of `spec`, when it was compiled with this crate.
pub fn builtin(spec: &FilterSpec) -> Option<&'static [u8]> {
    PROGRAMS.get(preset::index(spec)?).copied()
}

/// The program of `spec`: the built-in one, or made now. To be loaded by seccomp(2) as `struct sock_filter`s.
///
/// ```
/// use sandbox_confine::seccomp::{FilterSpec, Toggles, filter};
/// use sandbox_types::policy::{SyscallPolicy, SyscallProfile};
///
/// let policy = SyscallPolicy { profile: SyscallProfile::Compute, ..SyscallPolicy::default() };
/// let program = filter(&FilterSpec::from_policy(&policy, Toggles::namespaced()))?;
/// assert_eq!(program.len() % 8, 0);
///
/// let misspelled = SyscallPolicy { allow: vec!["ptrase".into()], ..policy };
/// let error = filter(&FilterSpec::from_policy(&misspelled, Toggles::namespaced())).unwrap_err();
/// assert_eq!(error.to_string(), "\"ptrase\" is not a system call; did you mean ptrace?");
/// # Ok::<(), sandbox_confine::seccomp::SeccompError>(())
/// ```
pub fn filter(spec: &FilterSpec) -> Result<Cow<'static, [u8]>, SeccompError> {
    match builtin(spec) {
        Some(program) => Ok(Cow::Borrowed(program)),
        None => compile(spec).map(|program| Cow::Owned(program.into_bytes())),
    }
}

// `static PROGRAMS: &[&[u8]]`, in the order of `preset::all()`; empty in a cross build, where libseccomp on the
// building machine cannot compile for the other architecture by number.
include!(concat!(env!("OUT_DIR"), "/seccomp_programs.rs"));
