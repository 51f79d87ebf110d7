//! `sandbox layer`.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::Harness;

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
        .says(1, &["No such file"]);
    assert!(!place.work().join("x").exists());
}
