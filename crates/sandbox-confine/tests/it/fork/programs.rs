//! Templates that are programs: in C and in Python. The caller has threads here, as tests have.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sandbox_confine::{
    CloneInput, Command, ForkError, ForkOptions, Policy, Sandbox, StartError, fork_runtime,
};
use sandbox_types::policy::Identity;
use sandbox_types::{Outcome, RunResult};

use super::results;
use crate::harness::{DEADLINE, Place, needs_namespaces, needs_program, stdout};

/// Returns from the test, saying why, where there is no Python or no namespaces.
macro_rules! needs_python {
    () => {
        needs_namespaces!();
        needs_program!("python3");
    };
}
pub(super) use needs_python;

/// A template of this script.
pub(super) fn python(script: &str) -> Result<Sandbox, ForkError> {
    python_under(&Policy::default(), script)
}

pub(super) fn python_under(policy: &Policy, script: &str) -> Result<Sandbox, ForkError> {
    // What a script complains of is not to be seen among the tests' own output.
    let command = Command::new("python3").args(["-c", script]);
    Sandbox::template(policy)
        .stderr(sandbox_confine::Stdio::Null)
        .command(command)
}

/// A program in C that includes the header, and a policy under which it can be executed.
fn compiled(place: &Place, body: &str) -> (Policy, PathBuf) {
    let source = format!("#include \"sandbox_fork.h\"\n#include <pthread.h>\n#include <string.h>\n{body}\n");
    let source = place.file("program.c", &source);
    place.file("sandbox_fork.h", fork_runtime::HEADER);
    let program = place.path().join("program");
    let status = std::process::Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .arg(&program)
        .arg(&source)
        .arg("-ldl")
        .status()
        .expect("cc runs");
    assert!(status.success(), "{body}");
    let policy = Policy::builder().read(place.path()).build().expect("valid");
    (policy, program)
}

fn program_of(policy: &Policy, program: &Path) -> Result<Sandbox, ForkError> {
    Sandbox::template(policy)
        .stderr(sandbox_confine::Stdio::Null)
        .command(Command::new(program))
}

fn lines(results: &[RunResult]) -> Vec<String> {
    results
        .iter()
        .map(|result| stdout(result).trim_end().to_owned())
        .collect()
}

#[test]
fn a_hundred_clones_of_an_interpreter_have_numbers_and_memory_of_their_own() {
    needs_python!();
    let script = "
import os, sandbox_fork
loaded = [0] * 1000
starts = os.getpid()
number = sandbox_fork.ready()
loaded[number] += 1
print(number, os.environ['CLONE_ID'], sum(loaded), loaded.index(1), os.getpid())
";
    let mut template = python(script).expect("a template");
    let clones = results(template.fork(100).expect("clones"));
    let expected: Vec<_> = (0..100).map(|id| format!("{id} {id} 1 {id} 2")).collect();
    assert_eq!(lines(&clones), expected);
    // Once more, from the same interpreter, and numbered on.
    let more = template.fork_with(2, &ForkOptions::default().first(100));
    assert_eq!(
        lines(&results(more.expect("clones"))),
        ["100 100 1 100 2", "101 101 1 101 2"]
    );
}

#[test]
fn a_hundred_clones_of_a_program_in_c_end_each_in_its_way() {
    needs_namespaces!();
    needs_program!("cc");
    let place = Place::new();
    let (policy, program) = compiled(
        &place,
        r#"int main(void) {
            char *memory = calloc(1, 1 << 20);
            long number = sandbox_ready();
            if (number < 0) { fprintf(stderr, "%s\n", sandbox_ready_error()); return 1; }
            memory[number]++;
            printf("%ld %s %d\n", number, getenv("CLONE_ID"), (int)((char *)memchr(memory, 1, 1 << 20) - memory));
            if (number == 7) { fflush(NULL); abort(); }
            return (int)number;
        }"#,
    );
    let mut template = program_of(&policy, &program).expect("a template");
    let clones = results(template.fork(100).expect("clones"));
    for (id, clone) in (0..).zip(&clones) {
        let text = String::from_utf8_lossy(&clone.stdout);
        assert_eq!(text, format!("{id} {id} {id}\n"));
        let outcome = match id {
            7 => Outcome::Signaled { signal: 6 },
            code => Outcome::Exited { code },
        };
        assert_eq!(clone.outcome, outcome);
    }
}

#[test]
fn what_an_interpreter_registers_for_forks_runs_and_random_numbers_differ() {
    needs_python!();
    let script = "
import os, random, sandbox_fork
random.seed(1)
os.register_at_fork(after_in_child=lambda: print('registered', end=' '))
sandbox_fork.ready()
print(random.random())
";
    let mut template = python(script).expect("a template");
    let mut printed = lines(&results(template.fork(20).expect("clones")));
    assert!(
        printed.iter().all(|line| line.starts_with("registered 0.")),
        "{printed:?}"
    );
    printed.sort();
    printed.dedup();
    assert_eq!(printed.len(), 20);
}

#[test]
fn a_program_with_threads_is_refused_and_told_how_many_there_are() {
    needs_python!();
    let script = "
import threading, sandbox_fork
for name in 'one', 'two':
    threading.Thread(target=threading.Event().wait, daemon=True, name=name).start()
try:
    sandbox_fork.ready()
except sandbox_fork.ForkError as error:
    text = str(error)
    assert 'has 3 threads' in text and 'join them' in text and 'MainThread, one, two' in text, text
    raise SystemExit(9)
";
    let error = python(script).expect_err("threads");
    assert!(
        matches!(
            error,
            ForkError::ProgramThreads {
                threads: 3,
                outcome: Outcome::Exited { code: 9 }
            }
        ),
        "{error}"
    );
    assert!(error.hint().expect("what to do").contains("stop its threads"));
}

#[test]
fn a_program_may_be_ready_once_its_threads_have_ended() {
    needs_python!();
    let script = "
import threading, sandbox_fork
end = threading.Event()
thread = threading.Thread(target=end.wait)
thread.start()
try:
    sandbox_fork.ready()
    raise SystemExit(1)
except sandbox_fork.ForkError:
    end.set()
    thread.join()
print(sandbox_fork.ready())
";
    let mut template = python(script).expect("a template");
    assert_eq!(lines(&results(template.fork(2).expect("clones"))), ["0", "1"]);
}

#[test]
fn threads_that_a_library_stops_when_there_is_a_fork_are_no_obstacle() {
    needs_namespaces!();
    needs_program!("cc");
    let place = Place::new();
    // As OpenBLAS does it.
    let (policy, program) = compiled(
        &place,
        r#"static pthread_t thread;
        static int go_on = 1, is_there;
        static void *wait(void *none) { while (__atomic_load_n(&go_on, __ATOMIC_SEQ_CST)) {} return none; }
        static void stop(void) {
            if (is_there) { __atomic_store_n(&go_on, 0, __ATOMIC_SEQ_CST); pthread_join(thread, NULL); is_there = 0; }
        }
        int main(void) {
            pthread_atfork(stop, NULL, NULL);
            is_there = pthread_create(&thread, NULL, wait, NULL) == 0;
            if (!is_there) return 1;
            printf("%ld\n", sandbox_ready());
            return 0;
        }"#,
    );
    let mut template = program_of(&policy, &program).expect("a template");
    assert_eq!(
        lines(&results(template.fork(3).expect("clones"))),
        ["0", "1", "2"]
    );
}

#[test]
fn a_program_that_is_never_ready_or_ends_before_is_an_error_that_names_it() {
    needs_python!();
    let policy = Policy::default();
    let start = Instant::now();
    let command = Command::new("python3").args(["-c", "import time; time.sleep(1000)"]);
    let error = Sandbox::template(&policy)
        .init_timeout(Duration::from_millis(300))
        .command(command)
        .expect_err("it sleeps");
    assert!(start.elapsed() < DEADLINE);
    assert_eq!(
        error.to_string(),
        "python3 did not say within 300ms that it was ready"
    );
    assert!(error.hint().expect("what to do").contains("sandbox_fork.ready()"));

    for (script, outcome) in [
        ("pass", Outcome::Exited { code: 0 }),
        ("raise SystemExit(4)", Outcome::Exited { code: 4 }),
        (
            "import os; os.kill(os.getpid(), 9)",
            Outcome::Signaled { signal: 9 },
        ),
    ] {
        match python(script) {
            Err(ForkError::ProgramEnded {
                program,
                outcome: found,
            }) => {
                assert_eq!((program, found), ("python3".into(), outcome), "{script}");
            }
            other => panic!("{script}: {other:?}"),
        }
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_an_error_as_of_any_command() {
    needs_namespaces!();
    let place = Place::new();
    let policy = Policy::builder().read(place.path()).build().expect("valid");
    let plain = place.file("plain", "text");
    for (program, errno) in [
        (Path::new("no-such-program"), libc::ENOENT),
        (&plain, libc::EACCES),
    ] {
        match program_of(&policy, program) {
            Err(ForkError::Start(StartError::Exec {
                program: named,
                source,
            })) => {
                assert_eq!((named.as_path(), source.raw_os_error()), (program, Some(errno)));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_script_of_the_shell_can_make_way_for_the_program_but_not_stay_its_parent() {
    needs_python!();
    let place = Place::new();
    let policy = Policy::builder().read(place.path()).build().expect("valid");
    place.file("warm.py", "import sandbox_fork\nprint(sandbox_fork.ready())\n");
    let script = |line: &str| {
        let line = format!("cd {}; {line}", place.path().display());
        Sandbox::template(&policy).command(Command::new("sh").args(["-c", &line]))
    };
    let mut template = script("exec python3 warm.py").expect("a template");
    assert_eq!(lines(&results(template.fork(1).expect("a clone"))), ["0"]);
    let error = script("python3 warm.py; true").expect_err("its child is ready");
    assert!(matches!(error, ForkError::ReadyElsewhere { .. }), "{error}");
    assert!(error.hint().expect("what to do").contains("exec python3"));
}

#[test]
fn a_program_that_closes_its_socket_is_told_so() {
    needs_python!();
    let error = python("import os, time; os.closerange(3, 64); time.sleep(1000)").expect_err("closed");
    assert!(matches!(error, ForkError::Closed), "{error}");
    assert!(error.hint().expect("what to do").contains("from 4 on"));
}

#[test]
fn a_clone_that_is_ready_once_more_gets_an_error_and_goes_on() {
    needs_python!();
    let script = "
import sandbox_fork, subprocess, sys
sandbox_fork.ready()
try:
    sandbox_fork.ready()
except sandbox_fork.ForkError as error:
    print(error)
asks = 'import sandbox_fork; print(sandbox_fork.available())'
print(subprocess.run([sys.executable, '-c', asks], capture_output=True, text=True).stdout.strip())
";
    let mut template = python(script).expect("a template");
    let printed = stdout(&results(template.fork(1).expect("a clone"))[0]);
    assert_eq!(
        printed,
        "this is clone 0 already; a program is ready once\nFalse\n"
    );
}

#[test]
fn a_program_finds_the_environment_and_the_directory_of_policy_and_command() {
    needs_python!();
    let place = Place::new();
    place.file("modules/own.py", "value = 7");
    let policy = Policy::builder()
        .read(place.path())
        .env("PYTHONPATH", place.path().join("modules").display().to_string())
        .env("OF_POLICY", "1")
        .build()
        .expect("valid");
    let script = "import os, own, sandbox_fork
sandbox_fork.ready()
print(own.value, os.environ['OF_POLICY'], os.environ['OF_COMMAND'], os.getcwd())";
    let command = Command::new("python3")
        .args(["-c", script])
        .env("OF_COMMAND", "2")
        .cwd(place.path());
    let mut template = Sandbox::template(&policy).command(command).expect("a template");
    let printed = stdout(&results(template.fork(1).expect("a clone"))[0]);
    assert_eq!(printed, format!("7 1 2 {}\n", place.path().display()));
}

#[test]
fn a_clone_can_be_written_to() {
    needs_python!();
    let mut template =
        python("import sys, sandbox_fork; sandbox_fork.ready(); print(sys.stdin.read().upper())")
            .expect("a template");
    let options = ForkOptions::default().stdin(CloneInput::Piped);
    let mut clones = template.fork_with(2, &options).expect("clones");
    for (clone, text) in clones.iter_mut().zip(["one", "two"]) {
        let mut stdin = clone.take_stdin().expect("piped");
        stdin.write_all(text.as_bytes()).expect("it reads");
    }
    assert_eq!(lines(&results(clones)), ["ONE", "TWO"]);
}

#[test]
fn a_clone_of_a_program_has_the_rights_of_the_policy_and_no_more() {
    needs_python!();
    let script = "
import os, sandbox_fork
sandbox_fork.ready()
with open('/proc/self/status') as status:
    print(*(line.split()[1] for line in status if line.startswith(('CapInh', 'CapPrm', 'CapEff', 'CapAmb'))))
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
own = os.open('/proc/self/ns/pid', os.O_RDONLY)
print(libc.setns(own, 0x20000000), ctypes.get_errno(), libc.unshare(0x10000000), ctypes.get_errno())
print(sorted(os.listdir('/proc/self/fd')))
";
    let zero = "0000000000000000";
    for identity in [Identity::Caller, Identity::Root] {
        let policy = Policy::builder().identity(identity).build().expect("valid");
        let mut template = python_under(&policy, script).expect("a template");
        let printed = stdout(&results(template.fork(1).expect("a clone"))[0]);
        assert_eq!(
            printed,
            format!("{zero} {zero} {zero} {zero}\n-1 1 -1 1\n['0', '1', '2', '3', '4']\n"),
            "{identity:?}"
        );
    }
}

#[test]
fn a_clone_can_do_nothing_to_the_first_process_of_its_namespace_nor_to_anybody_elses() {
    needs_python!();
    // Process 1 shares the keeper's memory; what it is told by the keeper nobody else can make it believe.
    let script = "
import ctypes, os, struct, sandbox_fork
libc = ctypes.CDLL(None, use_errno=True)
number = sandbox_fork.ready()
def call(*arguments): return ctypes.get_errno() if libc.syscall(*arguments) < 0 else 0
room = ctypes.create_string_buffer(128)
def told(signal, code):
    struct.pack_into('6i', room, 0, signal, 0, code, 0, 0, 0)
    return call(129, 1, signal, room)
PTRACE_SEIZE = 0x4206
refused = [
    call(101, PTRACE_SEIZE, 1, 0, 0), call(310, 1, room, 1, room, 1, 0), call(311, 1, room, 1, room, 1, 0),
    call(302, 1, 7, room, 0), call(312, 1, 2, 0, 0, 0), call(438, os.pidfd_open(1), 0, 0),
    call(308, os.pidfd_open(1), 0x20000000), call(203, 1, 128, room), call(144, 1, 0, room),
    told(10, 0),
]
# As if the keeper had said it, with another code; everything it shrugs off; and to all that is there.
told(10, -1), told(12, -1)
for signal in range(1, 65): libc.kill(1, signal)
libc.kill(-1, 9)
print(refused, [name for name in os.listdir('/proc') if name.isdigit() and name != os.readlink('/proc/self')])
";
    let mut template = python(script).expect("a template");
    let mut clones = template.fork(3).expect("clones");
    for clone in &mut clones {
        let result = clone.wait().expect("it ends");
        assert!(result.outcome.success(), "{}", crate::harness::both(&result));
        assert_eq!(stdout(&result), "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1] []\n");
    }
    assert_eq!(template.fork(1).expect("the template lives").len(), 1);
}

#[test]
fn a_program_that_is_to_be_forked_can_join_pid_namespaces_and_nothing_else() {
    needs_python!();
    let script = "
import ctypes, os, socket, sandbox_fork
libc = ctypes.CDLL(None, use_errno=True)
def errno(result): return ctypes.get_errno() if result != 0 else 0
print(errno(libc.sethostname(b'x', 1)), errno(libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)), end=' ')
print(errno(libc.unshare(0x20000000)), errno(libc.chroot(b'/tmp')), end=' ')
kinds = ['mnt', 'net', 'user', 'ipc', 'uts']
print(*(errno(libc.setns(os.open('/proc/self/ns/' + kind, os.O_RDONLY), 0)) for kind in kinds), end=' ')
with open('/proc/self/status') as status:
    print(*(line.split()[1] for line in status if line.startswith(('CapEff', 'CapBnd'))))
sandbox_fork.ready()
";
    let place = Place::new();
    let said = place.path().join("said");
    let command = Command::new("python3")
        .args(["-c", script])
        .stdout(std::fs::File::create(&said).expect("ours"));
    Sandbox::template(&Policy::default())
        .command(command)
        .expect("a template");
    let text = std::fs::read_to_string(said).expect("written");
    assert_eq!(text, "1 1 1 1 1 1 1 1 1 0000000000200000 0000000000000000\n");
}

#[test]
fn what_takes_long_can_be_cancelled_by_a_descriptor() {
    needs_python!();
    // A program that never is ready, and one that is never forked.
    for (script, is_made) in [("import time; time.sleep(1000)", false), ("", true)] {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(if is_made { 1000 } else { 200 }));
            writer.write_all(b"x").ok();
            writer
        });
        let policy = Policy::default();
        let builder = Sandbox::template(&policy).cancel_when(reader);
        let never = "import os, socket, struct, time
wire = socket.socket(fileno=3)
wire.recv(64)
wire.send(struct.pack('<8Q', 16, os.getpid(), 0, 0, 0, 0, 0, 0))
time.sleep(1000)";
        let script = if is_made { never } else { script };
        let made = builder.command(Command::new("python3").args(["-c", script]));
        let error = match made {
            Ok(mut template) => template.fork(100).expect_err("never forked"),
            Err(error) => error,
        };
        assert!(matches!(error, ForkError::Cancelled), "{error}");
        drop(thread.join().expect("no panic"));
    }
}

#[test]
fn large_memory_of_a_program_is_put_into_huge_pages_when_it_is_asked_for() {
    needs_python!();
    let enabled = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if enabled.is_empty() || enabled.contains("[never]") {
        return crate::harness::skip(crate::harness::name_of_test!(), "no transparent huge pages");
    }
    let script = "
import mmap, sandbox_fork
memory = mmap.mmap(-1, 64 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(0, 64 << 20, 4096): memory[page] = 1
sandbox_fork.ready()
with open('/proc/self/smaps_rollup') as rollup:
    print(*(line.split()[1] for line in rollup if line.startswith('AnonHugePages')))
";
    let policy = Policy::default();
    let command = || Command::new("python3").args(["-c", script]);
    let huge = |template: Result<Sandbox, ForkError>| -> u32 {
        let mut template = template.expect("a template");
        stdout(&results(template.fork(1).expect("a clone"))[0])
            .trim()
            .parse()
            .expect("a number")
    };
    let with = huge(Sandbox::template(&policy).huge_pages().command(command()));
    // As many as the kernel finds room for; without being asked for there is none.
    assert!(with >= 2 << 10, "{with} KiB");
}

#[test]
fn what_a_program_is_forked_by_cannot_be_hidden_unseen() {
    needs_python!();
    let place = Place::new();
    place.dir("run");
    let policy = Policy::builder()
        .bind(place.path().join("run"), "/run", sandbox_types::Access::Read)
        .build()
        .expect("valid");
    let error = python_under(&policy, "pass").expect_err("hidden");
    assert!(matches!(error, ForkError::RuntimeHidden { .. }), "{error}");
}
