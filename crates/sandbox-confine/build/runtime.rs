//! Compiles what a program loads to be forked: a shared object without dependencies, embedded into the library.
//!
//! It uses four functions of whatever C library is in the process that loads it, so that one object serves programs of
//! any distribution; they stay undefined here.

use super::init::{compile, rustc};

/// Leaves the shared object at `$OUT_DIR/libsandbox_fork.so`.
pub(crate) fn generate() {
    println!("cargo::rerun-if-changed=runtime");
    let mut command = rustc("sandbox_fork", "cdylib");
    command
        .args(["-C", "link-arg=-nostartfiles", "-C", "link-arg=-nostdlib"])
        .args([
            "-C",
            "link-arg=-Wl,--build-id=none,-z,noexecstack,-z,now,-soname,libsandbox_fork.so",
        ]);
    compile(command, "runtime/lib.rs", "libsandbox_fork.so");
}
