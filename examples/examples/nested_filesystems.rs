//! Filesystems in filesystems: a release made of two directories, a team's changes over it on the disk, and a job's own
//! changes over those in memory, each of them a backend of the one above.
//!
//! ```text
//! DualFs ─┬─ A: MemFs                       what the job changes
//!         └─ B: DualFs ─┬─ A: PassthroughFs what the team has changed, with a quota
//!                       └─ B: OverlayFs ─┬─ application
//!                                        └─ system
//! ```
//!
//! Any backend goes wherever a backend is wanted: `Arc<dyn DynFileSystem>` is all that they know of one another. The whole
//! is used by paths here, and served by FUSE where that can be done without root.

use std::error::Error;
use std::fs;
use std::io::{Write, stdout};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use sandbox::backend::quota::Quota;
use sandbox::backend::{DualFs, MemFs, OverlayFs, PassthroughFs};
use sandbox::fs::{Context, DynFileSystem};
use sandbox::serve::fuse::Session;
use sandbox::tree::Tree;
use sandbox::{SizeExt, StatVirtualization};

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let path = |name: &str| place.path().join(name);
    fill(
        &path("system"),
        &[("etc/motd", "welcome\n"), ("etc/limits", "10\n")],
    )?;
    fill(
        &path("application"),
        &[("etc/app.conf", "workers = 1\n"), ("etc/limits", "20\n")],
    )?;
    fs::create_dir(path("team"))?;

    let release = OverlayFs::builder()
        .layer(path("system"))
        .layer(path("application"))
        .read_only()
        .build()?;
    let team = PassthroughFs::builder()
        .root_dir(path("team"))
        .stat_virtualization(StatVirtualization::Relaxed)
        .quota(Quota::bytes(16.mib()))
        .build()?;
    let shared: Arc<dyn DynFileSystem> = Arc::new(over(Arc::new(team), Arc::new(release))?);
    let memory = MemFs::builder().capacity(8.mib()).build()?;
    let own: Arc<dyn DynFileSystem> = Arc::new(over(Arc::new(memory), Arc::clone(&shared))?);

    // What the team changes is seen by the job, and not the other way round.
    let (team, job) = (
        Tree::new(&*shared, Context::new(0, 0)),
        Tree::new(&*own, Context::new(0, 0)),
    );
    team.write("etc/app.conf", b"workers = 4\n")?;
    team.remove_file("etc/motd")?;
    job.write("etc/limits", b"30\n")?;
    job.rename("etc/app.conf", "etc/app.old")?;
    let mut out = stdout();
    for (who, tree) in [("team", &team), ("job", &job)] {
        let names: Vec<_> = tree.list("etc")?.into_iter().map(|entry| entry.name).collect();
        let limits = String::from_utf8(tree.read("etc/limits")?)?;
        writeln!(out, "{who}: {names:?}, limits {}", limits.trim())?;
    }
    assert!(team.exists("etc/app.conf")? && !job.exists("etc/app.conf")?);
    assert_eq!(job.read("etc/app.old")?, b"workers = 4\n");
    assert!(!job.exists("etc/motd")?);
    assert_eq!(fs::read_to_string(path("application/etc/limits"))?, "20\n");

    // The same tree for every program that is given the descriptor.
    match Session::builder(Arc::clone(&own)).mount_detached() {
        Ok(session) => {
            let root = session.root().ok_or("a detached mount has a root")?;
            let mounted = format!("/proc/self/fd/{}/etc/limits", root.as_raw_fd());
            assert_eq!(fs::read_to_string(mounted)?, "30\n");
            writeln!(out, "served by FUSE: the same")?;
        }
        Err(error) => writeln!(out, "not served here: {error}")?,
    }
    Ok(())
}

/// `above` over `below`, which is never changed.
fn over(above: Arc<dyn DynFileSystem>, below: Arc<dyn DynFileSystem>) -> Result<DualFs, Box<dyn Error>> {
    Ok(DualFs::builder().backend_a(above).backend_b(below).build()?)
}

fn fill(directory: &Path, files: &[(&str, &str)]) -> std::io::Result<()> {
    for (name, content) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap_or(directory))?;
        fs::write(path, content)?;
    }
    Ok(())
}
