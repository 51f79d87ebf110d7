//! Exported and imported again.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

fn export(upper: &Path, compression: Compression) -> (Vec<u8>, ExportedLayer) {
    let mut bytes = Vec::new();
    let options = ExportOptions::new()
        .compression(compression)
        .owners(Owners::Virtual);
    let exported = export_layer(upper, &options, &mut bytes, &mut |_| {}).unwrap();
    (bytes, exported)
}

fn upper(path: &Path) {
    fs::create_dir_all(path.join("d/empty")).unwrap();
    fs::create_dir(path.join("opaque")).unwrap();
    fs::write(path.join("d/file"), vec![3; 100_000]).unwrap();
    fs::hard_link(path.join("d/file"), path.join("d/again")).unwrap();
    symlink("../target", path.join("d/link")).unwrap();
    fs::write(path.join(format!("d/{}", "n".repeat(250))), "long").unwrap();
    fs::set_permissions(path.join("d/file"), fs::Permissions::from_mode(0o640)).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    for (name, attribute, value) in [
        ("opaque", "user.overlay.opaque", &b"y"[..]),
        ("d", "user.overlay.impure", b"y"),
        ("d/file", "user.test", b"a\nb"),
        ("d/file", "user.containers.override_stat", b"10:20:4640:file"),
        ("d/file", "user.overlay.overlay.mine", b"1"),
    ] {
        rustix::fs::setxattr(path.join(name), attribute, value, flags).unwrap();
    }
    let kind = rustix::fs::FileType::CharacterDevice;
    let mode = rustix::fs::Mode::empty();
    for gone in ["gone", "d/gone"] {
        rustix::fs::mknodat(rustix::fs::CWD, path.join(gone), kind, mode, 0).unwrap();
    }
}

#[test]
fn an_upper_becomes_a_layer_and_the_layer_the_same_directory() {
    let world = World::new();
    let path = world.path("upper");
    upper(&path);
    let (first, exported) = export(&path, Compression::None);
    assert_eq!(exported.digest, exported.diff_id);
    assert_eq!((exported.size, exported.entries), (first.len() as u64, 11));
    let layer = world.import(&first).unwrap();
    assert_eq!(
        (layer.diff_id, layer.assumed, layer.bytes),
        (exported.diff_id, 0, 100_004)
    );
    let (second, _) = export(&layer.path, Compression::None);
    assert!(first == second, "what was imported exports as what was exported");
    let again = layer.path.join("d/again").metadata().unwrap();
    assert_eq!((again.nlink(), again.len()), (2, 100_000));
    for compression in [Compression::Gzip, Compression::Zstd] {
        let (one, exported) = export(&path, compression);
        let (other, _) = export(&path, compression);
        assert!(one == other, "equal directories give equal layers");
        assert_eq!(exported.digest, Digest::of(&one));
        assert_eq!(exported.diff_id, layer.diff_id);
        assert!(world.import(&one).unwrap().reused);
    }
}

#[test]
fn what_a_layer_cannot_hold_is_an_error_and_sockets_are_left_out() {
    let world = World::new();
    let flags = rustix::fs::XattrFlags::empty();
    let error = |name: &str, fill: &dyn Fn(&Path)| {
        let path = world.path(name);
        fs::create_dir(&path).unwrap();
        fill(&path);
        let options = ExportOptions::new().owners(Owners::Virtual);
        let exported = export_layer(&path, &options, &mut Vec::new(), &mut |_| {});
        exported.unwrap_err().to_string()
    };
    let reserved = error("reserved", &|path| fs::write(path.join(".wh.x"), "").unwrap());
    assert!(reserved.starts_with(".wh.x: in a layer"), "{reserved}");
    let redirect = error("redirect", &|path| {
        fs::create_dir(path.join("d")).unwrap();
        rustix::fs::setxattr(path.join("d"), "user.overlay.redirect", b"/x", flags).unwrap();
    });
    assert!(redirect.starts_with("d: has its content"), "{redirect}");
    let long = error("long", &|path| {
        let kind = rustix::fs::FileType::CharacterDevice;
        let mode = rustix::fs::Mode::empty();
        rustix::fs::mknodat(rustix::fs::CWD, path.join("n".repeat(252)), kind, mode, 0).unwrap();
    });
    assert!(long.contains("more than 251 bytes"), "{long}");
    let forged = error("forged", &|path| {
        fs::write(path.join("f"), "").unwrap();
        rustix::fs::setxattr(path.join("f"), "user.containers.override_stat", b"x", flags).unwrap();
    });
    assert!(forged.starts_with("f: user.containers.override_stat"), "{forged}");
    let path = world.path("socket");
    fs::create_dir(&path).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(path.join("s")).unwrap();
    let (_, exported) = export(&path, Compression::None);
    assert_eq!(exported.skipped, [PathBuf::from("s")]);
}

#[test]
fn changes_are_listed_against_the_layers_beneath() {
    let world = World::new();
    let path = world.path("upper");
    upper(&path);
    let below = Forged::new()
        .dir("d")
        .file("d/file", b"old")
        .file("gone", b"")
        .dir("opaque")
        .end();
    let below = world.import(&below).unwrap().path;
    let changes = |lowers: &[PathBuf]| -> Vec<String> {
        let changes = layer_changes(&path, lowers, Owners::Virtual).unwrap();
        let shown = changes.iter().filter(|change| change.path.as_bytes().len() < 100);
        shown
            .map(|change| format!("{:?} {}", change.change, change.path))
            .collect()
    };
    assert_eq!(
        changes(&[below]),
        [
            "Removed gone",
            "Replaced opaque",
            "Added d/again",
            "Added d/empty",
            "Modified d/file",
            "Added d/link",
        ]
    );
    assert_eq!(changes(&[]).len(), 8);
    let error = layer_changes(&path, &[world.path("none")], Owners::Virtual).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}
