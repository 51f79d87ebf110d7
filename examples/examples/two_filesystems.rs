//! Two filesystems under one root: let a job change a project in memory, watch what it does, and see that the project
//! is as it was.
//!
//! Reads come from the project's directory, what is changed goes to a filesystem in memory (`DualFs` with its default
//! policy). A hook writes down what changes, and refuses everything beneath `.git`. The tree is used by paths, without
//! a mount; `Session::builder(Arc::new(fs)).mount(place)` would serve the same one to every program.

use std::error::Error;
use std::ffi::OsStr;
use std::io::{Write, stdout};
use std::sync::{Arc, Mutex};

use sandbox::backend::dual::{Hook, Plan, Request};
use sandbox::backend::{DualFs, MemFs, PassthroughFs};
use sandbox::fs::{Context, Errno, FsResult};
use sandbox::tree::Tree;
use sandbox::{ByteSize, StatVirtualization};

/// What a hook is told is plain data: it can deny a request, and nothing else.
struct Guard {
    seen: Arc<Mutex<Vec<String>>>,
}

impl Hook for Guard {
    fn before_dispatch(&self, request: &Request<'_>, _plan: &Plan) -> FsResult<()> {
        let paths = [request.path, request.new_path].into_iter().flatten();
        let in_git = |path: &std::path::Path| path.iter().any(|name| name == OsStr::new(".git"));
        if request.operation.changes() && paths.into_iter().any(in_git) {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    fn after(&self, request: &Request<'_>, _plan: Option<&Plan>, outcome: Result<(), Errno>) {
        if let (true, Some(path)) = (request.operation.changes(), request.path)
            && let Ok(mut seen) = self.seen.lock()
        {
            seen.push(format!("{:?} {} {outcome:?}", request.operation, path.display()));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let project = tempfile::tempdir()?;
    std::fs::create_dir_all(project.path().join(".git"))?;
    std::fs::write(project.path().join(".git/config"), "[core]\n")?;
    std::fs::write(project.path().join("notes"), "as it was\n")?;
    std::fs::write(project.path().join("obsolete"), "to be removed\n")?;

    let base = PassthroughFs::builder()
        .root_dir(project.path())
        .stat_virtualization(StatVirtualization::Off)
        .read_only()
        .build()?;
    let scratch = MemFs::builder()
        .capacity(ByteSize::from_bytes(64 << 20))
        .build()?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let fs = DualFs::builder()
        .backend_a(Arc::new(scratch))
        .backend_b(Arc::new(base))
        .hook(Guard {
            seen: Arc::clone(&seen),
        })
        .build()?;

    let tree = Tree::new(&fs, Context::new(0, 0));
    tree.write("notes", b"changed\n")?;
    tree.remove_file("obsolete")?;
    let refused = tree.write(".git/config", b"[alias]\n");

    let mut out = stdout();
    writeln!(
        out,
        "in the view:    {}",
        String::from_utf8_lossy(&tree.read("notes")?).trim()
    )?;
    writeln!(out, "obsolete there: {}", tree.exists("obsolete")?)?;
    writeln!(out, "git's config:   {refused:?}")?;
    let on_disk = std::fs::read_to_string(project.path().join("notes"))?;
    writeln!(out, "on the disk:    {}", on_disk.trim())?;
    for line in seen.lock().map_err(|_| "a hook panicked")?.iter() {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}
