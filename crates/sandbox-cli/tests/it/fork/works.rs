//! What clones are and what comes of them.

use std::fs;

use super::{WRITES_A_MEBIBYTE, compiled, name_of, needs, run_python};
use crate::attached_volumes::no_fuse;
use crate::harness::{Harness, Ran};

#[test]
fn a_hundred_clones_print_in_the_order_of_their_numbers() {
    needs!("python3");
    let place = Harness::new();
    let script = "import os, sandbox_fork; print(sandbox_fork.ready(), os.environ['CLONE_ID'])";
    let ran = run_python(&place, &["--count", "100"], script);
    let expected: Vec<_> = (0..100).map(|id| format!("{id} {id}")).collect();
    ran.prints(&(expected.join("\n") + "\n"));
    assert!(ran.stderr.contains("100 clones, all succeeded in "), "{ran:?}");
}

#[test]
fn what_clones_print_is_the_input_of_the_reducer() {
    needs!("python3");
    let place = Harness::new();
    let script = "import sandbox_fork; print(sandbox_fork.ready() ** 2)";
    let sum = "awk '{ sum += $1 } END { print sum, NR }'";
    run_python(&place, &["-n", "50", "-q", "--reduce", sum], script).prints("40425 50\n");
}

#[test]
fn so_many_live_at_once_and_all_of_them_come_to_an_end() {
    needs!("python3");
    let place = Harness::new();
    let script = "
import os, sandbox_fork
number = sandbox_fork.ready()
open(f'/tmp/live-{number}', 'w').close()
count = len([name for name in os.listdir('/tmp') if name.startswith('live-')])
os.remove(f'/tmp/live-{number}')
print(number, 'few' if count <= 3 else count)
";
    let ran = run_python(
        &place,
        &["-n", "10", "--parallel", "3", "--reduce", "cat"],
        script,
    );
    let expected: Vec<_> = (0..10).map(|id| format!("{id} few\n")).collect();
    ran.prints(&expected.concat());
    assert!(ran.stderr.contains("10 clones, all succeeded"), "{ran:?}");
}

#[test]
fn a_slow_clone_keeps_no_other_from_starting() {
    needs!("python3");
    let place = Harness::new();
    let script = "
import os, sandbox_fork, time
number = sandbox_fork.ready()
open(f'/tmp/{number}', 'w').close()
for _ in range(3000):
    if number > 0 or os.path.exists('/tmp/9'): break
    time.sleep(0.01)
else: raise SystemExit('number 9 has not run')
print(number)
";
    run_python(&place, &["-n", "10", "--parallel", "2"], script).prints("0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
}

#[test]
fn every_byte_of_a_thousand_clones_that_write_a_mebibyte_reaches_the_reducer_however_few_files_may_be_open() {
    needs!("cc");
    let place = Harness::new();
    let program = compiled(&place, WRITES_A_MEBIBYTE);
    for limit in ["true", "ulimit -n 256"] {
        let line = format!("{limit}; exec \"$0\" fork -q -n 1000 --reduce 'wc -c' -- \"$1\"");
        let mut command = place.at_home("/bin/sh".as_ref());
        command
            .args(["-c", &line])
            .arg(crate::harness::binary())
            .arg(&program);
        Ran::of(&mut command).prints("1048576000\n");
    }
}

#[test]
fn the_walls_are_those_of_run() {
    needs!("python3");
    let place = Harness::new();
    fs::create_dir(place.work().join("out")).expect("mkdir");
    let script = "
import os, pathlib, sandbox_fork
number = sandbox_fork.ready()
pathlib.Path(f'out/{number}').write_text(os.environ['COLOR'])
try:
    pathlib.Path('other').write_text('')
except OSError as error:
    print(error.strerror)
";
    let ran = run_python(
        &place,
        &["-n", "2", "-q", "-w", "out", "--env", "COLOR=red"],
        script,
    );
    ran.prints("Read-only file system\nRead-only file system\n");
    for number in ["0", "1"] {
        let text = fs::read_to_string(place.work().join("out").join(number)).expect("written");
        assert_eq!(text, "red");
    }
}

#[test]
fn json_and_table_say_how_each_has_ended() {
    needs!("python3");
    let place = Harness::new();
    let script = "
import os, sandbox_fork
number = sandbox_fork.ready()
print('x' * number, end='', flush=True)
if number == 1: os._exit(7)
if number == 2: os.kill(os.getpid(), 9)
";
    let ran = run_python(&place, &["-n", "4", "--json", "--reduce", "wc -c"], script);
    let json = ran.json();
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(ran.stdout, "6\n");
    assert_eq!((&json["asked"], &json["succeeded"]), (&4.into(), &2.into()));
    let kinds: Vec<_> = (0..4)
        .map(|id| json["clones"][id]["outcome"].to_string())
        .collect();
    assert_eq!(
        kinds,
        [
            r#"{"kind":"exited","code":0}"#,
            r#"{"kind":"exited","code":7}"#,
            r#"{"kind":"signaled","signal":9}"#,
            r#"{"kind":"exited","code":0}"#,
        ]
        .map(|text| serde_json::from_str::<serde_json::Value>(text)
            .expect("valid")
            .to_string())
    );
    assert_eq!(json["clones"][3]["usage"]["stdout_bytes"], 3);
    assert_eq!(json["reducer"]["outcome"]["code"], 0);
    assert!(json["ready_us"].as_u64() > Some(0) && json["report"]["guarantees"].is_array());

    let ran = run_python(&place, &["-n", "4"], script);
    let rows: Vec<_> = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("    "))
        .collect();
    assert_eq!(rows.len(), 2, "those that failed: {ran:?}");
    assert!(rows[0].contains("1  exited with status 7") && rows[1].contains("2  ended by signal 9"));
    let ran = run_python(&place, &["-n", "4", "--table"], script);
    let rows = ran.stderr.lines().filter(|line| line.starts_with("    "));
    assert_eq!(rows.count(), 4, "{ran:?}");
}

#[test]
fn a_volume_is_there_for_the_program_and_its_clones() {
    needs!("python3");
    let place = Harness::new();
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    let script = "
import pathlib, sandbox_fork
loaded = pathlib.Path('/data/before').exists()
number = sandbox_fork.ready()
pathlib.Path(f'/data/{number}').write_text('x')
print(loaded)
";
    run_python(&place, &["-n", "2", "-q", "--volume", "data:/data"], script).prints("False\nFalse\n");
    for number in ["0", "1"] {
        let file = format!("data:/{number}");
        place.sandbox(["volume", "cat", &file]).prints("x");
    }
}

#[test]
fn a_volume_with_a_quota_is_served_to_the_program_and_its_clones() {
    needs!("python3");
    if let Some(reason) = no_fuse() {
        skip!(name_of!(), "{reason}");
    }
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "small", "--quota", "1M"])
        .prints("small\n");
    let fills = "
import sandbox_fork
sandbox_fork.ready()
try:
    open('/data/file', 'wb').write(bytes(2 << 20))
except OSError as error:
    print(error.strerror)
";
    let ran = run_python(&place, &["-n", "1", "-q", "--volume", "small:/data"], fills);
    assert!(
        ran.stdout == "Disk quota exceeded\n" || ran.stdout == "No space left on device\n",
        "{ran:?}"
    );
}

#[test]
fn a_user_s_own_copy_of_header_and_module_is_written_once_and_never_over_something_else() {
    let place = Harness::new();
    let into = place.root().join("runtime");
    let write = || place.sandbox(["fork".as_ref(), "--runtime".as_ref(), into.as_os_str()]);
    assert_eq!(write().status, 0);
    assert_eq!(write().status, 0);
    for name in ["sandbox_fork.py", "sandbox_fork.h", "libsandbox_fork.so"] {
        assert!(into.join(name).is_file(), "{name}");
    }
    fs::write(into.join("sandbox_fork.py"), "mine").expect("write");
    write().says(125, &["sandbox_fork.py: File exists"]);
    assert_eq!(
        fs::read_to_string(into.join("sandbox_fork.py")).expect("there"),
        "mine"
    );
}

#[test]
fn each_clone_edits_a_branch_of_its_own_and_one_of_them_is_kept() {
    needs!("python3");
    let place = Harness::new();
    if !has_overlays(&place, name_of!()) {
        return;
    }
    place.write("work/file", "from the base\n");
    place.write("work/sub/other", "moved\n");
    let script = "
import os, sandbox_fork
with open('file', 'a') as file: file.write('from the program\\n')
number = sandbox_fork.ready()
with open('file', 'a') as file: file.write(f'from clone {number}\\n')
os.rename('sub/other', f'moved-{number}')
print(open('file').read().count('\\n'), sorted(os.listdir('.')))
";
    let ran = run_python(&place, &["-n", "3", "--branch-per-clone=try", "--table"], script);
    ran.prints("3 ['file', 'moved-0', 'sub']\n3 ['file', 'moved-1', 'sub']\n3 ['file', 'moved-2', 'sub']\n");
    for branch in ["try-1", "try-2", "try-3"] {
        assert!(ran.stderr.contains(branch), "{ran:?}");
    }
    let file = place.work().join("file");
    assert_eq!(fs::read_to_string(&file).expect("there"), "from the base\n");
    place.sandbox(["branch", "commit", "try-2"]).says(0, &[]);
    assert_eq!(
        fs::read_to_string(&file).expect("there"),
        "from the base\nfrom the program\nfrom clone 1\n"
    );
    assert!(place.work().join("moved-1").is_file() && !place.work().join("sub/other").exists());
    let json = run_python(
        &place,
        &["-n", "1", "--branch-per-clone", "--json"],
        "import sandbox_fork; sandbox_fork.ready()",
    )
    .json();
    assert!(json["clones"][0]["branch"].is_string(), "{json}");
}

/// Whether branches are overlays of the kernel here; says why not.
fn has_overlays(place: &Harness, name: &str) -> bool {
    let tried = place.sandbox(["run", "--branch=tried", "--branch-mode=kernel", "--", "true"]);
    place.sandbox(["branch", "discard", "tried"]);
    if tried.status != 0 {
        crate::harness::skipped(name, &tried.stderr);
    }
    tried.status == 0
}

#[test]
fn branches_of_clones_are_compared_merged_and_discarded_as_any_others_also_when_all_was_killed() {
    needs!("python3");
    let place = Harness::new();
    if !has_overlays(&place, name_of!()) {
        return;
    }
    place.write("work/file", "from the base\n");
    let script = "
import os, sandbox_fork, sys, time
open('loaded', 'w').write('x')
number = sandbox_fork.ready()
open(f'own-{number}', 'w').write('x')
print(number, flush=True)
time.sleep(1000)
";
    let mut child = super::start(&mut super::python(
        &place,
        &["-n", "2", "--branch-per-clone=try"],
        script,
    ));
    let mut said = [0; 2];
    let stdout = child.stdout.as_mut().expect("piped");
    std::io::Read::read_exact(stdout, &mut said).expect("the first one runs");
    // It is in use as long as its clone lives, and cannot be forked from.
    let ready = "import sandbox_fork; sandbox_fork.ready()";
    run_python(&place, &["-n", "1", "--branch-per-clone=try"], ready)
        .says(125, &["branch try is in use", "--branch-per-clone=NAME"]);
    place
        .sandbox(["branch", "discard", "try-1"])
        .says(1, &["branch try-1 is in use"]);
    child.kill().expect("our child");
    child.wait().expect("our child");
    let free = || place.sandbox(["branch", "list"]);
    super::ends::eventually("they are free", || !free().stdout.contains("in use"));
    let diff = place.sandbox(["branch", "diff", "try-1", "--stat"]);
    assert!(
        diff.stdout.contains("loaded") && diff.stdout.contains("own-0"),
        "{diff:?}"
    );
    place
        .sandbox(["branch", "merge", "try-1", "try-2", "--into", "both"])
        .says(0, &[]);
    place.sandbox(["branch", "commit", "both"]).says(0, &[]);
    for name in ["loaded", "own-0", "file"] {
        assert!(place.work().join(name).is_file(), "{name}");
    }
    place.sandbox(["branch", "discard", "--all"]).says(0, &[]);
    assert!(!free().stdout.contains("try"), "{:?}", free());
}

#[test]
fn a_file_that_is_open_for_writing_when_the_program_is_ready_is_named_and_a_directory_shows_what_it_showed() {
    needs!("python3");
    let place = Harness::new();
    if !has_overlays(&place, name_of!()) {
        return;
    }
    let script = "import sandbox_fork; log = open('log', 'w'); sandbox_fork.ready()";
    let flags = ["-n", "2", "--branch-per-clone=open"];
    run_python(&place, &flags, script).says(125, &["open for writing", "work/log", "hint: close them"]);
    let script = "
import os, sandbox_fork
directory = os.open('.', os.O_RDONLY)
number = sandbox_fork.ready()
open('own', 'w').close()
try: os.open('other', os.O_CREAT | os.O_WRONLY, dir_fd=directory)
except OSError as error: print(error.strerror, os.listdir(directory), os.listdir('.'))
";
    run_python(&place, &["-n", "1", "--branch-per-clone=at"], script)
        .prints("Read-only file system [] ['own']\n");
}

#[test]
fn a_program_that_is_not_ready_leaves_no_branch_behind() {
    needs!("python3");
    let place = Harness::new();
    let ran = run_python(&place, &["-n", "2", "--branch-per-clone=left"], "pass");
    assert_eq!(ran.status, 125, "{ran:?}");
    let listed = place.sandbox(["branch", "list"]);
    assert!(!listed.stdout.contains("left"), "{listed:?}");
}
