//! Scripts in a mount namespace of their own, where they may mount: a plain user in a user namespace.

use std::path::Path;

use super::project::modes;
use crate::harness::{Harness, Ran, binary, skipped};

/// What a script says when it cannot mount what it needs.
const CANNOT: i32 = 77;

/// `branch`, `on NAME SCRIPT` and `again NAME SCRIPT` are for the workspace `$W`, with branches in `$ST`; `wrong` says
/// what has gone wrong; `instead` what is said of the mode in which a branch is that cannot be in mode `kernel`. `$DISK` is a file system of four megabytes.
const PRELUDE: &str = r#"
    wrong() { echo "WRONG: $*"; }
    branch() { "$S" branch "$@" --workspace "$W" --storage "$ST"; }
    run() { name=$1; shift; (cd "$W" && "$S" run --branch=$name --workspace "$W" --storage "$ST" "$@"); }
    on() { name=$1; shift; run $name -q --branch-mode $MODE -- sh -c "$1"; }
    again() { name=$1; shift; run $name -q -- sh -c "$1"; }
    instead() { (: <> /dev/fuse) 2> /dev/null && echo "this process serves" || echo "a whole copy, .*space"; }
    mount -t tmpfs -o size=4m,mode=700 small "$DISK" || exit 77
"#;

fn in_namespace(place: &Harness, mode: &str, script: &str) -> Ran {
    let disk = place.root().join("disk");
    std::fs::create_dir_all(&disk).expect("mkdir");
    let mut command = place.at_home(Path::new("unshare"));
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    command
        .args(["--mount", "sh", "-c", &format!("{PRELUDE}{script}")])
        .env("S", binary())
        .env("DISK", &disk)
        .env("MODE", mode);
    Ran::of(&mut command)
}

/// The script says nothing of the kind, in any mode.
#[track_caller]
pub(super) fn nothing_goes_wrong(test: &str, script: &str) {
    for mode in modes(test) {
        let place = Harness::new();
        let ran = in_namespace(&place, mode, script);
        if ran.status == CANNOT || ran.stderr.contains("unshare failed") {
            return skipped(test, &format!("nothing can be mounted: {}", ran.stderr.trim()));
        }
        assert!(
            ran.status == 0 && !ran.stdout.contains("WRONG"),
            "mode {mode}: {ran:?}"
        );
    }
}
