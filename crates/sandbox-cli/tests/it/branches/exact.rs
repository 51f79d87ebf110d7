//! Mode `exact`: what serves it, who joins it, and how it goes together with the others.

use std::fs;
use std::path::Path;

use super::mounts::nothing_goes_wrong;
use super::project::{Project, modes, name_of_test};
use crate::harness::{Harness, Ran};

fn has_exact(test: &str) -> bool {
    modes(test).contains(&"exact")
}

#[test]
fn it_is_said_who_serves_the_branch() {
    if !has_exact(name_of_test!()) {
        return;
    }
    let project = Project::new();
    let ran = project.place.sh(
        &["--branch=x", "--branch-mode=exact"],
        "grep ' - fuse' /proc/self/mountinfo",
    );
    ran.says(0, &["branch x (an overlay that this process serves); "]);
    assert!(ran.stdout.contains(" - fuse.sandbox branch.x "), "{ran:?}");
}

#[test]
fn whoever_joins_is_served_until_all_have_ended() {
    if !has_exact(name_of_test!()) {
        return;
    }
    let project = Project::new();
    let script = "echo ready; read line < pipe; echo first >> log";
    let flags = ["-q", "--branch=x", "--branch-mode=exact"];
    let mut first = project.place.start(&flags, &format!("mkfifo pipe; {script}"));
    let exec = |script: &str| project.place.sandbox(["exec", "x", "--", "sh", "-c", script]);
    exec("echo joined >> file; cat file").prints("old content\njoined\n");
    // The first command ends while this one goes on.
    let second = project
        .place
        .command(["exec", "x", "--", "sh", "-c", "echo go > pipe; while [ ! -e log ]; do sleep 0.01; done; sleep 0.3; echo second >> log; cat dir/inner"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&second.stdout), "inner\n", "{second:?}");
    assert!(first.wait().unwrap().success());
    project
        .place
        .sh(&["-q", "--branch=x"], "cat log")
        .prints("first\nsecond\n");
    let diff = project.place.sandbox(["branch", "diff", "x", "--name-only"]);
    assert_eq!(diff.stdout, "file\nlog\npipe\n");
}

/// Prints a tree and what is in it.
const LOOK: &str = "find . -printf '%p %y %m %s %l\\n' | sort; find . -type f | sort | xargs md5sum";

#[test]
fn a_branch_goes_from_one_mode_to_the_other_and_back_and_shows_the_same() {
    let test = name_of_test!();
    if !has_exact(test) || !modes(test).contains(&"kernel") {
        return;
    }
    let project = Project::new();
    let before = project.fingerprint();
    let run = |mode: &str, script: &str| {
        let mode = format!("--branch-mode={mode}");
        project.place.sh(&["-q", "--branch=x", &mode], script)
    };
    let edits = [
        (
            "kernel",
            "echo 1 >> file; rm second; mkdir new; mv exec new; ln -s a dir/l",
        ),
        (
            "exact",
            "mv dir moved; echo 2 >> moved/inner; rm -r new; mkdir new; echo x > second; chmod 600 readonly",
        ),
        (
            "kernel",
            "mv moved/inner .; rm moved/l; echo 3 >> file; rm -r empty; mkdir empty; echo 4 > empty/4",
        ),
        ("exact", "mv moved dir; rm second; ln file again; mv empty/4 new"),
    ];
    for (mode, script) in edits {
        run(mode, script).says(0, &[]);
        let seen = ["kernel", "exact"].map(|mode| run(mode, LOOK).stdout);
        assert_eq!(seen[0], seen[1], "after {script}");
    }
    before.still_holds();
    let show = project.place.sandbox(["branch", "show", "x"]);
    assert!(show.stdout.contains("exact"), "{show:?}");
}

#[test]
fn a_copy_cannot_be_in_another_mode_and_no_other_one_becomes_a_copy() {
    let project = Project::new();
    for (mode, asked) in [("copy", "exact"), ("copy", "kernel"), ("kernel", "copy")] {
        let is_possible = modes(name_of_test!()).contains(&mode);
        if !is_possible {
            continue;
        }
        let name = format!("{mode}-{asked}");
        project.sh(&name, mode, "true").says(0, &[]);
        let (branch, asked) = (format!("--branch={name}"), format!("--branch-mode={asked}"));
        let ran = project.place.sh(&[&branch, &asked], "echo started");
        ran.says(
            125,
            &[
                &format!("is in mode {mode}, and cannot be"),
                "leave out --branch-mode",
            ],
        );
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn a_branch_of_a_branch_can_be_in_the_other_mode() {
    let test = name_of_test!();
    if !has_exact(test) || !modes(test).contains(&"kernel") {
        return;
    }
    for (first, second) in [("kernel", "exact"), ("exact", "kernel")] {
        let project = Project::new();
        project.sh("x", first, "echo x >> file; rm -r dir").says(0, &[]);
        let mode = format!("--branch-mode={second}");
        let ran = project.place.sh(
            &["-q", "--branch=y", "--from=x", &mode],
            "echo y >> file; cat file; ls",
        );
        assert!(
            ran.stdout.starts_with("old content\nx\ny\n") && !ran.stdout.contains("dir\n"),
            "{ran:?}"
        );
        project
            .place
            .sh(&["-q", "--branch=x"], "cat file")
            .prints("old content\nx\n");
        let diff = project.place.sandbox(["branch", "diff", "y", "--name-only"]);
        assert_eq!(
            diff.stdout, "dir\ndir/inner\ndir/sub\ndir/sub/deep\nfile\n",
            "{diff:?}"
        );
    }
}

#[test]
fn root_inside_owns_what_the_caller_owns() {
    if !has_exact(name_of_test!()) {
        return;
    }
    let project = Project::new();
    let script =
        "stat -c %u:%g file; echo x > new; stat -c %u new; chmod 600 file; chown 0 new; echo more >> file";
    let flags = ["-q", "--branch=x", "--branch-mode=exact", "--root"];
    let ran = project.place.sh(&flags, script);
    ran.prints("0:0\n0\n");
    let diff = project.place.sandbox(["branch", "diff", "x"]);
    assert!(!diff.stdout.contains("owner"), "{diff:?}");
}

#[test]
fn without_the_device_it_is_refused_and_another_mode_is_taken() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        [ $MODE = kernel ] || exit 0
        W=$PWD; ST=$DISK/state; echo one > f; mkdir inside
        /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("nothing")' || exit 77
        mv nothing "$DISK" && mount --bind "$DISK/nothing" /dev/fuse || exit 77
        run x --branch-mode exact -- echo started > "$DISK/out" 2> "$DISK/said" && wrong started
        [ ! -s "$DISK/out" ] || wrong started
        grep -q "cannot be in mode exact: /dev/fuse cannot be opened" "$DISK/said" || wrong "$(cat "$DISK/said")"
        grep -q "hint: .*--device /dev/fuse" "$DISK/said" || wrong "$(cat "$DISK/said")"
        [ -z "$(branch list 2> /dev/null)" ] || wrong left
        mount -t tmpfs t inside || exit 77
        run x -- cat f > "$DISK/out" 2> "$DISK/said" || wrong "$(cat "$DISK/said")"
        grep -q "a whole copy.*mount of its own.*, and /dev/fuse cannot be opened" "$DISK/said" || wrong "$(cat "$DISK/said")""#,
    );
}

/// What is kept there is in attributes, since nobody can make a device 0/0 on overlayfs.
#[test]
fn branches_on_overlayfs_are_changed_branched_committed_and_merged() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        [ $MODE = exact ] || exit 0
        W=$PWD; mkdir "$DISK/u" "$DISK/w" "$DISK/l" "$DISK/m"
        mount -t overlay -o "userxattr,lowerdir=$DISK/l,upperdir=$DISK/u,workdir=$DISK/w" o "$DISK/m" || exit 77
        ST=$DISK/m/state; said=$DISK/said
        mkdir -p d/sub e; for f in a b c d/x d/sub/y e/z; do echo $f > $f; done; ln a a2; : > empty
        on x 'rm a b; mv c b; mv d moved; rm moved/x; echo z > e/new; mv e/new e/z; echo more >> a2; mkdir d' 2> $said || wrong "$(cat $said)"
        is() { [ "$(tr '\n' ' ' < $DISK/out)" = "$1 " ] || wrong "$(cat $DISK/out), not $1"; }
        again x 'find . | sort; cat b e/z a2; rm -r moved; mv b e/z; rm empty; mkdir empty; rmdir empty' > $DISK/out 2> $said ||
            wrong "$(cat $said)"
        is ". ./a2 ./b ./d ./e ./e/z ./empty ./moved ./moved/sub ./moved/sub/y c z a more"
        (cd "$W" && "$S" run -q --branch=y --from=x --workspace "$W" --storage "$ST" -- \
            sh -c 'find . | sort; cat e/z; echo y > y; rm a2') > $DISK/out 2> $said || wrong "$(cat $said)"
        is ". ./a2 ./d ./e ./e/z c"
        branch diff x --name-only > $DISK/out; is "a a2 b c d/sub d/sub/y d/x e/z empty"
        on z 'rm c; echo z > z' || wrong z
        branch merge y z --into both 2> $said || wrong "$(cat $said)"
        again both 'ls; cat e/z y z' > $DISK/out 2> $said || wrong "$(cat $said)"
        [ "$(tr '
' ' ' < $DISK/out)" = "d e y z c y z " ] || wrong "$(cat $DISK/out)"
        branch commit both --ignored --accept-all 2> $said || wrong "$(cat $said)"
        [ "$(ls | tr '
' ' ')" = "d e y z " ] && [ "$(cat e/z)" = c ] || wrong "$(ls -R)"
        [ -z "$(branch diff both)" ] || wrong "$(branch diff both)"
        for b in x y z both; do branch discard $b 2> $said || wrong "$(cat $said)"; done
        [ -z "$(ls "$ST"/*/layers)" ] || wrong left"#,
    );
}

#[test]
fn a_directory_of_the_workspace_with_much_in_it_is_renamed_and_what_is_in_it_found_again() {
    if !has_exact(name_of_test!()) {
        return;
    }
    let place = Harness::new();
    for directory in 0..20 {
        for file in 0..20 {
            place.write(
                &format!("work/modules/p{directory}/lib/f{file}"),
                &format!("{directory} {file}\n"),
            );
        }
    }
    let run = |script: &str| -> Ran { place.sh(&["-q", "--branch=x", "--branch-mode=exact"], script) };
    // As package managers put a directory aside, fill another one and throw the first away.
    run("mv modules .old && mkdir modules && mv .old/p3 modules/p3 && rm -r .old && ls modules && cat modules/p3/lib/f7")
        .prints("p3\n3 7\n");
    run("ls -A; find modules -type f | wc -l").prints("modules\n20\n");
    let diff = place.sandbox(["branch", "diff", "x", "--name-only"]);
    assert_eq!(
        diff.stdout.lines().filter(|line| line.contains("/f")).count(),
        19 * 20,
        "{diff:?}"
    );
    place.sandbox(["branch", "commit", "x"]).says(0, &[]);
    assert_eq!(fs::read_dir(place.work().join("modules")).unwrap().count(), 1);
}

/// Names that lead to the same file, of those that there are.
const TOGETHER: &str = "find . -type f -links +1 -printf '%i %p\\n' | sort | awk '{ names[$1] = names[$1] \" \" $2 } \
    END { for (number in names) print names[number] }' | sort";

#[test]
fn a_directory_in_a_renamed_one_is_committed_and_comes_back_and_links_stay_together() {
    if !has_exact(name_of_test!()) {
        return;
    }
    let place = Harness::new();
    place.write("work/src/lib/deep/a", "one\n");
    place.write("work/src/b", "two\n");
    place.write("work/docs/t", "t\n");
    for name in ["src/hard", "docs/hard"] {
        fs::hard_link(place.work().join("src/lib/deep/a"), place.work().join(name)).unwrap();
    }
    let host = |script: &str| Ran::of(place.at_home(Path::new("sh")).args(["-c", script])).stdout;
    let before = host(LOOK);
    let script =
        "mv src source && echo more >> source/hard && rm docs/t && mv docs documents && cat documents/hard";
    let ran = place.sh(&["-q", "--branch=x", "--branch-mode=exact"], script);
    ran.prints("one\nmore\n");
    // What others put beside it is in nobody's way.
    place.write("work/meanwhile", "new\n");
    let diff = place.sandbox(["branch", "diff", "x"]);
    assert!(!diff.stdout.contains("CONFLICT"), "{diff:?}");
    place
        .sandbox(["branch", "commit", "x"])
        .says(0, &["committed c1"]);
    let names = " ./documents/hard ./source/hard ./source/lib/deep/a\n";
    assert_eq!(host(TOGETHER), names);
    assert_eq!(
        host("ls; cat source/lib/deep/a"),
        "documents\nmeanwhile\nsource\none\nmore\n"
    );
    assert_eq!(place.sandbox(["branch", "diff", "x"]).stdout, "");
    place.sandbox(["branch", "undo", "c1"]).says(0, &[]);
    fs::remove_file(place.work().join("meanwhile")).unwrap();
    assert_eq!(host(LOOK), before);
    assert_eq!(host(TOGETHER), " ./docs/hard ./src/hard ./src/lib/deep/a\n");
}
