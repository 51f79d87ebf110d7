use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode};

use super::super::*;
use super::world::*;
use crate::branch::stack::Stack;
use crate::branch::testing::{as_kernel_view, kernel_view, rel, set_acl, set_mtime, set_xattr, skip};

/// A branch with something of everything.
fn branch() -> World {
    let world = World::new(LayerFormat::Overlay);
    let (base, layer) = (world.base(), world.layer());
    for path in ["d/old", "d/gone", "hidden/old", "gone/x", "replaced/x"] {
        write(&base, path, "base");
    }
    write(&layer, "d/new", "new\n");
    whiteout(&layer, "d/gone");
    whiteout(&layer, "gone");
    fs::create_dir(layer.join("hidden")).unwrap();
    set_xattr(&layer.join("hidden"), "overlay.opaque", b"y");
    write(&layer, "hidden/fresh", "");
    write(&layer, "replaced", "by a file");
    fs::hard_link(layer.join("d/new"), layer.join("link")).unwrap();
    symlink("../outside", layer.join("symlink")).unwrap();
    symlink("x".repeat(300), layer.join("d/long-symlink")).unwrap();
    rustix::fs::mknodat(CWD, layer.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::write(layer.join(OsStr::from_bytes(b"\xff\n=\xfe")), "odd").unwrap();
    let deep = ["n".repeat(90), "m".repeat(200), "o".repeat(255)].join("/");
    write(&layer, &deep, "deep");
    let file = layer.join("d/new");
    set_xattr(&file, "binary", b"\n27 path=upper/../../evil\n\0");
    set_xattr(&file, "with=equals", b"1");
    set_xattr(&file, "overlay.overlay.opaque", b"y");
    set_xattr(&file, "overlay.origin", b"kept for itself");
    set_acl(&file, "system.posix_acl_access");
    set_acl(&layer.join("d"), "system.posix_acl_default");
    set_mtime(&file, (-5, 250_000_000));
    set_mtime(&layer.join("symlink"), (1_234_567_890, 987_654_321));
    write(&layer, "secret", "unreadable");
    set_xattr(&layer.join("secret"), "too", b"1");
    chmod(&layer, "secret", 0o000);
    chmod(&layer, "replaced", 0o6755);
    write(&layer, "closed/inner", "x");
    chmod(&layer, "closed", 0o000);
    world
}

#[test]
fn what_comes_back_is_what_was_exported() {
    let world = branch();
    let before = seen(&world.stack(&world.layer()));
    let (archive, report) = world.try_export(&world.layer());
    assert!(report.skipped.is_empty());
    let (imported, layer) = world.import(&archive, "imported").unwrap();
    let after = seen(&world.stack(&layer));
    assert_eq!(after, before);
    assert_eq!(imported.refused, []);
    assert_eq!(imported.entries, report.entries);
    assert_eq!(imported.bytes, report.bytes);
    assert_eq!(imported.manifest.branch.as_str(), "fix");
    assert_eq!(
        imported.manifest.parts[0].base.0,
        world.base().as_os_str().as_bytes()
    );
    assert_eq!(imported.manifest.created, 7);
    assert!(after.contains_key(&rel("closed/inner")));
    assert!(!after.contains_key(&rel("hidden/old")));
    assert!(!after.contains_key(&rel("d/gone")));
    // The archive of the same is the same.
    let again = world.export(&layer);
    assert!(again == archive);
    // Modes are as they were, of what was exported too.
    assert_eq!(seen(&world.stack(&world.layer())), before);
}

#[test]
fn the_kernel_shows_what_was_imported() {
    let world = branch();
    let (_, layer) = world.import(&world.export(&world.layer()), "imported").unwrap();
    let seen = seen(&world.stack(&layer));
    let expect = seen
        .iter()
        .map(|(path, (kind, attributes, ..))| (path, *kind, attributes.mode));
    if let Some(shown) = kernel_view("the_kernel_shows_what_was_imported", &layer, &world.base()) {
        assert_eq!(shown, as_kernel_view(expect));
    }
}

#[test]
fn an_opaque_directory_hides_what_another_base_has() {
    let world = branch();
    let (_, layer) = world.import(&world.export(&world.layer()), "imported").unwrap();
    let other = world.place.path().join("other");
    write(&other, "hidden/more", "");
    write(&other, "gone/more", "");
    write(&other, "d/more", "");
    let stack = Stack::open(&[(layer, LayerFormat::Overlay)], &other).unwrap();
    let seen = seen(&stack);
    let has = |path: &str| seen.contains_key(&rel(path));
    assert_eq!(["hidden/more", "gone", "d/more"].map(has), [false, false, true]);
}

#[test]
fn layers_are_flattened() {
    let world = World::new(LayerFormat::Overlay);
    let (base, low) = (world.base(), world.layer());
    let top = world.place.path().join("top");
    write(&base, "a", "base");
    write(&base, "d/x", "base");
    write(&low, "a", "low");
    write(&low, "b", "low");
    write(&low, "d/y", "low");
    fs::create_dir(&top).unwrap();
    whiteout(&top, "b");
    write(&top, "c", "top");
    whiteout(&top, "d");
    let layers = [top, low].map(|path| (path, LayerFormat::Overlay));
    let stack = Stack::open(&layers, &base).unwrap();
    let mut archive = Vec::new();
    let about = About {
        branch: &"fix".parse().unwrap(),
        created: 0,
        over: None,
    };
    let part = Part {
        role: Role::Layer,
        stack: &stack,
        base: &base,
    };
    export(&[part], &about, &mut archive, &mut |_| {}).unwrap();
    let (_, layer) = world.import(&archive, "imported").unwrap();
    assert_eq!(seen(&world.stack(&layer)), seen(&stack));
    let names: Vec<_> = seen(&stack).into_keys().collect();
    assert_eq!(names, ["a", "c"].map(rel));
}

#[test]
fn a_whole_copy_comes_back_as_one() {
    let world = World::new(LayerFormat::Complete);
    write(&world.base(), "only-in-base", "");
    write(&world.layer(), "d/x", "x");
    chmod(&world.layer(), "d", 0o750);
    let (imported, layer) = world.import(&world.export(&world.layer()), "imported").unwrap();
    assert_eq!(imported.manifest.parts[0].format, Format::Complete);
    assert_eq!(seen(&world.stack(&layer)), seen(&world.stack(&world.layer())));
    assert_eq!(seen(&world.stack(&layer)).len(), 2);
}

#[test]
fn directories_that_belong_to_the_workspace_come_along() {
    let [world, extra] = [
        World::new(LayerFormat::Overlay),
        World::new(LayerFormat::Complete),
    ];
    write(&world.layer(), "x", "workspace");
    write(&extra.layer(), "x", "extra");
    fs::hard_link(extra.layer().join("x"), extra.layer().join("y")).unwrap();
    let stacks = [&world, &extra].map(|world| world.stack(&world.layer()));
    let bases = [&world, &extra].map(World::base);
    let parts = [0, 1].map(|part| Part {
        role: Role::Layer,
        stack: &stacks[part],
        base: &bases[part],
    });
    let about = About {
        branch: &"fix".parse().unwrap(),
        created: 0,
        over: None,
    };
    let mut archive = Vec::new();
    export(&parts, &about, &mut archive, &mut |_| {}).unwrap();
    let into = [&world, &extra].map(|world| world.place.path().join("imported"));
    let place = |manifest: &ArchiveManifest| {
        let found: Vec<&[u8]> = manifest.parts.iter().map(|part| part.base.0.as_slice()).collect();
        assert_eq!(
            found,
            [0, 1].map(|part: usize| bases[part].as_os_str().as_bytes())
        );
        for directory in &into {
            fs::create_dir(directory).unwrap();
        }
        Ok::<_, ImportError>(into.to_vec())
    };
    import(&mut archive.as_slice(), &Limits::default(), place, &mut |_| {}).unwrap();
    assert_eq!(seen(&world.stack(&into[0])), seen(&stacks[0]));
    assert_eq!(seen(&extra.stack(&into[1])), seen(&stacks[1]));
}

#[test]
fn sockets_and_devices_are_left_out_and_named() {
    let world = World::new(LayerFormat::Overlay);
    let socket = world.layer().join("socket");
    rustix::fs::mknodat(CWD, &socket, FileType::Socket, Mode::RUSR, 0).unwrap();
    write(&world.layer(), "file", "");
    let (archive, report) = world.try_export(&world.layer());
    assert_eq!(report.skipped, [world.base().join("socket")]);
    let (_, layer) = world.import(&archive, "imported").unwrap();
    assert_eq!(
        seen(&world.stack(&layer)).into_keys().collect::<Vec<_>>(),
        [rel("file")]
    );
}

#[test]
fn an_empty_branch_is_exported_too() {
    let world = World::new(LayerFormat::Overlay);
    let (imported, layer) = world.import(&world.export(&world.layer()), "imported").unwrap();
    assert_eq!(imported.entries, 1);
    assert!(seen(&world.stack(&layer)).is_empty());
}

#[test]
fn other_programs_read_the_archive_and_write_it() {
    let name = "other_programs_read_the_archive_and_write_it";
    let tar = |arguments: &[&str], dir: &std::path::Path, input: &[u8]| {
        let mut command = Command::new("tar");
        command.args(arguments).current_dir(dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
        let output = child.wait_with_output()?;
        writer.join().unwrap()?;
        assert!(output.status.success(), "tar {arguments:?}");
        std::io::Result::Ok(output.stdout)
    };
    let world = World::new(LayerFormat::Overlay);
    write(&world.base(), "gone", "");
    write(&world.layer(), "d/x", "x");
    whiteout(&world.layer(), "gone");
    symlink("x", world.layer().join("d/link")).unwrap();
    fs::hard_link(world.layer().join("d/x"), world.layer().join("d/y")).unwrap();
    let long = ["l".repeat(120), "m".repeat(120)].join("/");
    write(&world.layer(), &long, "long");
    let unpacked = world.place.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    match tar(&["-x"], &unpacked, &world.export(&world.layer())) {
        Err(error) => return skip(name, &format!("tar: {error}")),
        Ok(output) => assert_eq!(output, b""),
    }
    for format in ["--format=pax", "--format=gnu"] {
        let again = tar(&["-c", format, "manifest.json", "upper", "end"], &unpacked, b"").unwrap();
        let (_, layer) = world.import(&again, &format!("imported{format}")).unwrap();
        let with_times_in_seconds = |seen: Seen| -> Vec<_> {
            let rounded = seen
                .into_iter()
                .map(|(path, (kind, mut attributes, content, first))| {
                    attributes.mtime = attributes.mtime.map(|(seconds, _)| (seconds, 0));
                    (path, kind, attributes, content, first)
                });
            rounded.collect()
        };
        assert_eq!(
            with_times_in_seconds(seen(&world.stack(&layer))),
            with_times_in_seconds(seen(&world.stack(&world.layer()))),
            "{format}"
        );
    }
}

/// Content of files by path; directories come along.
fn tree() -> impl Strategy<Value = Vec<(String, Vec<u8>, u8)>> {
    let name = "[a-c]{1,2}(/[a-c]{1,2}){0,3}";
    let content = prop::collection::vec(prop::num::u8::ANY, 0..2000);
    prop::collection::vec((name, content, 0_u8..6), 0..12)
}

/// Makes what is possible of `tree`.
fn plant(dir: &std::path::Path, tree: &[(String, Vec<u8>, u8)]) {
    for (path, content, kind) in tree {
        let path = dir.join(path);
        let can_be = fs::create_dir_all(path.parent().unwrap()).is_ok() && path.symlink_metadata().is_err();
        if !can_be {
            continue;
        }
        match kind {
            0 => symlink(OsStr::from_bytes(b"\xfetarget"), &path).unwrap(),
            1 => fs::create_dir(&path).unwrap(),
            2 => rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), 0).unwrap(),
            _ => fs::write(&path, content).unwrap(),
        }
        if *kind == 3 {
            set_xattr(&path, "x", content.get(..100).unwrap_or(content));
        }
        if *kind == 4 {
            let _ = fs::hard_link(&path, dir.join("linked"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_tree_comes_back(base in tree(), layer in tree()) {
        let world = World::new(LayerFormat::Overlay);
        plant(&world.base(), &base.iter().filter(|(_, _, kind)| *kind != 2).cloned().collect::<Vec<_>>());
        plant(&world.layer(), &layer);
        let archive = world.export(&world.layer());
        let (_, imported) = world.import(&archive, "imported").unwrap();
        prop_assert_eq!(seen(&world.stack(&imported)), seen(&world.stack(&world.layer())));
        prop_assert!(world.export(&imported) == archive);
    }

    #[test]
    fn an_archive_that_was_cut_off_is_refused(layer in tree(), at in 0.0_f64..1.0) {
        let world = World::new(LayerFormat::Overlay);
        plant(&world.layer(), &layer);
        let archive = world.export(&world.layer());
        // Behind the last entry there are only zeros.
        let end = archive.iter().rposition(|byte| *byte != 0).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a position")]
        let cut = (end as f64 * at) as usize;
        prop_assert!(world.import(&archive[..cut], "imported").is_err());
    }

    #[test]
    fn no_damage_makes_an_import_leave_its_directory(
        layer in tree(),
        damage in prop::collection::vec((prop::num::usize::ANY, prop::num::u8::ANY), 1..8)
    ) {
        let world = World::new(LayerFormat::Overlay);
        plant(&world.layer(), &layer);
        let mut archive = world.export(&world.layer());
        for (position, value) in damage {
            let position = position % archive.len();
            archive[position] = value;
        }
        mend_checksums(&mut archive);
        let _ = world.import(&archive, "imported");
        let mut names: Vec<_> = fs::read_dir(world.place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        prop_assert_eq!(names, ["base", "imported", "layer"]);
    }
}

/// Makes every block that looks like a header one, so that damage reaches what is behind the checksum.
fn mend_checksums(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}
