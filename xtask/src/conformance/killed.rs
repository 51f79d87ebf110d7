//! The server is killed in the middle of work: what is left of it, and of the data.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{served::Served, suites::Results};
use crate::{
    cmd::Cmd,
    error::{Error, Result},
};

const BEFORE: &str = "written before, and brought to the disk\n";
const LOAD: Duration = Duration::from_secs(5);
/// The guard is told by the kernel at once; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// The last suite of a subject: there is no server afterwards. The host itself has none, and passes.
pub(super) fn run(served: &mut Served) -> Result<Results> {
    let mut results = Results::default();
    let note = |results: &mut Results, test: &str, passed| results.note(test.to_owned(), passed);
    let directory = served.directory().to_owned();
    let file = directory.join("before");
    fs::write(&file, BEFORE).map_err(Error::io(&file))?;
    fs::File::open(&file)
        .and_then(|file| file.sync_all())
        .map_err(Error::io(&file))?;
    let is_served = is_mount(&directory);
    if is_served {
        kill_under_load(served, &directory)?;
        note(&mut results, "no mount is left", is_gone(&directory));
    } else {
        note(&mut results, "no mount is left", true);
    }
    let root = served.root().unwrap_or(&directory);
    // What was in memory alone is gone.
    let is_kept = !is_served || served.root().is_some();
    let found = fs::read_to_string(root.join("before")).ok();
    note(
        &mut results,
        "what was synced is there",
        !is_kept || found.as_deref() == Some(BEFORE),
    );
    let read = Cmd::new("sh").args(["-c", "find \"$1\" -type f -exec cat {} + >/dev/null", "sh"]);
    note(&mut results, "everything can be read", read.arg(root).succeeds());
    served.again()?;
    note(
        &mut results,
        "it is served again",
        is_mount(&directory) == is_served,
    );
    Ok(results)
}

fn kill_under_load(served: &mut Served, directory: &Path) -> Result<()> {
    let work = directory.join("load");
    fs::create_dir_all(&work).map_err(Error::io(&work))?;
    let mut load = Command::new("stress-ng");
    load.arg("--temp-path").arg(&work).args(["--timeout", "30s"]);
    for stressor in ["hdd", "dentry", "rename", "fallocate", "link"] {
        load.arg(format!("--{stressor}")).arg("2");
    }
    load.args(["--hdd-bytes", "16m", "--fallocate-bytes", "16m"]);
    load.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut load = load.spawn().map_err(|source| Error::Start {
        command: "stress-ng".to_owned(),
        source,
    })?;
    thread::sleep(LOAD);
    served.kill()?;
    // Its workers fail, each in its own way, and it ends: none of them may wait for an answer that never comes.
    load.wait().map(drop).map_err(Error::io("stress-ng"))
}

fn device(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|found| found.dev())
}

fn is_mount(directory: &Path) -> bool {
    let above = directory.parent().unwrap_or(directory);
    device(directory) != device(above)
}

/// It can be looked at, and shows what is beneath.
fn is_gone(directory: &Path) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while is_mount(directory) {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}
