//! What is mounted inside a workspace is no part of its branches, in no mode; everything around it is.

use super::mounts::nothing_goes_wrong;
use super::project::name_of_test;

/// `$W` has a directory with something mounted in it and something beside that, and a file that another one is mounted
/// over. `made` makes the branch `x`: in mode `kernel` before anything is mounted, because it cannot be made after.
const SCENE: &str = r#"
    W=$DISK/w ST=$HOME/st
    mkdir -p "$W/dir/sub" "$HOME" && echo old > "$W/file" && echo old > "$W/dir/beside" && echo old > "$W/over"
    echo other > "$DISK/other"
    mounted() {
        mount -t tmpfs -o mode=755 inner "$W/dir/sub" && mount --bind "$DISK/other" "$W/over" || exit 77
        echo secret > "$W/dir/sub/inside"
    }
    made() {
        [ $MODE = kernel ] || mounted
        on x "$1" || wrong "the command fails"
        [ $MODE = kernel ] && mounted
        :
    }
    is() { [ "$(cat "$1")" = "$2" ] || wrong "$1 is $(cat "$1"), not $2"; }
"#;

fn holds(test: &str, script: &str) {
    nothing_goes_wrong(test, &format!("{SCENE}{script}"));
}

#[test]
fn what_is_mounted_inside_is_not_seen_and_everything_else_is_committed() {
    let script = r#"
        made 'cat dir/sub/inside over; echo new > file; echo new > dir/beside; echo new > dir/more; :' > "$HOME/out"
        grep -q -e secret -e other "$HOME/out" && wrong "what is mounted is seen"
        branch diff x > "$HOME/diff" || wrong "no difference: $?"
        grep -Eq '^[A-Z] .*(sub|over)' "$HOME/diff" && wrong "in the difference: $(cat "$HOME/diff")"
        branch commit x || wrong "no commit: $?"
        is "$W/file" new; is "$W/dir/beside" new; is "$W/dir/more" new
        is "$W/dir/sub/inside" secret; is "$W/over" other
        [ -z "$(branch diff x --name-only)" ] || wrong "left after the commit: $(branch diff x --name-only)"
        branch undo c1 || wrong "no undo: $?"
        is "$W/file" old; is "$W/dir/beside" old; is "$W/dir/sub/inside" secret
        branch discard x || wrong "not discarded"
    "#;
    holds(name_of_test!(), script);
}

#[test]
fn what_is_written_where_something_is_mounted_stays_on_the_branch_and_that_is_said() {
    let script = r#"
        made 'echo new > dir/sub/mine; echo new > file'
        branch diff x > "$HOME/diff" 2>&1 || wrong "no difference"
        grep -q 'dir/sub: something is mounted there' "$HOME/diff" || wrong "not said: $(cat "$HOME/diff")"
        branch commit x || wrong "no commit"
        is "$W/file" new
        [ ! -e "$W/dir/sub/mine" ] || wrong "written into what is mounted"
        umount "$W/dir/sub"
        branch diff x | grep -q dir/sub/mine || wrong "lost"
    "#;
    holds(name_of_test!(), script);
}

#[test]
fn a_directory_with_something_mounted_in_it_is_kept_when_the_branch_removes_it() {
    let script = r#"
        made 'rm -rf dir; echo new > file'
        branch diff x || wrong "no difference"
        branch commit x || wrong "no commit: $?"
        is "$W/file" new; is "$W/dir/sub/inside" secret
        [ ! -e "$W/dir/beside" ] || wrong "not removed"
        branch undo c1 || wrong "no undo"
        is "$W/dir/beside" old; is "$W/dir/sub/inside" secret
    "#;
    holds(name_of_test!(), script);
}

#[test]
fn the_kernel_is_not_asked_to_show_what_it_cannot_and_what_to_do_is_said() {
    let script = r#"
        [ $MODE = kernel ] || exit 0
        made 'echo new > file'
        again x 'cat file' 2> "$HOME/err" && wrong "it runs"
        grep -q "dir/sub is a mount of its own" "$HOME/err" || wrong "not said: $(cat "$HOME/err")"
        grep -q 'hint: .*--branch-mode exact.*umount ' "$HOME/err" || wrong "no hint: $(cat "$HOME/err")"
        on y true 2> "$HOME/err" && wrong "it is made"
        grep -q 'hint: ' "$HOME/err" || wrong "no hint: $(cat "$HOME/err")"
        run z -- true 2> "$HOME/err" || wrong "no other is made instead: $(cat "$HOME/err")"
        grep -q "$(instead), because .*mount of its own" "$HOME/err" || wrong "not said: $(cat "$HOME/err")"
        umount "$W/dir/sub" "$W/over"
        again x 'grep -q new file' || wrong "it does not run again"
    "#;
    holds(name_of_test!(), script);
}

#[test]
fn branches_are_merged_exported_and_imported_around_what_is_mounted() {
    let script = r#"
        made 'echo one > one'
        [ $MODE = kernel ] && umount "$W/dir/sub" "$W/over"
        on y 'echo two > two' || wrong "the second fails"
        [ $MODE = kernel ] && mounted
        branch merge x y --into z || wrong "no merge"
        branch commit z || wrong "no commit of the merge"
        is "$W/one" one; is "$W/two" two; is "$W/dir/sub/inside" secret
        branch export x -o "$HOME/x.tar" || wrong "no export"
        branch import "$HOME/x.tar" --name again || wrong "no import"
        branch diff again || wrong "no difference of what was imported"
    "#;
    holds(name_of_test!(), script);
}
