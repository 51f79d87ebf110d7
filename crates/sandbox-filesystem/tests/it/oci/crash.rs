//! An import that is killed leaves nothing that could be taken for a layer.

use std::fs;
use std::io::Write;
use std::path::Path;

use sandbox_filesystem::oci::{Expected, Owners, Store, UnpackOptions, import_layer};

use crate::harness::{kill, other_process, part};

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_layer_whose_import_was_killed_is_not_there_and_what_was_written_goes_with_the_next() {
    if let Some(place) = part() {
        let store = Store::open(place.join("store")).expect("a store");
        let options = UnpackOptions::new().owners(Owners::Virtual);
        let mut input = std::io::stdin();
        let told = &mut |state: sandbox_filesystem::oci::ImportProgress| {
            fs::write(place.join("progress"), state.entries.to_string()).expect("write");
        };
        import_layer(&store, &mut input, &Expected::default(), &options, told).expect("a layer");
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    let mut layer = Vec::new();
    let mut tar = tar_of(&mut layer);
    for number in 0..100 {
        let mut header = tar::Header::new_gnu();
        header.set_size(100_000);
        header.set_mode(0o644);
        let name = format!("d/{number}");
        tar.append_data(&mut header, name, vec![7; 100_000].as_slice())
            .expect("an entry");
    }
    tar.finish().expect("a layer");
    drop(tar);
    // Killed after a part of the layer, and after all of it but the end.
    for length in [20_000, 5_000_000, layer.len() - 1] {
        let name = name_of_test!();
        let mut child = other_process(name, place.path()).spawn().expect("a process");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(&layer[..length]).expect("it reads");
        let entries = (length / 101_000).max(1);
        let written = || {
            let told = fs::read_to_string(place.path().join("progress")).unwrap_or_default();
            told.parse::<usize>().unwrap_or(0) >= entries
        };
        assert!(crate::harness::comes_true(written), "{length}");
        assert_eq!(names(&place.path().join("store")), [".staging"], "{length}");
        assert_eq!(names(&place.path().join("store/.staging")).len(), 1, "{length}");
        kill(child);
        drop(stdin);
        assert_eq!(names(&place.path().join("store")), [".staging"], "{length}");
        let store = Store::open(place.path().join("store")).expect("a store");
        assert!(names(&store.path().join(".staging")).is_empty(), "{length}");
        fs::remove_file(place.path().join("progress")).ok();
    }
}

fn tar_of(out: &mut Vec<u8>) -> tar::Builder<&mut Vec<u8>> {
    tar::Builder::new(out)
}
