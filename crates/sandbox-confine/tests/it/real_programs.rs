//! Programs that people run, behind the default walls.

use sandbox_confine::{Policy, Sandbox};

use crate::harness::{Place, both, name_of_test, needs_program, sh_under, skip, stdout};

#[test]
fn python_loads_its_libraries() {
    needs_program!("python3");
    let script = "import json, ssl, sqlite3, tempfile, multiprocessing\n\
                  sqlite3.connect(':memory:').execute('select 1')\n\
                  tempfile.NamedTemporaryFile()\nssl.create_default_context()\n\
                  multiprocessing.Lock()\nprint(6 * 7)";
    let result = Sandbox::command(&Policy::default(), "python3")
        .args(["-c", script])
        .output()
        .expect("runs");
    assert_eq!(stdout(&result), "42\n", "{}", both(&result));
}

#[test]
fn a_compiler_compiles_and_the_program_runs() {
    needs_program!("cc");
    let place = Place::new();
    place.file(
        "hello.c",
        "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n",
    );
    let policy = Policy::builder()
        .write(place.path())
        .cwd(place.path())
        .build()
        .expect("valid");
    assert_eq!(
        stdout(&sh_under(&policy, "cc -o hello hello.c && ./hello")),
        "hello\n"
    );
}

#[test]
fn git_makes_a_repository_commits_and_shows_its_status() {
    needs_program!("git");
    let place = Place::new();
    let policy = Policy::builder()
        .write(place.path())
        .cwd(place.path())
        .build()
        .expect("valid");
    let script = "git init -q . && git config user.email a@b && git config user.name n && echo x > f && \
                  git add f && git commit -qm first && echo y > g && git status --porcelain && git log --oneline | wc -l";
    let result = sh_under(&policy, script);
    assert_eq!(
        stdout(&result).split_whitespace().collect::<Vec<_>>(),
        ["??", "g", "1"],
        "{}",
        both(&result)
    );
}

#[test]
fn node_runs_with_threads_and_timers() {
    needs_program!("node");
    let script = "setTimeout(() => require('crypto').pbkdf2('a', 'b', 1000, 8, 'sha1', (e, k) => \
                  console.log(k.length)), 1)";
    let result = Sandbox::command(&Policy::default(), "node")
        .args(["-e", script])
        .output()
        .expect("runs");
    assert_eq!(stdout(&result), "8\n", "{}", both(&result));
}

#[test]
fn cargo_builds_a_small_crate() {
    needs_program!("cargo");
    needs_program!("cc");
    if !std::process::Command::new("cargo")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return skip(name_of_test!(), "cargo is installed, but does not run");
    }
    let place = Place::new();
    place.file(
        "Cargo.toml",
        "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
    );
    place.file("src/main.rs", "fn main() { println!(\"built\"); }\n");
    let policy = Policy::builder()
        .write(place.path())
        .cwd(place.path())
        .build()
        .expect("valid");
    let result = sh_under(&policy, "cargo build --offline -q && ./target/debug/tiny");
    assert_eq!(stdout(&result), "built\n", "{}", both(&result));
}

#[test]
fn a_pipeline_of_system_tools_works() {
    let policy = Policy::default();
    let script = "seq 1000 | sort -rn | head -1; mktemp >/dev/null && date +%Y >/dev/null && \
                  find /usr/bin -maxdepth 1 -name 'env' | xargs -n1 basename; echo text | sed s/x/s/ | awk '{print $1}'";
    assert_eq!(stdout(&sh_under(&policy, script)), "1000\nenv\ntest\n");
}
