//! `sandbox layer`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;

use rustix::process::Signal;

use crate::harness::Harness;
use crate::mounts::{eventually, signal};

#[test]
fn an_upper_becomes_a_layer_and_a_directory_again() {
    let place = Harness::new();
    place.write("work/upper/etc/motd", "hello\n");
    symlink("motd", place.work().join("upper/etc/link")).expect("symlink");
    let exported = place.sandbox(["layer", "export", "upper", "--output", "layer.tar.gz", "--json"]);
    let exported: serde_json::Value = serde_json::from_str(&exported.stdout).expect("JSON");
    assert_eq!(exported["entries"], 4, "{exported}");
    let [digest, diff_id] = ["digest", "diff_id"].map(|key| exported[key].as_str().expect("text").to_owned());
    let flags = [
        "layer",
        "import",
        "layer.tar.gz",
        "--into",
        "layers",
        "--digest",
        &digest,
    ];
    let imported = place.sandbox(flags);
    let hex = diff_id.strip_prefix("sha256:").expect("a digest");
    assert!(
        imported.stdout.starts_with(&format!("layers/sha256-{hex}.")),
        "{imported:?}"
    );
    imported.says(0, &["imported, 4 entries"]);
    let tree = place.work().join(imported.stdout.trim_end());
    assert_eq!(
        fs::read_to_string(tree.join("etc/motd")).expect("a file"),
        "hello\n"
    );
    place.sandbox(flags).says(0, &["is there already"]);
    let again = place.sandbox(["layer", "import", "layer.tar.gz", "--into", "layers", "--json"]);
    let again: serde_json::Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!(again["layers"][0]["reused"], true, "{again}");
    assert_eq!(again["layers"][0]["diff_id"], diff_id.as_str());
    place.write("work/upper/etc/more", "1");
    let tree = tree.display().to_string();
    place
        .sandbox(["layer", "diff", "upper", "--layer", &tree])
        .prints("M etc/link\nA etc/more\nM etc/motd\n");
    let changes = place.sandbox(["layer", "diff", "upper", "--json"]);
    let changes: serde_json::Value = serde_json::from_str(&changes.stdout).expect("JSON");
    assert_eq!(changes[0]["path"], "etc", "{changes}");
}

#[test]
fn what_cannot_be_imported_is_named_and_leaves_nothing() {
    let place = Harness::new();
    place.write("work/upper/f", "f");
    place.write("work/layout/index.json", "{}");
    place.write("work/none", "no layer");
    place
        .sandbox(["layer", "export", "upper", "-o", "layer"])
        .says(0, &["exported upper: 2 entries"]);
    let zeros = format!("sha256:{}", "0".repeat(64));
    for (args, said) in [
        (&["none"][..], "the layer is cut off"),
        (&["missing"], "No such file"),
        (&["layout"], "oci-layout: cannot be read"),
        (&["layer", "--digest", &zeros], "its digest is sha256:"),
        (&["layer", "--ref", "latest"], "--ref is for an image layout"),
        (&["layout", "--diff-id", &zeros], "--diff-id is for a layer"),
        (&["layer", "--max-entries", "1"], "more than 1 entries"),
        (&["layer", "--max-size", "0"], "more than 0 bytes"),
    ] {
        let args = [&["layer", "import"], args, &["--into", "store"]].concat();
        place.sandbox(args).says(1, &[said]);
        let store = place.work().join("store");
        let left = fs::read_dir(store.join(".staging")).map_or(0, Iterator::count);
        let kept = fs::read_dir(store).map_or(1, Iterator::count);
        assert_eq!((left, kept), (0, 1), "{said}");
    }
    for (args, said) in [
        (
            &["layer", "import", "layer", "--into", "s", "--digest", "x"][..],
            "is not a digest",
        ),
        (
            &["layer", "import", "layer", "--into", "s", "--platform", "x"],
            "is not a platform",
        ),
        (&["layer", "import", "layer"], "--into"),
    ] {
        place.sandbox(args).says(2, &[said]);
    }
    place
        .sandbox(["layer", "export", "upper", "-o", "layer"])
        .says(1, &["layer: ", "exists"]);
    place
        .sandbox(["layer", "export", "missing", "-o", "x"])
        .says(1, &["missing: cannot be opened: No such file"]);
    assert!(!place.work().join("x").exists());
    for (args, said) in [
        (&["export", "none", "-o", "x"][..], "none: not a directory"),
        (&["diff", "missing"], "missing: cannot be opened: No such file"),
        (&["diff", "none"], "none: cannot be opened: Not a directory"),
        (&["diff", "upper", "--layer", "missing"], "missing: No such file"),
    ] {
        place.sandbox([&["layer"], args].concat()).says(1, &[said]);
    }
}

#[test]
fn an_import_that_is_interrupted_takes_back_what_it_has_unpacked() {
    let place = Harness::new();
    place.write("work/upper/large", &"0123456789abcdef".repeat(1 << 16));
    let layer = ["layer", "export", "upper", "--compression", "none", "-o", "layer"];
    place.sandbox(layer).says(0, &["exported upper"]);
    let layer = fs::read(place.work().join("layer")).expect("a layer");
    let staging = place.work().join("some layers/.staging");
    let has_begun = || {
        let mut staged = fs::read_dir(&staging).into_iter().flatten().flatten();
        staged.any(|entry| entry.path().join("tree/large").exists())
    };
    for (number, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut command = place.command(["layer", "import", "-", "--into", "some layers"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        // The rest never comes.
        let mut input = child.stdin.take().expect("piped");
        input.write_all(&layer[..layer.len() / 2]).expect("it reads");
        eventually("it has begun", has_begun);
        signal(child.id(), number);
        let mut said = String::new();
        let mut stderr = child.stderr.take().expect("piped");
        stderr.read_to_string(&mut said).expect("UTF-8");
        assert_eq!(child.wait().expect("a child").code(), Some(status), "{said}");
        assert!(said.contains("interrupted; taking back what was begun"), "{said}");
        assert_eq!(fs::read_dir(&staging).expect("staging").count(), 0, "{said}");
        assert_eq!(
            fs::read_dir(place.work().join("some layers"))
                .expect("a store")
                .count(),
            1
        );
        drop(input);
    }
    place
        .sandbox(["layer", "import", "layer", "--into", "some layers"])
        .says(0, &["imported"]);
}

#[test]
fn a_directory_that_somebody_else_may_write_to_is_no_place_for_layers() {
    let place = Harness::new();
    let documents = place.write("work/documents/thesis", "years\n");
    place.write("work/upper/f", "f");
    place
        .sandbox(["layer", "export", "upper", "-o", "layer"])
        .says(0, &[]);
    let store = place.work().join("store");
    fs::create_dir(&store).expect("mkdir");
    symlink("..", store.join(".staging")).expect("symlink");
    let import = ["layer", "import", "layer", "--into", "store"];
    place.sandbox(import).says(
        1,
        &["store/.staging: not trusted with layers: it is a link", "hint: "],
    );
    assert!(documents.exists());
    fs::remove_file(store.join(".staging")).expect("unlink");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o777)).expect("chmod");
    place.sandbox(import).says(
        1,
        &["store: not trusted with layers: others than its owner may write to it: its mode is 0777"],
    );
    fs::set_permissions(&store, fs::Permissions::from_mode(0o755)).expect("chmod");
    place.sandbox(import).says(0, &["imported"]);
}
