//! Compiles init: a static program without a C library, embedded into the library.
//!
//! By rustc directly, not as a Cargo dependency: a library cannot embed another package's binary on stable
//! Rust, and init has no dependencies to resolve.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Leaves the program at `$OUT_DIR/init`.
pub(crate) fn generate() {
    println!("cargo::rerun-if-changed=init");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("init");
    let rustc = env::var_os("RUSTC").expect("set by cargo");
    let target = env::var("TARGET").expect("set by cargo");
    let mut command = Command::new(rustc);
    command
        .args(["--edition", "2024", "--crate-name", "init", "--crate-type", "bin", "--target", &target])
        .args(["-C", "panic=abort", "-C", "opt-level=s", "-C", "lto=fat", "-C", "codegen-units=1"])
        // No C library, no start files: the program has its own entry point and enters the kernel itself.
        .args(["-C", "relocation-model=static", "-C", "target-feature=+crt-static", "-C", "strip=symbols"])
        .args(["-C", "link-arg=-nostartfiles", "-C", "link-arg=-nostdlib", "-C", "link-arg=-static"])
        .args(["-C", "link-arg=-Wl,--build-id=none,-z,norelro,-z,noexecstack"])
        .arg("-o")
        .arg(&out)
        .arg("init/main.rs");
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut argument = std::ffi::OsString::from("linker=");
        argument.push(linker);
        command.arg("-C").arg(argument);
    }
    let status = command
        .status()
        .expect("rustc runs, since it has built this script");
    assert!(
        status.success(),
        "init/main.rs does not compile; is a C compiler installed for linking? ({status})"
    );
}
