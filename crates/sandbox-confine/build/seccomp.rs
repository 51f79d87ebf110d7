//! Compiles the built-in filters into `OUT_DIR`, from the same data and by the same code as at run time.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, error, fs};

#[expect(dead_code, unreachable_pub, reason = "the build uses a part")]
#[path = "../src/seccomp"]
mod filters {
    mod arguments;
    pub(crate) mod compile;
    mod conditions;
    mod error;
    mod groups;
    mod instruction;
    mod library;
    mod nearest;
    mod numbers;
    pub(crate) mod preset;
    mod processes;
    mod ranges;
    mod rules;
    mod search;
    mod select;
    mod sockets;
    mod spec;
    mod tidy;
}

/// Writes one file for each distinct program, and the table that includes them.
pub(crate) fn generate() -> Result<(), Box<dyn error::Error>> {
    println!("cargo::rerun-if-changed=src/seccomp");
    let directory = env::var("OUT_DIR")?;
    let directory = Path::new(&directory);
    let mut table = String::from("static PROGRAMS: &[&[u8]] = &[\n");
    if env::var("CARGO_CFG_TARGET_ARCH")? == env::consts::ARCH {
        let mut written = HashMap::new();
        for spec in filters::preset::all() {
            let program = filters::compile::compile(&spec)?.into_bytes();
            let next = written.len();
            let number = *written.entry(program.clone()).or_insert(next);
            fs::write(directory.join(format!("filter-{number}.bpf")), program)?;
            writeln!(
                table,
                "    include_bytes!(concat!(env!(\"OUT_DIR\"), \"/filter-{number}.bpf\")),"
            )?;
        }
    }
    table.push_str("];\n");
    fs::write(directory.join("seccomp_programs.rs"), table)?;
    Ok(())
}
