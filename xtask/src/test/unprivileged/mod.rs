//! The integration tests a second time, as a plain user.
//!
//! The user can read neither root's toolchain nor, perhaps, the build directory, so what is already
//! built is copied to where it can. The tests find things by:
//!
//! - the working directory: the copy of their package, with its `tests` directory in it, just as
//!   cargo runs them in the package itself;
//! - `SANDBOX_TEST_BIN`: the `sandbox` program; the workspace's other programs lie beside it;
//! - `HOME` and `TMPDIR`: directories of the user's own.

mod account;
mod place;

use std::path::Path;

use crate::{
    artifact::{Artifact, Kind},
    cmd::{Cmd, cargo},
    error::Result,
    scratch::Scratch,
    steps::Outcome,
    workspace,
};

use super::{ONE_MORE_TRY, RUN_LIMIT, Tally, observe::Observed, skips::SkipList, watch};
use account::{Account, USER};
use place::Place;

/// As the system's own login sets it, and where the administrator's programs are (mke2fs).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn run(built: &[Artifact], skip_list: &SkipList, seen: &mut Observed) -> Result<Outcome> {
    if !workspace::is_root() {
        return Ok(Outcome::Skipped {
            why: "not root: the tests ran unprivileged already".to_owned(),
        });
    }
    let user = Account::find_or_create()?;
    let scratch = Scratch::new(Path::new("/tmp"), "sandbox-test")?;
    let place = Place::prepare(scratch.path(), built, &user)?;
    let mut tally = Tally::default();
    let fuse_node = place.fuse_node()?;
    for tests in commands(built, &place)? {
        let tests = skip_list.tell(with_environment(tests, &user, &place));
        let tests = as_user(tests, &user, fuse_node.as_deref());
        tally = tally + watch(tests, RUN_LIMIT, seen)?;
    }
    Ok(Outcome::Tested(tally))
}

/// What to run: nextest on an archive of the tests, as in the first run; without it each test program.
fn commands(built: &[Artifact], place: &Place) -> Result<Vec<Cmd>> {
    let Some(nextest) = workspace::find_program("cargo-nextest") else {
        let tests = built
            .iter()
            .filter(|artifact| artifact.kind == Kind::IntegrationTest);
        return tests
            .map(|test| Ok(place.install(test)?.arg("--show-output")))
            .collect();
    };
    let archive = place.archive();
    cargo()
        .args([
            "nextest",
            "archive",
            "--workspace",
            "--filterset=kind(test)",
            "--zstd-level=1",
        ])
        .arg("--archive-file")
        .arg(&archive)
        .run()?;
    let run = place
        .copy(&nextest)?
        .args([
            "nextest",
            "run",
            "--no-fail-fast",
            "--success-output=immediate",
            "--no-tests=pass",
            ONE_MORE_TRY,
        ])
        .arg("--archive-file")
        .arg(&archive)
        .arg("--extract-to")
        .arg(place.tmp())
        .arg("--workspace-remap")
        .arg(place.workspace());
    Ok(vec![run])
}

/// Gives up root. A node of our own is shown at `/dev/fuse` first, in a mount namespace of the tests; the system's own
/// stays as it is.
fn as_user(tests: Cmd, user: &Account, fuse_node: Option<&Path>) -> Cmd {
    const SCRIPT: &str = r#"node=$1 uid=$2 gid=$3; shift 3; mount --bind "$node" /dev/fuse &&
        exec setpriv --reuid "$uid" --regid "$gid" --clear-groups -- "$@""#;
    let Some(node) = fuse_node else {
        return tests.user(user.uid, user.gid);
    };
    let wrapper = Cmd::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"])
        .arg(node)
        .args([user.uid.to_string(), user.gid.to_string()]);
    tests.through(wrapper)
}

fn with_environment(tests: Cmd, user: &Account, place: &Place) -> Cmd {
    tests
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .env("USER", USER)
        .env("LOGNAME", USER)
        .env("HOME", &user.home)
        .env("TMPDIR", place.tmp())
        .env("RUST_BACKTRACE", "1")
        .env("SANDBOX_TEST_BIN", place.program("sandbox"))
}
