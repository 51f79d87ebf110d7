//! Data that is written and not yet on the disk, kept so while something is measured.

use std::{
    fs::{self, File},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

/// Never less than this; what is written each time is more, because the kernel writes back on its own.
pub(super) const LEAST_MIB: u64 = 400;
const REFRESH_BELOW_MIB: u64 = 500;
const FILE_MIB: usize = 640;
const PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(20);

/// A file that a thread writes again and again; gone when dropped.
pub(super) struct Writer {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    /// The least there was at any look since the start.
    least_mib: Arc<AtomicU64>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Writer {
    /// Returns once there is enough, or once it is clear that this kernel does not let it pile up.
    pub(super) fn start(path: PathBuf) -> Result<Self> {
        let mut file = File::create(&path).map_err(Error::io(&path))?;
        write_all(&mut file).map_err(Error::io(&path))?;
        let deadline = Instant::now() + PATIENCE;
        while dirty_mib()? < LEAST_MIB && Instant::now() < deadline {
            write_all(&mut file).map_err(Error::io(&path))?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let least_mib = Arc::new(AtomicU64::new(u64::MAX));
        let thread = thread::spawn({
            let (stop, least) = (Arc::clone(&stop), Arc::clone(&least_mib));
            move || keep(&mut file, &stop, &least)
        });
        Ok(Self {
            path,
            stop,
            least_mib,
            thread: Some(thread),
        })
    }

    /// The least there was while it ran, in MiB.
    pub(super) fn least_mib(&self) -> u64 {
        self.least_mib.load(Ordering::Relaxed)
    }
}

fn keep(file: &mut File, stop: &AtomicBool, least: &AtomicU64) -> io::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let now = dirty_mib().unwrap_or_default();
        least.fetch_min(now, Ordering::Relaxed);
        if now < REFRESH_BELOW_MIB {
            write_all(file)?;
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn write_all(file: &mut File) -> io::Result<()> {
    let piece = vec![7_u8; 1 << 20];
    file.rewind()?;
    (0..FILE_MIB).try_for_each(|_| file.write_all(&piece))
}

fn dirty_mib() -> Result<u64> {
    let path = Path::new("/proc/meminfo");
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    Ok(parse(&text).unwrap_or(0))
}

fn parse(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("Dirty:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("warning: {}: {error}", self.path.display());
        }
        if let Err(error) = fs::remove_file(&self.path) {
            eprintln!("warning: {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dirty_memory_is_read_in_mebibytes() {
        let meminfo = "MemTotal:  24000000 kB\nDirty:  524288 kB\nWriteback:  0 kB\n";
        assert_eq!(parse(meminfo), Some(512));
    }
}
