//! A writable layer over a directory: let a job work on a base that must not change, look at what it wrote, and end
//! in one of three ways.
//!
//! A base of two layers (a system, an application over it) gets an upper. What is written in the view is in the
//! upper; the summary tells layer by layer what there is, deletions among it. Then: *keep* the upper as an audit
//! trail, *discard* it so that the next job starts fresh, or *commit* the view to a new base with a fresh upper.
//! Root sees the view at a path for everybody; a plain user gets one of its own, through a user namespace. Data
//! that is to outlive all of it belongs in a volume beside it, not in the upper.

use std::error::Error;
use std::fs;
use std::io::{Write, stdout};
use std::path::Path;

use sandbox::Access;
use sandbox::branch::{LayerInfo, OverlayConfig, OverlayError, OverlayMount};

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let path = |name: &str| place.path().join(name);

    // Layers: the lowest first, each hiding what it has in common with those beneath it.
    fill(
        &path("system"),
        &[("etc/motd", "welcome\n"), ("etc/old.conf", "1\n")],
    )?;
    fill(&path("app"), &[("srv/app.conf", "workers = 1\n")])?;

    // Configure and set up.
    let config = OverlayConfig::new(path("system"), path("job/upper")).layer(path("app"));
    let mut overlay = OverlayMount::new(config);
    match overlay.setup() {
        Err(error @ OverlayError::NoNamespaces { .. }) => {
            writeln!(
                stdout(),
                "no overlay here: {error}; {}",
                error.hint().unwrap_or_default()
            )?;
            return Ok(());
        }
        result => result?,
    }
    writeln!(stdout(), "mounted: {}", overlay.is_mounted())?;

    // A job: it changes, makes and deletes, in the view.
    let view = overlay.merged_path();
    fs::write(view.join("srv/app.conf"), "workers = 8\n")?;
    fs::write(view.join("etc/report"), "done\n")?;
    fs::remove_file(view.join("etc/old.conf"))?;

    // Both layers, and the summary of what has changed.
    let base = LayerInfo::from_path("base", overlay.lower_path(), Access::Read)?;
    let changes = LayerInfo::from_path("changes", overlay.upper_path(), Access::Write)?;
    for layer in [&base, &changes] {
        let LayerInfo {
            name,
            files,
            deletions,
            size,
            writable,
            ..
        } = layer;
        writeln!(
            stdout(),
            "{name}: {files} files, {deletions} deletions, {size} bytes, writable: {writable}"
        )?;
    }
    assert_eq!((changes.files, changes.deletions), (2, 1));
    assert_eq!(overlay.changes_size()?, 17);
    assert_eq!(fs::read_to_string(path("app/srv/app.conf"))?, "workers = 1\n");

    // The view commits to a new base, over which the next upper is empty.
    overlay.commit_to(path("release-2"))?;
    let mut next = OverlayMount::new(OverlayConfig::new(path("release-2"), path("next/upper")));
    next.setup()?;
    let seen = fs::read_to_string(next.merged_path().join("srv/app.conf"))?;
    writeln!(
        stdout(),
        "release 2: {seen}{} bytes changed",
        next.changes_size()?
    )?;
    next.cleanup()?;

    // Kept, the upper is an audit trail on the disk.
    overlay.keep()?;
    writeln!(
        stdout(),
        "kept: {}",
        fs::read_to_string(path("job/upper/etc/report"))?.trim()
    )?;

    // Discarded, the base is fresh for the next job.
    overlay.discard()?;
    overlay.setup()?;
    assert!(overlay.merged_path().join("etc/old.conf").exists());
    overlay.cleanup()?;
    assert!(!overlay.is_mounted());
    Ok(())
}

fn fill(directory: &Path, files: &[(&str, &str)]) -> std::io::Result<()> {
    for (name, content) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap_or(directory))?;
        fs::write(path, content)?;
    }
    Ok(())
}
