//! Archives that nobody exported.

use std::fs;
use std::io::Read;

use tar::{Builder, EntryType, Header};

use super::super::*;
use super::world::*;
use crate::tarball::pax;

/// An archive being forged.
struct Forged(Builder<Vec<u8>>);

impl Forged {
    fn new() -> Self {
        let mut forged = Self(Builder::new(Vec::new()));
        let manifest =
            br#"{"version":1,"branch":"x","created":0,"parts":[{"base":"/w","format":"overlay"}]}"#;
        forged.put(EntryType::Regular, "manifest.json", "", manifest);
        forged.put(EntryType::Directory, "upper/", "", b"");
        forged
    }

    fn put(&mut self, kind: EntryType, name: &str, link: &str, content: &[u8]) {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_mode(0o755);
        header.set_uid(rustix::process::getuid().as_raw().into());
        header.set_gid(rustix::process::getgid().as_raw().into());
        header.set_mtime(0);
        header.set_size(u64::try_from(content.len()).unwrap());
        if matches!(kind, EntryType::Char | EntryType::Block) {
            let number = content.first().copied().unwrap_or(0).into();
            header.set_device_major(number).unwrap();
            header.set_device_minor(number).unwrap();
            header.set_size(0);
            header.set_cksum();
            return self.0.append(&header, &b""[..]).unwrap();
        }
        header.set_cksum();
        self.0.append(&header, content).unwrap();
    }

    fn with(mut self, kind: EntryType, name: &str, link: &str, content: &[u8]) -> Self {
        self.put(kind, name, link, content);
        self
    }

    /// Records for the entry after it.
    fn records(self, records: &[(&str, &[u8])]) -> Self {
        let mut written = pax::Records::default();
        for (key, value) in records {
            written.push(key.as_bytes(), value);
        }
        self.with(EntryType::XHeader, "PaxHeaders", "", written.as_bytes())
    }

    fn end(self) -> Vec<u8> {
        self.with(EntryType::Regular, "end", "", b"")
            .0
            .into_inner()
            .unwrap()
    }

    fn import(self) -> Result<World, ImportError> {
        let world = World::new(LayerFormat::Overlay);
        let result = world.import(&self.end(), "imported");
        assert_eq!(
            fs::read_dir(world.place.path()).unwrap().count(),
            3,
            "outside of the layer"
        );
        result.map(|_| world)
    }

    fn error(self) -> String {
        self.import().expect_err("must be refused").to_string()
    }
}

const FILE: EntryType = EntryType::Regular;

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in [
        "upper/../x",
        "upper/a/../../x",
        "/upper/x",
        "upper//x",
        "/etc/x",
        "../x",
        "x",
        "upperx",
        "extra-0/x",
        "",
        "./upper/x",
        "upper/./x",
    ] {
        let error = Forged::new().with(FILE, name, "", b"x").error();
        assert!(error.contains("is in no part of a branch"), "{name}: {error}");
    }
    for name in ["upper/../x", "/x", "upper/a\0b"] {
        let error = Forged::new()
            .records(&[("path", name.as_bytes())])
            .with(FILE, "upper/a", "", b"")
            .error();
        assert!(error.contains("is in no part of a branch"), "{name}: {error}");
    }
    let error = Forged::new()
        .with(EntryType::GNULongName, "././@LongLink", "", b"upper/../x\0")
        .with(FILE, "upper/a", "", b"")
        .error();
    assert!(error.contains("is in no part of a branch"), "{error}");
}

#[test]
fn nothing_is_written_through_a_link() {
    for target in ["/tmp", "..", "d"] {
        let forged = Forged::new()
            .with(EntryType::Directory, "upper/d", "", b"")
            .with(EntryType::Symlink, "upper/link", target, b"")
            .with(FILE, "upper/link/x", "", b"x");
        assert!(
            forged.error().starts_with("link/x: cannot be written"),
            "{target}"
        );
    }
    let forged = Forged::new()
        .with(EntryType::Symlink, "upper/link", "/tmp", b"")
        .with(EntryType::Directory, "upper/link", "", b"");
    assert_eq!(forged.error(), "link is in the archive twice");
}

#[test]
fn nothing_is_in_the_archive_twice() {
    for kind in [
        FILE,
        EntryType::Directory,
        EntryType::Symlink,
        EntryType::Fifo,
        EntryType::Char,
        EntryType::Link,
    ] {
        for name in ["upper/f", "upper/f/", "upper/"] {
            let error = Forged::new()
                .with(FILE, "upper/f", "", b"")
                .with(kind, name, "upper/f", b"")
                .error();
            assert!(
                error.ends_with("is in the archive twice"),
                "{kind:?} {name}: {error}"
            );
        }
    }
}

#[test]
fn hard_links_lead_to_files_of_the_archive() {
    for target in [
        "/etc/passwd",
        "upper/../x",
        "upper/missing",
        "upper/d",
        "upper/s",
        "upper/s/x",
        "upper",
        "manifest.json",
        "upper/w",
    ] {
        let error = Forged::new()
            .with(EntryType::Directory, "upper/d", "", b"")
            .with(EntryType::Symlink, "upper/s", "/etc", b"")
            .with(EntryType::Char, "upper/w", "", b"")
            .with(EntryType::Link, "upper/link", target, b"")
            .error();
        assert!(
            error.contains("which is not a file before it"),
            "{target}: {error}"
        );
    }
}

#[test]
fn devices_other_than_whiteouts_are_refused() {
    for (kind, number) in [(EntryType::Char, 1), (EntryType::Block, 0), (EntryType::Block, 7)] {
        let error = Forged::new().with(kind, "upper/x", "", &[number]).error();
        assert!(error.contains("of a kind that is not imported"), "{error}");
    }
    assert!(
        Forged::new()
            .with(EntryType::Char, "upper/x", "", &[0])
            .import()
            .is_ok()
    );
    let error = Forged::new()
        .with(EntryType::GNUSparse, "upper/x", "", b"")
        .error();
    assert!(error.contains("(S)"), "{error}");
}

#[test]
fn what_overlayfs_keeps_for_itself_is_not_smuggled_in() {
    let world = Forged::new()
        .records(&[
            ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.security.selinux", b"x"),
            ("SCHILY.xattr.user.ok", b"1"),
        ])
        .with(EntryType::Directory, "upper/d", "", b"")
        .import()
        .unwrap();
    let mut list = vec![0; 1000];
    let length = rustix::fs::listxattr(world.place.path().join("imported/d"), &mut list).unwrap();
    let mut names: Vec<_> = list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            &b"user.ok"[..],
            b"user.overlay.overlay.opaque",
            b"user.overlay.overlay.redirect"
        ]
    );
}

#[test]
fn records_that_make_no_sense_are_refused() {
    for (key, value) in [
        ("size", "-5"),
        ("uid", "4294967295"),
        ("uid", "-1"),
        ("gid", "x"),
        ("mtime", "soon"),
        ("SANDBOX.xattr.zz", ""),
    ] {
        let error = Forged::new()
            .records(&[(key, value.as_bytes())])
            .with(FILE, "upper/x", "", b"")
            .error();
        assert!(
            error.starts_with("the archive cannot be read"),
            "{key}={value}: {error}"
        );
    }
    let forged = Forged::new().with(EntryType::XHeader, "PaxHeaders", "", b"9999 a=b\n");
    assert!(
        forged
            .with(FILE, "upper/x", "", b"")
            .error()
            .starts_with("the archive cannot be read")
    );
}

#[test]
fn other_archives_are_told_from_those_of_branches() {
    let world = World::new(LayerFormat::Overlay);
    let mut count = 0;
    let mut error = |archive: &[u8]| {
        count += 1;
        world
            .import(archive, &format!("imported-{count}"))
            .expect_err("must be refused")
            .to_string()
    };
    let other = Forged(Builder::new(Vec::new()))
        .with(FILE, "README", "", b"")
        .end();
    let not_ours = "this is not the archive of a branch: it does not begin with manifest.json";
    assert_eq!(error(&other), not_ours);
    assert_eq!(error(b""), not_ours);
    assert!(error(&[0x28, 0xb5, 0x2f, 0xfd].repeat(512)).starts_with("the archive cannot be read"));
    let manifest = |text: &str| {
        Forged(Builder::new(Vec::new()))
            .with(FILE, "manifest.json", "", text.as_bytes())
            .end()
    };
    assert!(error(&manifest("{")).starts_with("the archive's manifest is damaged"));
    assert!(error(&manifest("{\"version\":1}")).starts_with("the archive's manifest is damaged"));
    let newer = manifest("{\"version\":2,\"layers\":[]}");
    assert_eq!(
        error(&newer),
        "the archive is of version 2, and this program knows 1 at most"
    );
    for parts in ["", "{},".repeat(65).trim_end_matches(',')] {
        let parts = parts.replace("{}", r#"{"base":"/","format":"overlay"}"#);
        let text = format!(r#"{{"version":1,"branch":"x","created":0,"parts":[{parts}]}}"#);
        assert!(error(&manifest(&text)).ends_with("there are 1 to 64 parts"));
    }
    let bad_name =
        manifest(r#"{"version":1,"branch":"../x","created":0,"parts":[{"base":"/","format":"overlay"}]}"#);
    assert!(error(&bad_name).starts_with("the archive's manifest is damaged"));
}

#[test]
fn an_archive_asks_for_no_more_than_is_allowed() {
    let limits = Limits {
        entries: 3,
        bytes: 10,
        metadata: 20 << 10,
    };
    let import = |forged: Forged| {
        let world = World::new(LayerFormat::Overlay);
        let into = world.place.path().join("imported");
        fs::create_dir(&into).unwrap();
        let place = |_: &ArchiveManifest| Ok::<_, ImportError>(vec![into.clone()]);
        import(&mut forged.end().as_slice(), &limits, place, &mut |_| {}).map_err(|error| error.to_string())
    };
    let files = |contents: &[&[u8]]| {
        let numbered = contents.iter().enumerate();
        numbered.fold(Forged::new(), |forged, (number, content)| {
            forged.with(FILE, &format!("upper/{number}"), "", content)
        })
    };
    assert!(import(files(&[b"12345", b"67890"])).is_ok());
    assert_eq!(
        import(files(&[&b""[..]; 3])).unwrap_err(),
        "the archive has more than 3 entries"
    );
    assert_eq!(
        import(files(&[b"12345", b"678901"])).unwrap_err(),
        "the archive has more than 10 bytes"
    );
    let large = vec![b'x'; 20 << 10];
    let attribute = Forged::new()
        .records(&[("SCHILY.xattr.user.x", &large)])
        .with(FILE, "upper/x", "", b"");
    assert_eq!(
        import(attribute).unwrap_err(),
        "the archive has more than 20480 bytes of metadata"
    );
    let huge = vec![b'x'; 2 << 20];
    let attribute = Forged::new()
        .records(&[("comment", &huge)])
        .with(FILE, "upper/x", "", b"");
    assert_eq!(
        import(attribute).unwrap_err(),
        "the archive has more than 1048576 bytes in a header"
    );
}

#[test]
fn a_size_that_is_not_there_is_refused_without_being_reserved() {
    let world = World::new(LayerFormat::Overlay);
    let mut archive = Forged::new()
        .with(FILE, "upper/x", "", b"")
        .0
        .into_inner()
        .unwrap();
    let header = archive.len() - 1024 - 512;
    let block = &mut archive[header..header + 512];
    block[124..136].copy_from_slice(b"77777777777\0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let error = world.import(&archive, "imported").unwrap_err();
    assert_eq!(error.to_string(), "the archive is incomplete");
}

#[test]
fn a_reader_that_fails_is_an_error() {
    struct Broken<'a>(&'a [u8]);
    impl Read for Broken<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer) {
                Ok(0) => Err(std::io::ErrorKind::ConnectionReset.into()),
                other => other,
            }
        }
    }
    let world = World::new(LayerFormat::Overlay);
    write(&world.layer(), "x", "x");
    let archive = world.export(&world.layer());
    let into = world.place.path().join("imported");
    fs::create_dir(&into).unwrap();
    let mut broken = Broken(&archive[..2000]);
    let place = |_: &ArchiveManifest| Ok::<_, ImportError>(vec![into.clone()]);
    let error = import(&mut broken, &Limits::default(), place, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ImportError::Read(_)), "{error}");
}
