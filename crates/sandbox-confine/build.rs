//! What is made when this crate is built: the built-in system call filters.

#[path = "build/seccomp.rs"]
mod seccomp;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    seccomp::generate()
}
