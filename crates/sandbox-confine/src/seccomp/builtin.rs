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

/// The program of `spec`: the built-in one, or made now.
pub fn filter(spec: &FilterSpec) -> Result<Cow<'static, [u8]>, SeccompError> {
    match builtin(spec) {
        Some(program) => Ok(Cow::Borrowed(program)),
        None => compile(spec).map(|program| Cow::Owned(program.into_bytes())),
    }
}

// `static PROGRAMS: &[&[u8]]`, in the order of `preset::all()`; empty in a cross build, where libseccomp on the
// building machine cannot compile for the other architecture by number.
include!(concat!(env!("OUT_DIR"), "/seccomp_programs.rs"));
