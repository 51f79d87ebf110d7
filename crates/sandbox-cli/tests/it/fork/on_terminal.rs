//! On a terminal: a bar while clones end, and Ctrl-C.

use super::needs;
use crate::terminal::Session;

#[test]
fn a_bar_shows_how_many_have_ended_and_leaves_the_line_to_what_comes_then() {
    needs!("python3", "setsid");
    let mut session = Session::new(
        "TERM=xterm $S fork -n 60 --parallel 3 --reduce 'wc -l' -- python3 -c '
import sandbox_fork, time
number = sandbox_fork.ready()
time.sleep(0.1)
print(number)'
echo status $?",
    );
    session.expect("clones [");
    session.expect("/60");
    session.expect("60\r\n");
    session.expect("60 clones, all succeeded in ");
    session.expect("status 0");
}

#[test]
fn ctrl_c_ends_all_of_it_and_the_shell_goes_on() {
    needs!("python3", "setsid");
    let mut session = Session::new(
        "$S fork -n 5 -- python3 -c '
import os, sandbox_fork, time
if sandbox_fork.ready() == 0: os.write(2, b\"they run\\n\")
time.sleep(1000)'
echo status $?",
    );
    session.expect("they run");
    session.type_in(b"\x03");
    session.expect("interrupted after ");
    session.expect("0 of 5 clones had ended, and none is left");
    session.expect("status 130");
}
