//! A sandbox whose /data is served by this very process: a directory with a quota, of which the command inside sees and
//! fills exactly that much, and which is looked at here while the sandbox lives.
//!
//! The policy names the filesystem, the program gives it: `Sandbox::builder(&policy).serve("data", …)`. Neither root, nor
//! a mount point, nor a helper is needed, only a /dev/fuse that the user may open, and namespaces.

use std::error::Error;
use std::io::{ErrorKind, Write, stdout};
use std::sync::Arc;

use sandbox::backend::PassthroughFs;
use sandbox::backend::quota::Quota;
use sandbox::fs::DynFileSystem;
use sandbox::serve::fuse::Session;
use sandbox::{
    Access, Command, Mount, MountSource, Policy, PrepareError, Sandbox, SizeExt, StartError,
    StatVirtualization, Stdio,
};

fn main() -> Result<(), Box<dyn Error>> {
    let data = tempfile::tempdir()?;
    std::fs::write(data.path().join("input"), "1 2 3\n")?;
    // Beside it: the figure of the quota, which is exact again the next time without looking at a file.
    let state = tempfile::tempdir()?;
    let fs = Arc::new(
        PassthroughFs::builder()
            .root_dir(data.path())
            .stat_virtualization(StatVirtualization::Off)
            .quota(Quota::bytes(1.mib()).state_dir(state.path()))
            .build()?,
    );

    let mount = Mount {
        at: "/data".into(),
        source: MountSource::Served("data".parse()?),
        access: Access::Write,
    };
    let policy = Policy::builder().mount(mount).build()?;
    let served = Session::builder(Arc::clone(&fs) as Arc<dyn DynFileSystem>);
    let mut sandbox = Sandbox::builder(&policy).serve("data", served).build()?;

    let script = "cat /data/input && echo 6 >/data/sum && ! head -c 4M /dev/zero >/data/large 2>/dev/null && echo full";
    let command = Command::new("sh").args(["-c", script]).stdout(Stdio::capture());
    let result = match sandbox.spawn(command) {
        Ok(process) => process.wait()?,
        Err(error) if is_the_machine_s(&error) => {
            writeln!(stdout(), "not here: {error}")?;
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    stdout().write_all(&result.stdout)?;
    assert_eq!(result.stdout, b"1 2 3\nfull\n");

    // It is a directory like any other: here, and after the sandbox.
    assert_eq!(std::fs::read_to_string(data.path().join("sum"))?, "6\n");
    let usage = fs.quota().ok_or("it has one")?.usage();
    writeln!(stdout(), "{usage:?}")?;
    assert!(usage.bytes <= 1 << 20);
    sandbox.kill()?;
    Ok(())
}

/// Whether that is nothing which a program could do anything about.
fn is_the_machine_s(error: &StartError) -> bool {
    match error {
        StartError::Serve { source, .. } => {
            matches!(source.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
        }
        StartError::Prepare(PrepareError::NeedsNamespaces { .. }) => true,
        _ => false,
    }
}
