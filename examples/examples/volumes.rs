//! Data that outlives the runs: one sandbox writes into a volume, another reads it, and a snapshot brings back what was.

use std::error::Error;
use std::io::{Write, stdout};
use std::sync::Arc;

use sandbox::volume::{Backend, Holder, LocalBackend, Volume};
use sandbox::{Access, Mount, MountSource, Outcome, Policy, Sandbox, attach_volumes};

fn main() -> Result<(), Box<dyn Error>> {
    let home = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work(home.path()))
}

async fn work(home: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let backend: Arc<dyn Backend> = Arc::new(LocalBackend::builder().home(home).build().await?);
    let mut data = Volume::builder("data")
        .label("for", "example")
        .create_on(Arc::clone(&backend))
        .await?;

    // A policy names the volume; it is taken for as long as the lease lives.
    let policy = Policy::builder()
        .mount(Mount {
            at: "/data".into(),
            source: MountSource::Volume(data.name().clone()),
            access: Access::Write,
        })
        .build()?;
    let (attached, lease) = attach_volumes(&policy, &*backend, &Holder::default()).await?;
    let run = Sandbox::command(&attached, "sh")
        .args(["-c", "echo from inside > /data/file"])
        .output()?;
    assert_eq!(run.outcome, Outcome::Exited { code: 0 });
    lease.detach().await?;

    data.snapshot("before").await?;
    data.fs()?.write("file", "changed\n")?;
    data.restore("before").await?;
    let text = data.fs()?.read_to_string("file")?;
    assert_eq!(text, "from inside\n");
    stdout().write_all(text.as_bytes())?;
    Ok(())
}
