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
    let mut command = rustc("init", "bin");
    command
        // No C library, no start files: the program has its own entry point and enters the kernel itself.
        .args(["-C", "relocation-model=static", "-C", "target-feature=+crt-static"])
        .args(["-C", "link-arg=-nostartfiles", "-C", "link-arg=-nostdlib", "-C", "link-arg=-static"])
        .args(["-C", "link-arg=-Wl,--build-id=none,-z,norelro,-z,noexecstack"]);
    compile(command, "init/main.rs", "init");
}

/// The compiler, for a crate without dependencies that is to be small.
pub(crate) fn rustc(name: &str, kind: &str) -> Command {
    let target = env::var("TARGET").expect("set by cargo");
    let mut command = Command::new(env::var_os("RUSTC").expect("set by cargo"));
    command
        .args([
            "--edition",
            "2024",
            "--crate-name",
            name,
            "--crate-type",
            kind,
            "--target",
            &target,
        ])
        .args([
            "-C",
            "panic=abort",
            "-C",
            "opt-level=s",
            "-C",
            "lto=fat",
            "-C",
            "codegen-units=1",
        ])
        .args(["-C", "strip=symbols"]);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut argument = std::ffi::OsString::from("linker=");
        argument.push(linker);
        command.arg("-C").arg(argument);
    }
    command
}

/// Runs the compiler on `source`, and leaves the result at `$OUT_DIR/{to}`.
pub(crate) fn compile(mut command: Command, source: &str, to: &str) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join(to);
    let status = command
        .arg("-o")
        .arg(&out)
        .arg(source)
        .status()
        .expect("rustc runs, since it has built this script");
    assert!(
        status.success(),
        "{source} does not compile; is a C compiler installed for linking? ({status})"
    );
}
