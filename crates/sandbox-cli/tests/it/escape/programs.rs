//! The C programs, compiled.
//!
//! They are kept in the build directory, and compiled again when a source is newer. A user who may not write
//! there has them compiled for each test.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// As cargo runs tests: in their package.
const SOURCES: &str = "tests/escape";

/// The program `name`, from `name.c` or, for `escape-X`, from `X.c`; in `own` where the build directory is not ours.
pub(super) fn program(name: &str, own: &Path) -> PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("escape");
    let ready = kept.join(name);
    if is_current(&ready) {
        return ready;
    }
    let place = if fs::create_dir_all(&kept).and_then(|()| writable(&kept)).is_ok() {
        &kept
    } else {
        own
    };
    compile(name, place)
}

fn writable(directory: &Path) -> io::Result<()> {
    tempfile::tempfile_in(directory).map(drop)
}

/// Whether it was built after every source was written.
fn is_current(program: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let newest: Option<SystemTime> = fs::read_dir(SOURCES)
        .expect("the sources")
        .map(|entry| modified(&entry.expect("entry").path()))
        .max()
        .flatten();
    modified(program).is_some_and(|built| Some(built) > newest)
}

/// Compiles beside its place and renames: tests that do the same at the same time do not meet.
fn compile(name: &str, directory: &Path) -> PathBuf {
    let source = format!("{SOURCES}/{}.c", name.strip_prefix("escape-").unwrap_or(name));
    let fresh = tempfile::Builder::new()
        .prefix(".")
        .tempdir_in(directory)
        .expect("a directory to compile in");
    let output = fresh.path().join(name);
    let compiled = ["-static", "-dynamic"].iter().any(|linking| {
        let linking = linking.strip_suffix("-dynamic").unwrap_or(linking);
        let flags = ["-O1", "-pthread", linking]
            .into_iter()
            .filter(|flag| !flag.is_empty());
        let status = Command::new("cc")
            .args(flags)
            .arg("-o")
            .arg(&output)
            .arg(&source)
            .status();
        status.expect("cc runs").success()
    });
    assert!(compiled, "{source} does not compile");
    let place = directory.join(name);
    fs::rename(&output, &place).expect("rename");
    place
}
