//! What is made when this crate is built: the built-in system call filters, and init.

#[path = "build/init.rs"]
mod init;
#[path = "build/seccomp.rs"]
mod seccomp;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    init::generate();
    seccomp::generate()
}
