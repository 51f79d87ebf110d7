//! Layers that nobody's tool has made: refused, and nothing is left.

use super::*;

const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Link;
const SYMLINK: EntryType = EntryType::Symlink;

/// The layer is refused as it is and compressed, says why, and leaves nothing.
#[track_caller]
fn refused(world: &World, what: &str, layer: &[u8], why: &str) {
    for (form, bytes) in [
        ("plain", layer.to_vec()),
        ("gzip", gzip(layer)),
        ("zstd", zstd::encode_all(layer, 1).unwrap()),
    ] {
        let error = world.import(&bytes).expect_err(what).to_string();
        assert!(error.contains(why), "{what}, {form}: {error}");
        world.assert_nothing(what);
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let world = World::new();
    for (name, why) in [
        ("../x", "leads up"),
        ("a/../../x", "leads up"),
        ("/x", "is absolute"),
        ("/../x", "is absolute"),
        ("d/.wh...", "hides a directory from itself"),
        (".wh..", "hides a directory from itself"),
        (".wh.d/x", "is no whiteout"),
    ] {
        refused(&world, name, &Forged::new().file(name, b"").end(), why);
        let record = Forged::new().records(&[("path", name.as_bytes())]).file("x", b"");
        refused(&world, name, &record.end(), why);
        let long = Forged::new()
            .with(
                EntryType::GNULongName,
                "././@LongLink",
                "",
                format!("{name}\0").as_bytes(),
            )
            .file("x", b"");
        refused(&world, name, &long.end(), why);
    }
}

#[test]
fn nothing_is_written_through_a_link_or_a_file() {
    let world = World::new();
    for target in ["/tmp", "..", "d", "../../.."] {
        let through = Forged::new()
            .dir("d/")
            .with(SYMLINK, "l", target, b"")
            .file("l/x", b"x");
        refused(
            &world,
            target,
            &through.end(),
            "l/x is beneath l, which is no directory",
        );
        let hidden = Forged::new().with(SYMLINK, "l", target, b"").file("l/.wh.x", b"");
        refused(&world, target, &hidden.end(), "which is no directory");
        let over = Forged::new().with(SYMLINK, "l", target, b"").dir("l");
        refused(&world, target, &over.end(), "l is in it twice");
    }
    let beneath = Forged::new().file("f", b"").file("f/x", b"");
    refused(&world, "a file", &beneath.end(), "f/x is beneath f");
    let opaque = Forged::new().file("f", b"").file("f/.wh..wh..opq", b"");
    refused(&world, "a file", &opaque.end(), "f is in it twice");
}

#[test]
fn hard_links_lead_to_files_of_the_layer() {
    let world = World::new();
    for target in [
        "/etc/passwd",
        "../x",
        "missing",
        "d",
        ".",
        "",
        "s/x",
        ".wh.w",
        "later",
        "self",
    ] {
        let layer = Forged::new()
            .dir("d")
            .with(SYMLINK, "s", "/etc", b"")
            .file(".wh.w", b"")
            .with(LINK, "self", target, b"")
            .file("later", b"");
        refused(&world, target, &layer.end(), "self is a link to");
    }
}

#[test]
fn nothing_is_in_a_layer_twice() {
    let world = World::new();
    for (first, second) in [
        ("f", "f"),
        ("f", "./f"),
        ("f", ".//f"),
        (".wh.f", ".wh.f"),
        ("d/.wh..wh..opq", "d/.wh..wh..opq"),
    ] {
        let layer = Forged::new().file(first, b"").file(second, b"");
        refused(&world, second, &layer.end(), "in it twice");
    }
    for kind in [FILE, EntryType::Directory, SYMLINK, EntryType::Fifo, LINK] {
        let layer = Forged::new().file("f", b"").with(kind, "f", "f", b"");
        refused(&world, "f", &layer.end(), "f is in it twice");
    }
    let directories = Forged::new().dir("d").dir("d/");
    refused(&world, "d", &directories.end(), "d is in it twice");
    let roots = Forged::new().dir("./").dir(".");
    refused(&world, "root", &roots.end(), "in it twice");
}

#[test]
fn devices_are_refused_unless_they_are_asked_for_and_never_become_whiteouts() {
    let mut world = World::new();
    let device = |kind, number| {
        Forged::new()
            .of(kind, "dev", "", b"", |header| {
                header.set_device_major(number).unwrap();
                header.set_device_minor(number).unwrap();
            })
            .end()
    };
    refused(
        &world,
        "c 1",
        &device(EntryType::Char, 1),
        "dev is a device (c 1:1)",
    );
    refused(
        &world,
        "b 0",
        &device(EntryType::Block, 0),
        "dev is a device (b 0:0)",
    );
    refused(
        &world,
        "c 0",
        &device(EntryType::Char, 0),
        "dev is a device (c 0:0)",
    );
    world.options = world.options.devices(Devices::Keep);
    refused(
        &world,
        "c 0",
        &device(EntryType::Char, 0),
        "dev is a device (c 0:0)",
    );
    let kept = world.import(&device(EntryType::Char, 1)).unwrap();
    let mut value = [0; 100];
    let length = rustix::fs::getxattr(kept.path.join("dev"), "user.containers.override_stat", &mut value);
    assert_eq!(&value[..length.unwrap()], b"0:0:0755:char-1-1");
    world.options = world.options.devices(Devices::Skip);
    let skipped = world.import(&device(EntryType::Block, 7)).unwrap();
    assert_eq!(skipped.devices_left_out, 1);
    assert_eq!(fs::read_dir(&skipped.path).unwrap().count(), 0);
}

#[test]
fn kinds_and_headers_that_programs_read_differently_are_refused() {
    let world = World::new();
    let sparse = Forged::new().with(EntryType::GNUSparse, "x", "", b"");
    refused(&world, "sparse", &sparse.end(), "unknown kind 'S'");
    for kind in [b'V', b'M', b'D', b'N', b'Z'] {
        let odd = Forged::new().with(EntryType::new(kind), "x", "", b"");
        refused(&world, "odd", &odd.end(), "unknown kind");
    }
    let sparse = Forged::new()
        .records(&[("GNU.sparse.major", b"1"), ("GNU.sparse.name", b"/etc/x")])
        .file("x", b"x");
    refused(&world, "sparse", &sparse.end(), "a sparse file");
    let full = Forged::new().with(EntryType::Directory, "d", "", b"content");
    refused(
        &world,
        "directory with content",
        &full.end(),
        "content of an entry that can have none",
    );
    let full = Forged::new().file("f", b"").with(LINK, "l", "f", b"content");
    refused(
        &world,
        "link with content",
        &full.end(),
        "content of an entry that can have none",
    );
    let whiteout = Forged::new().file(".wh.x", b"content");
    refused(
        &world,
        "whiteout with content",
        &whiteout.end(),
        "whiteout x is no empty file",
    );
    let whiteout = Forged::new().dir(".wh.x");
    refused(
        &world,
        "whiteout directory",
        &whiteout.end(),
        "whiteout x is no empty file",
    );
    let slash = Forged::new().file("d/", b"");
    refused(&world, "a file like a directory", &slash.end(), "is no name");
    let root = Forged::new().file("./", b"");
    refused(&world, "root", &root.end(), "kind '0'");
    for (key, value) in [
        ("uid", "4294967295"),
        ("size", "-1"),
        ("mtime", "soon"),
        ("gid", "+1"),
    ] {
        let bad = Forged::new().records(&[(key, value.as_bytes())]).file("x", b"");
        refused(&world, key, &bad.end(), "a number cannot be read");
    }
}

#[test]
fn layers_that_are_cut_off_or_go_on_are_refused() {
    let world = World::new();
    let layer = Forged::new().file("x", &[7; 3000]).file("y", b"y").end();
    for length in (0..layer.len()).step_by(97) {
        world.import(&layer[..length]).unwrap_err();
        world.assert_nothing("cut");
    }
    for whole in [gzip(&layer), zstd::encode_all(&layer[..], 1).unwrap()] {
        for length in 0..whole.len() {
            world.import(&whole[..length]).unwrap_err();
        }
        world.assert_nothing("cut");
        let more = [&whole[..], b"more"].concat();
        assert!(world.import(&more).is_err());
        world.assert_nothing("more");
    }
    refused(
        &world,
        "hidden entries",
        &[&layer[..], &Forged::new().file("z", b"").end()].concat(),
        "something after the end",
    );
    for other in [
        &b"hello"[..],
        &[0x42; 5000],
        &[0x1f, 0x8b, 0, 0],
        &[0x28, 0xb5, 0x2f, 0xfd, 0],
    ] {
        world.import(other).unwrap_err();
        world.assert_nothing("something else");
    }
    world.import(&layer).unwrap();
}

#[test]
fn a_layer_asks_for_no_more_than_is_allowed() {
    let mut world = World::new();
    let limits = Limits::default().entries(3).bytes(10).metadata(20 << 10).depth(4);
    world.options = world.options.limits(limits);
    let files = |contents: &[&[u8]]| {
        let numbered = contents.iter().enumerate();
        let files = numbered.fold(Forged::new(), |forged, (number, content)| {
            forged.file(&number.to_string(), content)
        });
        files.end()
    };
    refused(&world, "entries", &files(&[&b""[..]; 4]), "more than 3 entries");
    refused(
        &world,
        "bytes",
        &files(&[b"12345", b"678901"]),
        "more than 10 bytes",
    );
    let deep = Forged::new().file("1/2/3/4/5", b"");
    refused(&world, "depth", &deep.end(), "more than 4 directories deep");
    let large = vec![b'x'; 20 << 10];
    let attribute = Forged::new()
        .records(&[("SCHILY.xattr.user.x", &large)])
        .file("x", b"");
    refused(
        &world,
        "metadata",
        &attribute.end(),
        "more than 20480 bytes of metadata",
    );
    let huge = vec![b'x'; 2 << 20];
    let header = Forged::new().records(&[("comment", &huge)]).file("x", b"");
    refused(
        &world,
        "header",
        &header.end(),
        "more than 1048576 bytes in a header",
    );
    // A size that is not there is refused without being reserved.
    let claimed = Forged::new().of(FILE, "x", "", b"", |header| header.set_size(1 << 60));
    refused(&world, "claimed", &claimed.end(), "more than 10 bytes");
    world.import(&files(&[b"12345", b"67890"])).unwrap();
}

#[test]
fn a_layer_that_becomes_much_more_than_it_is_is_refused() {
    let mut world = World::new();
    world.options.limits.free = 1 << 20;
    let mut archive = Header::new_ustar();
    archive.set_path("zeros").unwrap();
    archive.set_size(16 << 20);
    archive.set_mode(0o644);
    archive.set_uid(0);
    archive.set_gid(0);
    archive.set_mtime(0);
    archive.set_cksum();
    let zeros = std::io::Read::take(std::io::repeat(0), (16 << 20) + 1024);
    let mut bomb = std::io::Read::chain(&archive.as_bytes()[..], zeros);
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    std::io::copy(&mut bomb, &mut encoder).unwrap();
    let layer = encoder.finish().unwrap();
    assert!(layer.len() < 64 << 10);
    let error = world.import(&layer).unwrap_err();
    assert!(matches!(error, LayerError::Ratio { ratio: 200 }), "{error}");
    world.assert_nothing("bomb");
}

#[test]
fn a_digest_that_is_another_one_is_refused() {
    let world = World::new();
    let layer = gzip(&Forged::new().file("x", b"x").end());
    let right = Expected {
        digest: Some(Digest::of(&layer)),
        diff_id: Some(Digest::of(&plain(&layer))),
    };
    let other = Some(Digest::of(b"other"));
    for (expected, what) in [
        (
            Expected {
                digest: other,
                ..right
            },
            "its digest is",
        ),
        (
            Expected {
                diff_id: other,
                ..right
            },
            "its diff_id is",
        ),
    ] {
        let error = world.import_expecting(&layer, &expected).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        world.assert_nothing(what);
    }
    assert!(!world.import_expecting(&layer, &right).unwrap().reused);
    assert!(world.import_expecting(&layer, &right).unwrap().reused);
}

#[test]
fn what_overlays_and_backends_keep_for_themselves_is_not_smuggled_in() {
    let world = World::new();
    let layer = Forged::new()
        .records(&[
            ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.user.overlay.whiteout", b"y"),
            ("SCHILY.xattr.user.containers.override_stat", b"0:0:4755:file"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.security.selinux", b"x"),
            ("SCHILY.xattr.user.ok", b"1\n2"),
        ])
        .dir("d")
        .end();
    let layer = world.import(&layer).unwrap();
    assert_eq!(layer.attributes_left_out, 1);
    let mut list = vec![0; 1000];
    let length = rustix::fs::listxattr(layer.path.join("d"), &mut list).unwrap();
    let mut names: Vec<_> = list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            &b"user.containers.override_stat"[..],
            b"user.ok",
            b"user.overlay.overlay.redirect",
            b"user.overlay.overlay.whiteout",
        ]
    );
    let mut value = [0; 100];
    let length = rustix::fs::getxattr(layer.path.join("d"), "user.containers.override_stat", &mut value);
    assert_eq!(&value[..length.unwrap()], b"0:0:0755:dir");
}

#[test]
fn what_is_in_the_store_and_is_no_layer_is_not_taken_for_one() {
    let world = World::new();
    let bytes = Forged::new().file("x", b"x").end();
    let layer = world.import(&bytes).unwrap();
    let place = layer.path.parent().unwrap();
    for break_it in [
        (|place: &Path| fs::write(place.join("layer.json"), "{}").unwrap()) as fn(&Path),
        |place| fs::remove_file(place.join("layer.json")).unwrap(),
        |place| fs::remove_dir_all(place.join("tree")).unwrap_or_default(),
    ] {
        break_it(place);
        let error = world.import(&bytes).unwrap_err();
        assert!(matches!(error, LayerError::Foreign { .. }), "{error}");
    }
}
