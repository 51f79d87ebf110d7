//! What a suite that does not end is doing: told before it is killed, since it may not hang again for a thousand times.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, Sender},
    thread,
    time::{Duration, Instant},
};

/// So many processes of the suite are shown.
const MOST: usize = 60;
/// Looking at a process can wait for the same as that process: after so long it is not waited for any more.
const LIMIT: Duration = Duration::from_secs(30);

/// Tells, line by line, of every thread of the server, and of `program` and all that it started, with what it waits for; and
/// how many requests the kernel waits for.
pub(super) fn tell(server: Option<u32>, program: u32, on_line: &mut dyn FnMut(&str)) {
    let (said, lines) = mpsc::channel();
    thread::spawn(move || look(server, program, &Told(said)));
    let deadline = Instant::now() + LIMIT;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => on_line(&line),
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
            Err(mpsc::RecvTimeoutError::Timeout) => return on_line("--- looking at it hangs as well"),
        }
    }
}

/// Where lines go as soon as they are known: what follows may hang.
struct Told(Sender<String>);

impl Told {
    fn line(&self, line: impl Into<String>) {
        // Nobody may listen any more.
        let _ = self.0.send(line.into());
    }
}

/// What cannot hang comes first; a debugger may.
fn look(server: Option<u32>, program: u32, told: &Told) {
    told.line("--- it hangs; requests without an answer:");
    waiting(told);
    told.line("--- the server:");
    match server {
        Some(pid) => process(pid, told),
        None => told.line("none"),
    }
    told.line("--- the suite:");
    for pid in descendants(program).into_iter().take(MOST) {
        process(pid, told);
    }
    if let Some(pid) = server {
        told.line("--- the server's stacks:");
        backtraces(pid, told);
    }
}

fn process(pid: u32, told: &Told) {
    let place = PathBuf::from(format!("/proc/{pid}"));
    let line = text(&place.join("cmdline")).replace('\0', " ");
    told.line(format!("{pid}: {}", line.trim()));
    for thread in numbers(&place.join("task")) {
        let place = place.join("task").join(thread.to_string());
        let [name, wchan, call] = ["comm", "wchan", "syscall"].map(|file| text(&place.join(file)));
        let [name, wchan, call] = [&name, &wchan, &call].map(|text| text.trim());
        let stat = text(&place.join("stat"));
        let (state, processor, policy) = scheduled(&stat);
        told.line(format!(
            "  {thread} {name}: {state} in {wchan}, processor {processor}, policy {policy}, call {call}"
        ));
        // Root alone may see it.
        for frame in text(&place.join("stack")).lines() {
            told.line(format!("      {frame}"));
        }
    }
}

/// State, processor and scheduling policy of /proc/TID/stat (proc_pid_stat(5)).
fn scheduled(stat: &str) -> (&str, &str, &str) {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3).unwrap_or("?");
    (field(3), field(39), field(41))
}

/// Where the debugger is installed.
fn backtraces(pid: u32, told: &Told) {
    let mut gdb = Command::new("gdb");
    gdb.args(["-p", &pid.to_string(), "-batch", "-ex", "thread apply all bt 16"]);
    match gdb.stdin(Stdio::null()).stderr(Stdio::null()).output() {
        Ok(output) => told.line(String::from_utf8_lossy(&output.stdout)),
        Err(error) => told.line(format!("gdb: {error}")),
    }
}

/// Where the kernel tells of connections, shown to this one command: nothing has to be mounted there, and nothing stays.
const WAITING: &str = "mount -t fusectl none /sys/fs/fuse/connections && cd /sys/fs/fuse/connections && \
     grep -H . */waiting";

/// Every connection for which the kernel waits, by the place where it is mounted.
fn waiting(told: &Told) {
    let mut looked = Command::new("unshare");
    looked.args(["--mount", "--propagation", "private", "sh", "-c", WAITING]);
    let places = fuse_mounts(&text(Path::new("/proc/self/mountinfo")));
    match looked.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {
            for (connection, waiting) in waiting_in(&String::from_utf8_lossy(&output.stdout)) {
                let place = places.get(&connection).map_or("not mounted here", String::as_str);
                told.line(format!("connection {connection} ({place}): {waiting}"));
            }
        }
        Ok(output) => told.line(format!(
            "cannot be told: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => told.line(format!("cannot be told: unshare: {error}")),
    }
}

/// Lines of `CONNECTION/waiting:COUNT`, without those that wait for nothing.
fn waiting_in(lines: &str) -> BTreeMap<u32, u64> {
    let counts = lines.lines().filter_map(|line| {
        let (connection, count) = line.split_once("/waiting:")?;
        Some((connection.parse().ok()?, count.trim().parse().ok()?))
    });
    counts.filter(|(_, count)| *count > 0).collect()
}

/// Which connection is mounted where: its number is the minor number of the mount's device (proc_pid_mountinfo(5)).
fn fuse_mounts(mountinfo: &str) -> BTreeMap<u32, String> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let (_, minor) = fields.nth(2)?.split_once(':')?;
        let kind = source.split(' ').next()?;
        let is_fuse = kind == "fuse" || kind.starts_with("fuse.");
        is_fuse.then_some((minor.parse().ok()?, fields.nth(1)?.to_owned()))
    });
    mounts.collect()
}

/// `pid`, and every process that descends from it.
pub(super) fn descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = numbers(Path::new("/proc"))
        .into_iter()
        .filter_map(|pid| {
            Some((
                pid,
                parent_in(&text(&PathBuf::from(format!("/proc/{pid}/stat"))))?,
            ))
        })
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = parents.iter().filter(|(_, of)| *of == parent);
        found.extend(children.map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

fn parent_in(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Entries of a directory that are numbers, in order.
fn numbers(directory: &Path) -> BTreeSet<u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn text(file: &Path) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_has_started_is_found_with_its_state() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 60 & echo; read end; kill $!"]);
        let mut shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let found = descendants(shell.id());
        for pid in found.iter().rev() {
            let stat = text(&PathBuf::from(format!("/proc/{pid}/stat")));
            let (state, processor, policy) = scheduled(&stat);
            assert!(["S", "R"].contains(&state), "{stat}");
            assert!(processor.parse::<u32>().is_ok() && policy.parse::<u32>().is_ok());
        }
        assert_eq!(found.len(), 2);
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    #[test]
    fn connections_that_wait_are_told_with_their_place() {
        let waits = waiting_in("41/waiting:0\n52/waiting:3\nnonsense\n");
        assert_eq!(waits, BTreeMap::from([(52, 3)]));
        let mounts = "97 27 0:41 / /mnt rw,nosuid - fuse src rw,user_id=0\n\
                      98 27 0:52 / /tmp/a rw shared:1 - fuse.sandbox mem rw\n\
                      99 27 0:60 / /sys/fs/fuse/connections rw - fusectl none rw\n\
                      27 1 254:0 / / rw - ext4 /dev/vda rw\n";
        let places = BTreeMap::from([(41, "/mnt".to_owned()), (52, "/tmp/a".to_owned())]);
        assert_eq!(fuse_mounts(mounts), places);
    }
}
