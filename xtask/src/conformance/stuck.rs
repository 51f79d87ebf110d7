//! What a suite that does not end is doing: printed before it is killed, since it may not hang again for a thousand times.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// So many processes of the suite are shown.
const MOST: usize = 60;
/// Looking at a process can wait for the same as that process: after so long it is not waited for any more.
const LIMIT: Duration = Duration::from_secs(30);

/// Prints every thread of the server, and of `program` and all that it started, with what it waits for; and how many
/// requests the kernel waits for.
pub(super) fn tell(server: Option<u32>, program: u32) {
    let (done, told) = mpsc::channel();
    thread::spawn(move || {
        look(server, program);
        // Nobody may wait any more.
        let _ = done.send(());
    });
    if told.recv_timeout(LIMIT).is_err() {
        println!("--- looking at it hangs as well");
    }
}

fn look(server: Option<u32>, program: u32) {
    println!("--- it hangs; the server:");
    match server {
        Some(pid) => {
            process(pid);
            backtraces(pid);
        }
        None => println!("none"),
    }
    println!("--- requests without an answer:");
    for (connection, waiting) in waiting() {
        println!("connection {connection}: {waiting}");
    }
    println!("--- the suite:");
    for pid in descendants(program).into_iter().take(MOST) {
        process(pid);
    }
}

fn process(pid: u32) {
    let place = PathBuf::from(format!("/proc/{pid}"));
    let line = text(&place.join("cmdline")).replace('\0', " ");
    println!("{pid}: {}", line.trim());
    for thread in numbers(&place.join("task")) {
        let place = place.join("task").join(thread.to_string());
        let [name, wchan, call] = ["comm", "wchan", "syscall"].map(|file| text(&place.join(file)));
        let [name, wchan, call] = [&name, &wchan, &call].map(|text| text.trim());
        let stat = text(&place.join("stat"));
        let (state, processor, policy) = scheduled(&stat);
        println!(
            "  {thread} {name}: {state} in {wchan}, processor {processor}, policy {policy}, call {call}"
        );
        // Root alone may see it.
        for frame in text(&place.join("stack")).lines() {
            println!("      {frame}");
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
fn backtraces(pid: u32) {
    let mut gdb = Command::new("gdb");
    gdb.args(["-p", &pid.to_string(), "-batch", "-ex", "thread apply all bt 16"]);
    match gdb.stdin(Stdio::null()).stderr(Stdio::null()).output() {
        Ok(output) => println!("{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => println!("gdb: {error}"),
    }
}

fn waiting() -> Vec<(u32, String)> {
    let connections = Path::new("/sys/fs/fuse/connections");
    let waiting = numbers(connections).into_iter().map(|connection| {
        let file = connections.join(connection.to_string()).join("waiting");
        (connection, text(&file).trim().to_owned())
    });
    waiting.filter(|(_, waiting)| waiting != "0").collect()
}

/// `pid`, and every process that descends from it.
fn descendants(pid: u32) -> Vec<u32> {
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
}
