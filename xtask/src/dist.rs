//! `cargo xtask dist`: what a release consists of, in dist/.
//!
//! One static binary (it runs on any Linux of its architecture), completions, man pages, checksums.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    artifact,
    cmd::{Cmd, cargo},
    error::{Error, Result},
    setup::{self, Need, static_library},
    workspace,
};

const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "sandbox.bash"),
    ("zsh", "_sandbox"),
    ("fish", "sandbox.fish"),
];

pub(crate) fn run() -> Result<()> {
    setup::ensure(&[Need::Build, Need::Dist])?;
    let program = build_static()?;
    verify_static(&program)?;

    let dist = workspace::root().join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).map_err(Error::io(&dist))?;
    }
    for dir in ["completions", "man"] {
        fs::create_dir_all(dist.join(dir)).map_err(Error::io(dist.join(dir)))?;
    }
    let sandbox = dist.join("sandbox");
    fs::copy(&program, &sandbox).map_err(Error::io(&sandbox))?;
    for (shell, file) in COMPLETIONS {
        let file = dist.join("completions").join(file);
        let completions = Cmd::new(&sandbox).args(["completions", shell]).read()?;
        fs::write(&file, completions).map_err(Error::io(&file))?;
    }
    Cmd::new(&sandbox).arg("man").arg(dist.join("man")).run()?;
    checksums(&dist)
}

/// The program as it is released.
pub(crate) fn build_static() -> Result<PathBuf> {
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" -C target-feature=+crt-static -C relocation-model=static");
    let mut build = cargo()
        // With --target the flags leave build scripts and procedural macros alone: those cannot be static.
        .args(["build", "--locked", "--profile=dist", "--package=sandbox-cli", "--target", &host()?])
        .env("RUSTFLAGS", flags.trim());
    if let Some(dir) = static_library("libseccomp.a")
        .as_deref()
        .and_then(|archive| Path::new(archive).parent())
    {
        let dir = dir.canonicalize().map_err(Error::io(dir))?;
        build = build
            .env("LIBSECCOMP_LINK_TYPE", "static")
            .env("LIBSECCOMP_LIB_PATH", dir);
    }
    let artifacts = artifact::build(build)?;
    Ok(artifact::program(&artifacts, "sandbox")?.executable.clone())
}

fn host() -> Result<String> {
    let version = Cmd::new("rustc").arg("-vV").read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or(Error::NotBuilt {
        name: "rustc host triple",
    })
}

fn verify_static(program: &Path) -> Result<()> {
    // ldd ends with status 1 for a program that is static but not position independent.
    let ldd = Cmd::new("sh")
        .args(["-c", r#"LC_ALL=C ldd "$1" 2>&1; :"#, "sh"])
        .arg(program)
        .read()?;
    if ["statically linked", "not a dynamic executable"]
        .iter()
        .any(|answer| ldd.contains(answer))
    {
        return Ok(());
    }
    Err(Error::NotStatic {
        path: program.to_owned(),
        ldd: ldd.trim().to_owned(),
    })
}

fn checksums(dist: &Path) -> Result<()> {
    let list = "find . -type f ! -name SHA256SUMS | LC_ALL=C sort | sed 's|^./||' | xargs sha256sum";
    let sums = Cmd::new("sh").args(["-c", list]).dir(dist).read()?;
    print!("{sums}");
    let file = dist.join("SHA256SUMS");
    fs::write(&file, sums).map_err(Error::io(&file))
}
