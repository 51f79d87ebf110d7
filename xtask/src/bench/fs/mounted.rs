//! A contestant that is mounted for one round.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    contestants::{Contestant, Place, Role},
    ground::{Ground, make_dir},
    steps,
};
use crate::{
    bench::{BenchError, left::status_kib},
    cmd::Cmd,
    error::{Error, Result},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Descriptors for everybody: some keep one for each file.
const LIMITS: &str = "ulimit -n 400000 2>/dev/null || ulimit -n $(ulimit -Hn)\n";

/// Clock ticks a second in /proc/PID/stat (`USER_HZ`, the same everywhere).
const TICK: Duration = Duration::from_millis(10);

/// Unmounted when dropped, and what was written elsewhere is removed.
pub(super) struct Mounted<'a> {
    ground: &'a Ground,
    contestant: &'a Contestant,
    /// Where the work is done.
    directory: PathBuf,
    scratch: Option<PathBuf>,
    server: Option<Child>,
}

impl<'a> Mounted<'a> {
    /// Filled, where it does not show what is there already.
    pub(super) fn start(ground: &'a Ground, contestant: &'a Contestant) -> Result<Self> {
        if contestant.role == Role::Native {
            return Ok(Self {
                ground,
                contestant,
                directory: ground.root(contestant.place),
                scratch: None,
                server: None,
            });
        }
        let mounted = Self::mount(
            ground,
            contestant,
            &ground.root(contestant.place),
            contestant.start,
        )?;
        if contestant.place == Place::Own {
            ground.script(&mounted.directory, &steps::setup(&ground.sizes))?;
        }
        Ok(mounted)
    }

    /// Runs `start`, as `contestants` describes it, to serve `root`.
    pub(super) fn mount(
        ground: &'a Ground,
        contestant: &'a Contestant,
        root: &Path,
        start: &str,
    ) -> Result<Self> {
        let scratch = ground.file_system(contestant.place).join("scratch");
        let directory = ground.path("mnt");
        for dir in [&scratch, &directory] {
            make_dir(dir)?;
        }
        let mut mounted = Self {
            ground,
            contestant,
            directory,
            scratch: Some(scratch.clone()),
            server: None,
        };
        let mut server = Command::new("sh");
        server.args(["-ec", &format!("{LIMITS}{start}")]);
        ground.environment(&mut server);
        server
            .env("ROOT", root)
            .env("MNT", &mounted.directory)
            .env("SCRATCH", scratch);
        server
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let spawned = server.spawn().map_err(|source| BenchError::Peer {
            program: contestant.name.to_owned(),
            source,
        })?;
        mounted.server = Some(spawned);
        mounted.wait()?;
        Ok(mounted)
    }

    fn wait(&mut self) -> Result<()> {
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev());
        let outside = device(&self.ground.path("home")).map_err(Error::io(&self.directory))?;
        let deadline = Instant::now() + PATIENCE;
        while device(&self.directory)
            .ok()
            .is_none_or(|inside| inside == outside)
        {
            let ended = self
                .server
                .as_mut()
                .and_then(|server| server.try_wait().ok())
                .flatten();
            if ended.is_some_and(|status| !status.success()) || Instant::now() > deadline {
                return Err(BenchError::Run {
                    program: self.contestant.name.to_owned(),
                    why: self.complaint(),
                }
                .into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// The last line of what the server said. It is killed, since its output would not end otherwise.
    fn complaint(&mut self) -> String {
        let mut said = String::new();
        if let Some(server) = &mut self.server
            && server.kill().is_ok()
            && let Some(mut errors) = server.stderr.take()
        {
            // What cannot be read says nothing.
            let _ = errors.read_to_string(&mut said);
        }
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(|| "it did not mount".to_owned(), |line| line.trim().to_owned())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kernel forgets what it knows of the mount. The file systems themselves are left as they are.
    pub(super) fn cool(&self) -> Result<(), BenchError> {
        if self.contestant.role == Role::Native {
            return Ok(());
        }
        let home = self.ground.path("home");
        let cool = format!("fsload cool {}", self.directory.display());
        self.ground.script(&home, &cool).map(drop)
    }

    /// What the server has taken of the processor so far.
    pub(super) fn spent(&self) -> Duration {
        let Some(server) = &self.server else {
            return Duration::ZERO;
        };
        let stat = fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap_or_default();
        ticks(&stat).map_or(Duration::ZERO, |ticks| TICK * ticks)
    }

    /// What the server has resident of its own, in KiB: without its program.
    pub(super) fn resident_kib(&self) -> Option<u64> {
        let server = self.server.as_ref()?;
        let status = fs::read_to_string(format!("/proc/{}/status", server.id())).ok()?;
        status_kib(&status, "RssAnon")
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if self.scratch.is_some() {
            // Without complaint: what has not mounted need not be unmounted.
            Cmd::new("umount").arg(&self.directory).silent().succeeds();
        }
        if let Some(server) = &mut self.server {
            drop(server.stdin.take());
            let ended = wait_for(server, PATIENCE);
            if !ended && let Err(error) = server.kill().and_then(|()| server.wait()) {
                eprintln!("warning: {}: {error}", self.contestant.name);
            }
        }
        let made = self.scratch.iter().chain([&self.directory]);
        for dir in made.filter(|_| self.scratch.is_some()) {
            if let Err(error) = fs::remove_dir_all(dir) {
                eprintln!("warning: {}: {error}", dir.display());
            }
        }
    }
}

fn wait_for(server: &mut Child, at_most: Duration) -> bool {
    let deadline = Instant::now() + at_most;
    while Instant::now() < deadline {
        if matches!(server.try_wait(), Ok(Some(_))) {
            return true;
        }
        thread::sleep(Duration::from_millis(2));
    }
    false
}

/// utime and stime of /proc/PID/stat. The name of the program, which comes before, can have anything in it.
fn ticks(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_the_processor_is_read_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 1 0 5 1 1";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7"), None);
    }
}
