//! A branch's changes as a patch: `git apply` makes of the workspace what the branch has made of it, as far as git
//! keeps it.

use std::path::Path;
use std::process::Command;

use super::project::{Project, modes, name_of_test};
use crate::harness::{Ran, has, skipped};

/// What git keeps of a directory has one name, wherever the directory is.
const TREE: &str = "git add --all && git write-tree";

const REPOSITORY: &str = r"
git init -q -b main . && mkdir texts
seq 30 > texts/many; printf 'no newline' > texts/short; printf 'a\rb\nc\r\n' > texts/returns
printf 'one\ntwo\n' > 'texts/a name'; seq 9 > texts/program; chmod +x texts/program
ln -s many texts/link; ln -s dir texts/directory-link; mkdir texts/dir; seq 5 > texts/dir/inner
git add --all && git -c user.name=a -c user.email=a@b commit -qm first";

/// The patch of what `script` does makes the same of the repository as the script itself; what the patch says.
#[track_caller]
fn patch_does_what(test: &str, script: &str) -> Vec<String> {
    if !has("git") {
        skipped(test, "git is not installed");
        return Vec::new();
    }
    let plain = repository();
    shell(&plain.base(), script);
    let expected = shell(&plain.base(), TREE);
    let mut patches = Vec::new();
    for mode in modes(test) {
        let project = repository();
        project.sh("x", mode, script).says(0, &[]);
        let patch = project.place.sandbox(["branch", "diff", "x", "--patch"]);
        patch.says(0, &[]);
        let file = project.place.write("x.patch", &patch.stdout);
        // A patch of nothing is none.
        if patch.stdout.contains("diff --git") {
            shell(
                &project.base(),
                &format!("git apply --whitespace=nowarn {}", file.display()),
            );
        }
        assert_eq!(
            shell(&project.base(), TREE),
            expected,
            "mode {mode}: {script}\n{}",
            patch.stdout
        );
        patches.push(patch.stdout);
    }
    patches
}

fn repository() -> Project {
    let project = Project::new();
    shell(&project.base(), REPOSITORY);
    project
}

#[track_caller]
fn shell(directory: &Path, script: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(directory);
    let ran = Ran::of(&mut command);
    assert_eq!(ran.status, 0, "{script}: {ran:?}");
    ran.stdout
}

#[test]
fn a_patch_holds_what_was_written_made_removed_and_renamed() {
    patch_does_what(
        name_of_test!(),
        r#"sed -i s/15/fifteen/ texts/many; rm texts/short; printf 'more' >> 'texts/a name'; echo new > new; : > hollow
        mv texts/dir/inner moved; chmod -x texts/program; ln -s new other-link; rm texts/link; ln -s short texts/link
        printf 'q\n' > 'quo"te'; printf 'e\n' > 'é'; printf 't\n' > "$(printf 'tab\tname')""#,
    );
}

#[test]
fn a_patch_leaves_out_what_git_does_not_keep_and_can_still_be_applied() {
    let patches = patch_does_what(
        name_of_test!(),
        "touch texts/many; chmod 600 'texts/a name'; mkdir new-directory; mkfifo texts/pipe; echo more >> texts/short",
    );
    for patch in patches {
        assert_eq!(patch.matches("diff --git").count(), 1, "{patch}");
    }
    for patch in patch_does_what(name_of_test!(), "touch texts/many") {
        assert_eq!(patch, "");
    }
}

#[test]
fn a_patch_says_of_a_file_that_has_become_something_else_that_one_goes_and_the_other_comes() {
    for script in [
        "rm texts/link; echo file > texts/link",
        "rm texts/many; ln -s short texts/many",
        "rm -r texts/dir; echo file > texts/dir",
        "rm texts/many; mkdir texts/many; echo deeper > texts/many/file",
        "rm texts/directory-link; mkdir texts/directory-link; echo file > texts/directory-link/file",
    ] {
        patch_does_what(name_of_test!(), script);
    }
}

#[test]
fn a_carriage_return_is_a_part_of_its_line() {
    for script in [
        r"printf 'a\rB\nc\r\n' > texts/returns",
        r"printf 'a\rb\nc\r' > texts/returns",
        r"printf 'x\ry' > texts/short; printf '\r' > new",
        r"printf 'a\rb\nc\r\nd\r\n' > texts/returns",
    ] {
        patch_does_what(name_of_test!(), script);
    }
}

#[test]
fn lines_are_counted_as_git_counts_them() {
    if !has("git") {
        return skipped(name_of_test!(), "git is not installed");
    }
    for mode in modes(name_of_test!()) {
        let project = repository();
        project
            .sh("x", mode, r"printf 'x\ry\rz\nc\r\n' > texts/returns")
            .says(0, &[]);
        let stat = project.place.sandbox(["branch", "diff", "x", "--stat"]);
        assert_eq!(stat.stdout, "M texts/returns  +1 −1\n", "mode {mode}");
    }
}
