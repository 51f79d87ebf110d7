//! What other programs make of our layers, and we of theirs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use sandbox_filesystem::oci::{
    Compression, Digest, Expected, ExportOptions, Layout, Owners, Selection, Store, UnpackOptions,
    export_layer, import_layer,
};

use super::{Seen, by_host, has, made};

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn tree(root: &Path) {
    fs::create_dir_all(root.join("d/deeper")).expect("mkdir");
    fs::write(root.join("d/file"), vec![1; 70_000]).expect("write");
    fs::hard_link(root.join("d/file"), root.join("again")).expect("link");
    fs::write(root.join("d/script"), "#!/bin/sh\n").expect("write");
    fs::set_permissions(root.join("d/script"), fs::Permissions::from_mode(0o755)).expect("chmod");
    symlink("../nowhere", root.join("d/link")).expect("symlink");
    fs::write(root.join(format!("d/{}", "n".repeat(90))), "long").expect("write");
}

/// Owners aside: who they are depends on who runs this.
fn plain(seen: Seen) -> Vec<String> {
    let words = |(path, what): (String, String)| {
        let words: Vec<_> = what.split(' ').collect();
        format!("{path} {} {} {}", words[0], words[1], words[3])
    };
    seen.into_iter().map(words).collect()
}

#[test]
fn gnu_tar_unpacks_what_we_export_and_we_what_it_packs() {
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name);
    tree(&path("upper"));
    let expected = plain(by_host(&path("upper")));
    for (compression, flag) in [(Compression::None, "-xf"), (Compression::Gzip, "-xzf")] {
        let mut layer = Vec::new();
        let options = ExportOptions::new().compression(compression);
        let exported = export_layer(&path("upper"), &options, &mut layer, &mut |_| {}).expect("a layer");
        fs::write(path("layer"), &layer).expect("write");
        let sum = run(Command::new("sha256sum").arg(path("layer")));
        assert!(
            sum.starts_with(&exported.digest.hex()),
            "{sum} {}",
            exported.digest
        );
        let into = path("unpacked");
        fs::create_dir(&into).expect("mkdir");
        run(Command::new("tar")
            .arg(flag)
            .arg(path("layer"))
            .arg("-C")
            .arg(&into));
        assert_eq!(plain(by_host(&into)), expected);
        fs::remove_dir_all(&into).expect("rm");
    }
    let store = Store::open(path("store")).expect("a store");
    for format in ["gnu", "pax", "ustar"] {
        let layer = path(format);
        let mut tar = Command::new("tar");
        tar.arg(format!("--format={format}")).arg("-cf").arg(&layer);
        run(tar.arg("-C").arg(path("upper")).arg("."));
        let bytes = fs::read(&layer).expect("an archive");
        let options = UnpackOptions::new().owners(Owners::Virtual);
        let imported = import_layer(
            &store,
            &mut &bytes[..],
            &Expected::default(),
            &options,
            &mut |_| {},
        );
        let imported = imported.expect(format);
        assert_eq!(imported.diff_id, Digest::of(&bytes));
        assert_eq!(plain(by_host(&imported.path)), expected, "{format}");
    }
}

#[test]
fn umoci_unpacks_the_same_image_to_the_same_tree() {
    for program in ["python3", "umoci"] {
        if !has(program) {
            skip!("no {program} on PATH");
        }
    }
    let made = made();
    let place = made.dir.path();
    let mut umoci = Command::new("umoci");
    umoci.arg("unpack");
    if !crate::harness::is_root() {
        umoci.arg("--rootless");
    }
    let image = format!("{}:latest", place.join("layout").display());
    run(umoci.arg("--image").arg(image).arg(place.join("bundle")));
    let theirs = super::without_owners(&by_host(&place.join("bundle/rootfs")));
    assert_eq!(theirs, super::without_owners(&made.expected));
}

#[test]
fn what_skopeo_copies_with_zstd_is_the_same_image() {
    for program in ["python3", "skopeo"] {
        if !has(program) {
            skip!("no {program} on PATH");
        }
    }
    let made = made();
    let place = made.dir.path();
    let oci = |name: &str| format!("oci:{}:latest", place.join(name).display());
    let mut skopeo = Command::new("skopeo");
    skopeo.args([
        "copy",
        "--insecure-policy",
        "--dest-compress-format",
        "zstd",
        "--dest-compress",
    ]);
    run(skopeo.arg(oci("layout")).arg(oci("copied")));
    let store = Store::open(place.join("store")).expect("a store");
    let options = UnpackOptions::new().owners(Owners::Virtual);
    let unpack = |name: &str| {
        let layout = Layout::open(place.join(name)).expect("a layout");
        let image = layout.unpack(&Selection::new(), &store, &options, &mut |_| {});
        let image = image.expect(name);
        image.layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>()
    };
    assert_eq!(unpack("copied"), unpack("layout"));
}
