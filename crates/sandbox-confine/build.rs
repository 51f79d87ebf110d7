//! What is made when this crate is built: the built-in system call filters, init, and what programs load to be forked.

#[path = "build/init.rs"]
mod init;
#[path = "build/runtime.rs"]
mod runtime;
#[path = "build/seccomp.rs"]
mod seccomp;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    init::generate();
    runtime::generate();
    seccomp::generate()
}
