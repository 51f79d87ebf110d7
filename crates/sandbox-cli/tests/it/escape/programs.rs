//! The C programs, compiled.
//!
//! They are kept in the build directory, or in the temporary directory of a user who may not write there, and
//! compiled again when a source is newer.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// As cargo runs tests: in their package.
const SOURCES: &str = "tests/escape";

/// The program `name`, from `name.c` or, for `escape-X`, from `X.c`.
pub(crate) fn program(name: &str) -> PathBuf {
    let user = rustix::process::geteuid();
    let places = [
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("escape"),
        std::env::temp_dir().join(format!("sandbox-escape-{}", user.as_raw())),
    ];
    let place = places.iter().find(|place| {
        // Made by us: nobody else decides what is executed.
        fs::create_dir_all(place).is_ok()
            && fs::metadata(place).is_ok_and(|place| place.uid() == user.as_raw())
            && tempfile::tempfile_in(place).is_ok()
    });
    let place = place.expect("a directory for programs");
    let ready = place.join(name);
    if is_current(&ready) {
        ready
    } else {
        compile(name, place)
    }
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
    let compiled = [Some("-static"), None].into_iter().any(|linking| {
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-pthread"]).args(linking).arg("-o").arg(&output);
        cc.arg(&source).status().expect("cc runs").success()
    });
    assert!(compiled, "{source} does not compile");
    let place = directory.join(name);
    fs::rename(&output, &place).expect("rename");
    place
}
