//! Programs that people use, on a branch as in a plain directory.

use std::process::Command;

use super::project::{Project, modes, name_of_test};
use crate::harness::{Ran, has, skipped};

/// What every script begins with: no configuration of the user's, and commits that have the same name everywhere.
const PRELUDE: &str = "
set -e
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_AUTHOR_DATE='1000000000 +0000'
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_COMMITTER_DATE='1000000000 +0000'
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null LC_ALL=C
exec 2>&1
";

/// A script prints and leaves on a branch what it does in a plain directory, after `prepare` in both; the base stays
/// as `prepare` has left it.
#[track_caller]
fn works_alike(test: &str, needs: &[&str], prepare: &str, script: &str) {
    if let Some(missing) = needs.iter().find(|program| !has(program)) {
        return skipped(test, &format!("{missing} is not installed"));
    }
    let prepared = || {
        let project = Project::new();
        plain(&project, prepare);
        project
    };
    let left =
        "\nfind . -path ./.git -prune -o -print | sort; find . -type f -path './s*' | sort | xargs cksum";
    let script = format!("{PRELUDE}{script}{left}");
    let expected = plain(&prepared(), &script);
    for mode in modes(test) {
        let project = prepared();
        let before = project.fingerprint();
        let ran = project.sh("x", mode, &script);
        assert_eq!(
            (ran.status, ran.stdout.as_str()),
            (0, expected.as_str()),
            "mode {mode}"
        );
        before.still_holds();
    }
}

fn plain(project: &Project, script: &str) -> String {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{PRELUDE}{script}")])
        .current_dir(project.base());
    let ran = Ran::of(&mut command);
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.stdout
}

const REPOSITORY: &str = "
git init -q -b main .
mkdir src; for i in 1 2 3 4 5 6 7 8; do seq $i > src/$i; done
git add .; git commit -qm first";

#[test]
fn git_commits_branches_merges_stashes_and_packs() {
    works_alike(
        name_of_test!(),
        &["git"],
        REPOSITORY,
        "
        git status --short
        echo more >> src/1; git mv src/2 src/two; git rm -q src/3; git add -A; git commit -qm second
        git checkout -qb topic; echo t > topic; git add .; git stash -q; git stash pop -q; git commit -qm third
        git checkout -q main; git merge -q topic; git gc -q; git fsck --no-dangling
        git log --oneline; git status --short
        git reset -q --hard HEAD~1; git clean -qfdx; git status --short
        git worktree add -q ../work/tree topic; ls tree; git worktree remove tree",
    );
}

#[test]
fn tar_packs_and_unpacks_over_what_is_there() {
    works_alike(
        name_of_test!(),
        &["tar"],
        "",
        "
        tar cf all.tar dir file exec sparse hard1 hard2 link dangling empty
        rm -r dir file exec link hard1 hard2
        tar xpf all.tar; tar df all.tar
        mkdir unpacked; tar xpSf all.tar -C unpacked; stat -c '%n %a %h %s' unpacked/*
        tar xpf all.tar --overwrite",
    );
}

#[test]
fn rsync_mirrors_and_deletes() {
    works_alike(
        name_of_test!(),
        &["rsync"],
        "mkdir -p source/a; seq 9 > source/a/1; ln source/a/1 source/a/2; cp -a source target; seq 5 > source/a/1",
        "
        rsync -aHX --delete source/ target/; diff -r source target; rsync -ani --delete source/ target/
        rsync -a --delete --inplace dir/ target/; ls target; rsync -a --remove-source-files target/ moved/",
    );
}

#[test]
fn a_compiler_compiles_what_the_base_has_and_its_product_is_executed() {
    works_alike(
        name_of_test!(),
        &["gcc"],
        "echo 'int helper(void) { return 42; }' > helper.c
        echo 'int helper(void); int main(void) { return helper(); }' > main.c; gcc -c helper.c",
        "
        gcc -o main main.c helper.o; ./main || echo $?
        sed -i s/42/43/ helper.c; gcc -o main main.c helper.c; ./main || echo $?; rm *.o",
    );
}

#[test]
fn a_virtual_environment_of_python_is_made_and_used() {
    works_alike(
        name_of_test!(),
        &["/usr/bin/python3"],
        "mkdir package; echo 'value = 1' > package/__init__.py",
        "
        /usr/bin/python3 -m venv --without-pip environment
        echo 'value = 2' > package/__init__.py
        environment/bin/python -c 'import sys, package; print(package.value, sys.prefix != sys.base_prefix)'
        rm -r environment package",
    );
}

#[test]
fn a_database_of_the_base_is_written_to_with_its_log_mapped() {
    works_alike(
        name_of_test!(),
        &["/usr/bin/python3"],
        "/usr/bin/python3 -c 'import sqlite3
with sqlite3.connect(\"data\") as data: data.execute(\"create table t (x)\")'",
        "
        /usr/bin/python3 -c 'import sqlite3
one, two = sqlite3.connect(\"data\"), sqlite3.connect(\"data\")
print(one.execute(\"pragma journal_mode=wal\").fetchone())
with one: one.executemany(\"insert into t values (?)\", [(i,) for i in range(1000)])
print(two.execute(\"select sum(x) from t\").fetchone())
one.close(); print(two.execute(\"pragma journal_mode=delete\").fetchone())'",
    );
}

#[test]
fn programs_that_rename_a_directory_of_the_base_fall_back_to_copying() {
    works_alike(
        name_of_test!(),
        &["/usr/bin/python3"],
        "",
        "
        mv dir moved; ls -R moved
        /usr/bin/python3 -c 'import shutil; print(shutil.move(\"moved\", \"again\"))'
        mv again dir; mv empty dir/; cp -a dir second_copy; stat -c '%n %a %y' dir/sub/deep dir/inner",
    );
}

/// The other half: one that does not. It is told, and mode `copy` has no such difference.
#[test]
fn git_says_that_it_cannot_rename_a_directory_of_the_base() {
    if !has("git") {
        return skipped(name_of_test!(), "git is not installed");
    }
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        plain(&project, REPOSITORY);
        let ran = project.sh(
            "x",
            mode,
            "git mv src moved; echo $?; mv src moved && git add -A && git status --short | wc -l",
        );
        match mode {
            "kernel" => {
                ran.says(0, &["renaming 'src' failed", "cross-device link"]);
                assert_eq!(ran.stdout, "128\n8\n");
            }
            _ => assert!(ran.stdout.starts_with("0\n"), "{ran:?}"),
        }
    }
}
