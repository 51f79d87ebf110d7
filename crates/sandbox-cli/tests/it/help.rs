//! `--help`: its text is kept, and every example in it works.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::harness::{Harness, Ran, binary, has, path_with};

/// Help texts and the files that hold them, relative to the package.
const GOLDEN: &[(&[&str], &str)] = &[
    (&["--help"], "sandbox.txt"),
    (&["run", "--help"], "run.txt"),
    (&["fork", "--help"], "fork.txt"),
    (&["exec", "--help"], "exec.txt"),
    (&["branch", "--help"], "branch.txt"),
    (&["branch", "list", "--help"], "branch-list.txt"),
    (&["branch", "show", "--help"], "branch-show.txt"),
    (&["branch", "diff", "--help"], "branch-diff.txt"),
    (&["branch", "commit", "--help"], "branch-commit.txt"),
    (&["branch", "undo", "--help"], "branch-undo.txt"),
    (&["branch", "merge", "--help"], "branch-merge.txt"),
    (&["branch", "discard", "--help"], "branch-discard.txt"),
    (&["branch", "rename", "--help"], "branch-rename.txt"),
    (&["branch", "recover", "--help"], "branch-recover.txt"),
    (&["branch", "export", "--help"], "branch-export.txt"),
    (&["branch", "import", "--help"], "branch-import.txt"),
    (&["branch", "attach", "--help"], "branch-attach.txt"),
    (&["branch", "gc", "--help"], "branch-gc.txt"),
    (&["ps", "--help"], "ps.txt"),
    (&["mount", "--help"], "mount.txt"),
    (&["mount", "passthrough", "--help"], "mount-passthrough.txt"),
    (&["mount", "overlay", "--help"], "mount-overlay.txt"),
    (&["mount", "mem", "--help"], "mount-mem.txt"),
    (&["mount", "dual", "--help"], "mount-dual.txt"),
    (&["doctor", "--help"], "doctor.txt"),
    (&["profile", "--help"], "profile.txt"),
    (&["gc", "--help"], "gc.txt"),
    (&["completions", "--help"], "completions.txt"),
    (&["man", "--help"], "man.txt"),
    (&["layer", "--help"], "layer.txt"),
    (&["layer", "import", "--help"], "layer-import.txt"),
    (&["layer", "export", "--help"], "layer-export.txt"),
    (&["layer", "diff", "--help"], "layer-diff.txt"),
    (&["volume", "--help"], "volume.txt"),
    (&["volume", "create", "--help"], "volume-create.txt"),
    (&["volume", "ensure", "--help"], "volume-ensure.txt"),
    (&["volume", "list", "--help"], "volume-list.txt"),
    (&["volume", "show", "--help"], "volume-show.txt"),
    (&["volume", "rm", "--help"], "volume-rm.txt"),
    (&["volume", "resize", "--help"], "volume-resize.txt"),
    (&["volume", "rename", "--help"], "volume-rename.txt"),
    (&["volume", "clone", "--help"], "volume-clone.txt"),
    (&["volume", "snapshot", "--help"], "volume-snapshot.txt"),
    (&["volume", "restore", "--help"], "volume-restore.txt"),
    (&["volume", "export", "--help"], "volume-export.txt"),
    (&["volume", "import", "--help"], "volume-import.txt"),
    (&["volume", "prune", "--help"], "volume-prune.txt"),
    (&["volume", "df", "--help"], "volume-df.txt"),
    (&["volume", "ls", "--help"], "volume-ls.txt"),
    (&["volume", "cat", "--help"], "volume-cat.txt"),
    (&["volume", "cp", "--help"], "volume-cp.txt"),
    (&["volume", "put", "--help"], "volume-put.txt"),
    (&["volume", "get", "--help"], "volume-get.txt"),
    (&["volume", "fsck", "--help"], "volume-fsck.txt"),
];

#[test]
fn help_texts_are_as_kept() {
    let place = Harness::new();
    for (args, file) in GOLDEN {
        let ran = place.sandbox(*args);
        assert_eq!(ran.status, 0, "{ran:?}");
        let file = Path::new("tests/golden").join(file);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &ran.stdout).expect("golden file");
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == ran.stdout,
            "{}: run with UPDATE_GOLDEN=1 when this is right:\n{}",
            file.display(),
            ran.stdout
        );
    }
}

#[test]
fn every_example_of_run_works() {
    for program in ["python3", "make"] {
        if !has(program) {
            skip!("help::every_example_of_run_works", "no {program} on PATH");
        }
    }
    let place = Harness::new();
    place.write("work/x.py", "print('hello')\n");
    place.write("work/Makefile", "all:\n\techo built > out\n");
    place.script("work/a.out", "cat");
    place.write("work/t1.in", "1\n");
    place.script(
        "work/server",
        "exec python3 -c 'import socket; socket.socket().bind((\"127.0.0.1\", 8080))'",
    );
    place.script("work/agent.sh", "test \"$TOKEN\" = t");
    place.write("home/data/private/key", "secret");
    place.write("home/data/table", "1,2");
    let help = place.sandbox(["run", "--help"]).stdout;
    let examples: Vec<_> = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("$ "))
        .collect();
    assert!(examples.len() >= 5, "{help}");
    for example in examples {
        let ran = shell(&place, example);
        assert_eq!(ran.status, 0, "{example}: {ran:?}");
        assert!(!ran.stdout.contains("key"), "{example}: {ran:?}");
    }
    assert_eq!(
        fs::read_to_string(place.work().join("out")).expect("the build ran"),
        "built\n"
    );
}

#[test]
fn every_example_of_fork_works() {
    for program in ["python3", "cc"] {
        if let Some(reason) = crate::fork::missing(program) {
            skip!("help::every_example_of_fork_works", "{reason}");
        }
    }
    let place = Harness::new();
    place.write(
        "work/sweep.py",
        "import sandbox_fork; n = sandbox_fork.ready(); print(n % 7, n)\n",
    );
    place.write(
        "work/edit.py",
        "import sandbox_fork; n = sandbox_fork.ready(); open('out', 'w').write(str(n))\n",
    );
    place.write(
        "work/sweep.c",
        "#include \"sandbox_fork.h\"\nint main(void) { return sandbox_ready() < 0; }\n",
    );
    let help = place.sandbox(["fork", "--help"]).stdout;
    let examples: Vec<_> = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("$ "))
        .collect();
    assert!(examples.len() >= 5, "{help}");
    for example in examples {
        let ran = shell(&place, example);
        assert_eq!(ran.status, 0, "{example}: {ran:?}");
    }
    assert!(place.work().join("ended.json").is_file());
}

#[test]
fn every_example_of_the_other_commands_works() {
    let place = Harness::new();
    fs::create_dir_all(place.home().join(".local/share/bash-completion/completions")).expect("mkdir");
    for command in [
        "doctor",
        "profile",
        "ps",
        "gc",
        "completions",
        "man",
        "layer",
        "volume",
    ] {
        let help = place.sandbox([command, "--help"]).stdout;
        for example in help
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("$ "))
        {
            let ran = shell(&place, example);
            assert_eq!(ran.status, 0, "{example}: {ran:?}");
        }
    }
}

const OF_VOLUMES: &[&str] = &[
    "create", "ensure", "list", "show", "rm", "resize", "rename", "clone", "snapshot", "restore", "export",
    "import", "prune", "df", "ls", "cat", "cp", "put", "get", "fsck",
];

#[test]
fn every_command_of_volumes_has_an_example_and_all_of_them_work() {
    for command in OF_VOLUMES {
        let place = Harness::new();
        let help = place.sandbox(["volume", command, "--help"]).stdout;
        let mut examples = help
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("$ "))
            .peekable();
        assert!(examples.peek().is_some(), "{help}");
        if *command != "create" {
            place.sandbox(["volume", "create", "data"]).prints("data\n");
            place.write("work/greeting", "hello\n");
            place
                .sandbox(["volume", "put", "greeting", "data:/greeting"])
                .prints("");
            place
                .sandbox(["volume", "snapshot", "data", "before"])
                .says(0, &[]);
            place
                .sandbox(["volume", "export", "data", "--output", "data.tar.zst"])
                .says(0, &[]);
        }
        for example in examples {
            if example.contains("zstd") && !has("zstd") {
                continue;
            }
            let ran = shell(&place, example);
            assert_eq!(ran.status, 0, "{example}: {ran:?}");
        }
    }
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let place = Harness::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.sandbox(["completions", shell]).stdout;
        assert!(
            script.contains("COMPLETE") && script.contains("sandbox"),
            "{shell}: {script}"
        );
    }
    assert_eq!(place.sandbox(["man", "pages"]).status, 0);
    for page in [
        "sandbox.1",
        "sandbox-run.1",
        "sandbox-fork.1",
        "sandbox-doctor.1",
        "sandbox-profile.1",
        "sandbox-ps.1",
        "sandbox-gc.1",
        "sandbox-layer.1",
        "sandbox-layer-import.1",
        "sandbox-volume.1",
        "sandbox-volume-create.1",
    ] {
        let text = fs::read_to_string(place.work().join("pages").join(page)).expect(page);
        assert!(text.contains(".TH"), "{page}");
    }
}

/// What bash offers for the last word of a line.
fn offered(place: &Harness, words: &[&str]) -> Vec<String> {
    let mut command = place.at_home(&binary());
    command
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "true")
        .env("_CLAP_IFS", "\n")
        .arg("--")
        .args(words);
    let ran = Ran::of(&mut command);
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn names_of_volumes_and_paths_in_them_are_completed() {
    let place = Harness::new();
    assert!(offered(&place, &["sandbox", "run", "--wall"]).contains(&"--wall-time".to_owned()));
    assert_eq!(
        offered(&place, &["sandbox", "volume", "show", ""])
            .iter()
            .filter(|name| !name.starts_with('-'))
            .count(),
        0
    );
    for name in ["data", "data-2", "other"] {
        place
            .sandbox(["volume", "create", name])
            .prints(&format!("{name}\n"));
    }
    fs::write(place.work().join("file"), "x").expect("write");
    place.sandbox(["volume", "put", "file", "data:/file"]).prints("");
    let mut names = offered(&place, &["sandbox", "volume", "rm", "da"]);
    names.sort();
    assert_eq!(names, ["data", "data-2"]);
    assert_eq!(
        offered(&place, &["sandbox", "volume", "cat", "data:/f"]),
        ["data:/file"]
    );
    assert_eq!(
        offered(&place, &["sandbox", "run", "--volume", "oth"]),
        ["other:/"]
    );
    for snapshot in ["before", "after"] {
        place
            .sandbox(["volume", "snapshot", "data", snapshot])
            .says(0, &[]);
    }
    assert_eq!(
        offered(&place, &["sandbox", "volume", "restore", "data", "be"]),
        ["before"]
    );
    let mut of_clone = offered(
        &place,
        &["sandbox", "volume", "clone", "data", "copy", "--snapshot", ""],
    );
    of_clone.sort();
    assert_eq!(of_clone, ["after", "before"]);
}

/// A line as typed, with `sandbox` on PATH.
fn shell(place: &Harness, line: &str) -> Ran {
    let bin = place.root().join("bin");
    if !bin.exists() {
        fs::create_dir(&bin).expect("mkdir");
        symlink(binary(), bin.join("sandbox")).expect("symlink");
    }
    let mut command = place.at_home("/bin/sh".as_ref());
    Ran::of(
        command
            .args(["-c", line])
            .env("PATH", path_with(&bin))
            .env("TOKEN", "t"),
    )
}
