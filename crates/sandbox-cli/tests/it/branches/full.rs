//! A disk that is full, in the middle of a command and in the middle of a commit.
//!
//! The disk is a small tmpfs in a mount namespace of the test's own, a plain user's in a user namespace.

use std::path::Path;

use super::project::{modes, name_of_test};
use crate::harness::{Harness, Ran, binary, skipped};

/// Runs a script where `$DISK` is a file system of four megabytes. It prints what has gone wrong, and nothing else.
fn on_small_disk(place: &Harness, mode: &str, script: &str) -> Ran {
    let disk = place.root().join("disk");
    std::fs::create_dir_all(&disk).expect("mkdir");
    let mut command = place.at_home(Path::new("unshare"));
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    let prelude = r#"
        mount -t tmpfs -o size=4m,mode=700 small "$DISK" || exit 77
        wrong() { echo "WRONG: $*"; }
        branch() { "$S" branch "$@" --workspace "$W" --storage "$ST"; }
        on() { name=$1; shift; (cd "$W" && "$S" run -q --branch=$name --branch-mode $MODE --workspace "$W" --storage "$ST" -- sh -c "$1"); }
        again() { name=$1; shift; (cd "$W" && "$S" run -q --branch=$name --workspace "$W" --storage "$ST" -- sh -c "$1"); }
    "#;
    command
        .args(["--mount", "sh", "-c", &format!("{prelude}{script}")])
        .env("S", binary())
        .env("DISK", &disk)
        .env("MODE", mode);
    Ran::of(&mut command)
}

#[track_caller]
fn nothing_goes_wrong(test: &str, script: &str) {
    for mode in modes(test) {
        let place = Harness::new();
        let ran = on_small_disk(&place, mode, script);
        if ran.status == 77 || ran.stderr.contains("unshare failed") {
            return skipped(test, &format!("no small disk: {}", ran.stderr.trim()));
        }
        assert!(
            ran.status == 0 && !ran.stdout.contains("WRONG"),
            "mode {mode}: {ran:?}"
        );
    }
}

#[test]
fn a_disk_that_is_full_is_an_error_inside_and_the_branch_stays_whole() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        W=$PWD; ST=$DISK/state; echo one > f
        on x 'echo two > f; echo before > kept' || wrong "first run"
        again x 'head -c 8388608 /dev/zero > big' 2> said && wrong "there was room"
        grep -q "No space left" said || wrong "ENOSPC: $(cat said)"
        rm said
        [ "$(cat f)" = one ] || wrong base
        branch diff x --name-only | grep -qx kept || wrong "diff: $(branch diff x)"
        [ "$(again x 'rm big; cat f kept' | tr '\n' ' ')" = "two before " ] || wrong "next run"
        branch commit x 2> said || wrong "commit: $(cat said)"
        [ "$(cat f kept | tr '\n' ' ')" = "two before " ] || wrong "committed: $(cat f kept)"
        branch undo 2> said || wrong "undo: $(cat said)"
        [ "$(cat f)" = one ] || wrong "undone"
        branch discard x 2> /dev/null || wrong discard"#,
    );
}

#[test]
fn a_branch_that_there_is_no_room_for_is_not_made_and_nothing_of_it_is_left() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        W=$PWD; ST=$DISK/state; mkdir -p "$ST"; head -c 1000000 /dev/urandom > f
        head -c 8388608 /dev/zero > "$DISK/ballast" 2> /dev/null
        on x 'echo started' > out 2> said && wrong "it started"
        grep -q started out && wrong "it started"
        grep -q "No space left" said || wrong "said: $(cat said)"
        rm "$DISK/ballast" out said
        [ -z "$(branch list 2> /dev/null)" ] || wrong "left: $(branch list)"
        branch gc > /dev/null || wrong gc
        on x 'echo started' > /dev/null || wrong "afterwards""#,
    );
}

#[test]
fn a_commit_to_a_disk_that_is_full_changes_nothing_and_can_be_repeated() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        ST=$PWD/state; W=$DISK/app; mkdir "$W"; cd "$W"
        echo one > f; echo gone > g; head -c 2500000 /dev/urandom > ballast
        look() { find . -printf '%P %y %m %s %T@\n' | sort; find . -type f -exec cksum {} + | sort; }
        look > "$ST.before"
        on x 'echo two > f; rm g; mkdir d; for i in 1 2 3 4 5 6; do head -c 500000 /dev/urandom > d/$i; done' ||
            wrong "run"
        branch commit x 2> "$ST.said" && wrong "there was room"
        grep -q "No space left" "$ST.said" || wrong "said: $(cat "$ST.said")"
        look > "$ST.after"; cmp -s "$ST.before" "$ST.after" || wrong "half: $(diff "$ST.before" "$ST.after")"
        branch recover 2>&1 | grep -q "nothing was interrupted" || wrong "interrupted: $(branch recover 2>&1)"
        [ $(branch diff x --name-only | wc -l) = 9 ] || wrong "diff: $(branch diff x)"
        rm ballast
        branch commit x 2> "$ST.said" || wrong "commit: $(cat "$ST.said")"
        [ "$(cat f)" = two ] && [ ! -e g ] && [ -s d/6 ] || wrong "committed""#,
    );
}

#[test]
fn a_commit_whose_journal_has_no_room_changes_nothing() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        W=$PWD; ST=$DISK/state; echo one > f; head -c 300000 /dev/urandom > old; cksum old > sum
        on x 'echo two > f; head -c 300000 /dev/urandom > old; echo more > new' || wrong run
        head -c 8388608 /dev/zero > "$DISK/ballast" 2> /dev/null
        branch commit x 2> said && wrong "there was room"
        grep -q "No space left" said || wrong "said: $(cat said)"
        [ "$(cat f)" = one ] && cksum old | cmp -s - sum && [ ! -e new ] || wrong "half"
        rm "$DISK/ballast"
        branch recover --roll-back 2> /dev/null
        branch commit x 2> said || wrong "commit: $(cat said)"
        [ "$(cat f new | tr '\n' ' ')" = "two more " ] || wrong "committed""#,
    );
}
