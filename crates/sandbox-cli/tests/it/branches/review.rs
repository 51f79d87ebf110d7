//! Choosing what is committed on a terminal, as a person does.

use crate::terminal::Session;

/// Two hundred changed files, one hook of an editor that is held back, one that is no text.
const MANY: &str = r#"
export TERM=xterm
for i in $(seq 100 299); do echo one > file-$i; done
"$S" run -q --branch=x -- sh -c 'for f in file-*; do echo two >> $f; done; mkdir .vscode
    echo "{}" > .vscode/tasks.json; head -c 2000 /dev/zero > data'
"#;

fn session(then: &str) -> Session {
    let session = Session::new(&format!("{MANY}{then}"));
    session.resize(20, 100);
    session
}

const COMMIT: &str =
    r#""$S" branch commit x -i; echo status $?; cat file-107 | tail -n 1; stty -a | grep -o ' echo '"#;

#[test]
fn a_person_chooses_one_of_many_changes_on_a_screen() {
    let mut session = session(COMMIT);
    session.expect("202 of 203 chosen · 1 held back");
    session.expect("space choose");
    session.type_in(b"n");
    session.expect("0 of 203 chosen");
    session.type_in(b"c");
    session.expect("nothing is chosen");
    session.type_in(b"/107\r");
    session.expect("only 107");
    session.type_in(b"s");
    session.expect("+two");
    session.type_in(b" q");
    session.expect("1 of 203 chosen");
    session.type_in(b"c");
    session.expect("committed c1 (1 change)");
    session.expect("status 0\r\ntwo\r\n echo ");
}

#[test]
fn what_is_held_back_is_asked_about() {
    let mut session = session(COMMIT);
    session.expect("space choose");
    session.type_in(b"A");
    session.expect("203 of 203 chosen");
    session.type_in(b"c");
    session.expect("1 held back. Commit it all the same? y/n");
    session.type_in(b"n");
    session.expect("space choose");
    session.type_in(b"cy");
    session.expect("committed c1 (203 changes)");
}

#[test]
fn leaving_the_screen_commits_nothing_and_gives_the_terminal_back() {
    for keys in [&b"\x03"[..], b"q", b"s\x03", b"/file\x03", b"?\x1bq"] {
        let mut session = session(COMMIT);
        session.expect("space choose");
        session.type_in(keys);
        session.expect("nothing committed");
        session.expect("status 0\r\none\r\n echo ");
    }
}

#[test]
fn a_terminal_that_is_resized_is_painted_anew() {
    let mut session = session(COMMIT);
    session.expect("space choose");
    session.type_in(b"G");
    session.expect("> \u{1b}[32m[x]");
    session.expect("file-299");
    session.resize(8, 40);
    // The cursor's line is still there, and what is too long is cut.
    session.expect("file-299");
    session.expect("space choose · enter show · a all · n n…");
    session.resize(3, 10);
    session.expect("x");
    session.type_in(b"q");
    session.expect("status 0");
}

const ASK: &str = r#""$S" run --branch=y --on-success=ask -- sh -c 'echo two > file-100; rm file-101'; echo status $?
ls file-101; "$S" branch list"#;

#[test]
fn at_the_end_of_a_run_a_branch_is_committed_in_part_and_kept() {
    let mut session = session(ASK);
    session.expect("2 of 2 chosen");
    session.expect("q keep · d discard");
    session.type_in(b" c");
    session.expect("committed c1 (1 change)");
    session.expect("status 0");
    session.expect("cannot access");
    session.expect("y  ");
}

#[test]
fn at_the_end_of_a_run_a_branch_is_dropped_or_kept() {
    let mut dropped = session(ASK);
    dropped.expect("q keep · d discard");
    dropped.type_in(b"d");
    dropped.expect("drop the branch");
    dropped.type_in(b"y");
    dropped.expect("discarded y");
    dropped.expect("status 0\r\nfile-101");
    let mut kept = session(ASK);
    kept.expect("q keep · d discard");
    kept.type_in(b"\x03");
    kept.expect("branch y is kept");
    kept.expect("status 0\r\nfile-101");
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_is_asked_line_by_line() {
    let mut session = session(&format!("export TERM=dumb\n{COMMIT}"));
    session.expect("[1/203] commit this?");
    session.type_in(b"?\n");
    session.expect("leave it and the rest out");
    session.type_in(b"s\n");
    session.expect("  directory");
    session.type_in(b"q\n");
    session.expect("status 0");
}
