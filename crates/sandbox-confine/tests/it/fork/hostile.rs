//! Templates that speak the protocol of clones themselves, and wrongly: whoever forks them gets an error, in time.

use std::time::{Duration, Instant};

use sandbox_confine::{ForkError, ForkOptions, Sandbox};
use sandbox_types::Outcome;

use super::programs::{needs_python, python};
use crate::harness::{DEADLINE, needs_namespaces, needs_program};

/// A template that speaks the protocol itself; `forks` is what it does when it is to be forked.
fn impostor(forks: &str) -> Sandbox {
    let script = format!(
        "
import array, os, socket, struct, time
wire = socket.socket(fileno=3)
def send(*words): wire.send(struct.pack('<8Q', *(list(words) + [0] * (8 - len(words)))))
def receive():
    data, control, _, _ = wire.recvmsg(64, 512)
    fds = array.array('i')
    for _, _, bytes in control: fds.frombytes(bytes)
    return struct.unpack('<8Q', data), list(fds)
READY, BATCH, CLONE, FORKED, BATCH_END = 16, 33, 35, 36, 42
def entry(place, pid, errno=0): return 1 << 63 | errno << 48 | place << 32 | pid
ends = True
receive()
send(READY, os.getpid())
while True:
    message, fds = receive()
    if message[0] == BATCH_END and ends: send(BATCH_END)
    if message[0] != CLONE: continue
    for word in message[1:]:
        if not word: continue
        place = word >> 32 & 0xffff
{forks}
"
    );
    python(&script).expect("it says that it is ready")
}

#[test]
fn a_template_that_names_what_is_no_clone_gets_an_error_or_a_dead_clone_and_holds_up_nobody() {
    needs_python!();
    for lie in [
        // Process 1, itself, the keeper, nobody, a number that is none, a place that is none.
        "        send(FORKED, entry(place, 1))",
        "        send(FORKED, entry(place, os.getpid()))",
        "        send(FORKED, entry(place, os.getppid()))",
        "        send(FORKED, entry(place, 4194000))",
        "        send(FORKED, entry(place, (1 << 32) - 1))",
        "        send(FORKED, entry(place, 0, 11))",
        "        send(FORKED, entry(0x7fff, 77), entry(place, 0), entry(place, 0))",
    ] {
        let start = Instant::now();
        let mut template = impostor(lie);
        if let Ok(mut clones) = template.fork(3) {
            for clone in &mut clones {
                clone.kill().ok();
            }
        }
        drop(template);
        assert!(start.elapsed() < DEADLINE, "{lie}");
    }
}

#[test]
fn a_template_that_floods_its_keeper_does_not_keep_the_caller_from_ending_it() {
    needs_python!();
    let start = Instant::now();
    let mut template = impostor(
        "        send(FORKED, entry(place, 0, 11))
        wire.setblocking(True)
        for _ in range(5000):
            send(17, 65, 3); send(READY, 1); wire.send(b'x')",
    );
    assert!(matches!(
        template.fork(5),
        Err(ForkError::Clones { .. } | ForkError::TemplateEnded { .. })
    ));
    assert!(template.fork(5).is_err());
    template.kill().expect("it lives");
    drop(template);
    assert!(start.elapsed() < DEADLINE);
}

#[test]
fn a_template_that_dies_when_it_is_to_be_forked_is_an_error() {
    needs_python!();
    let mut template = impostor("        os._exit(3)");
    match template.fork(3) {
        Err(ForkError::TemplateEnded { outcome }) => assert_eq!(outcome, Outcome::Exited { code: 3 }),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_template_that_does_not_go_on_is_ended_in_time_and_that_is_what_the_error_says() {
    needs_python!();
    let options = ForkOptions::default().timeout(Duration::from_millis(300));
    let mut template = impostor("        time.sleep(1000)");
    match template.fork_with(3, &options) {
        Err(error @ ForkError::Stalled { .. }) => {
            let text = error.to_string();
            assert!(text.contains("did not answer within 300ms"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(template.fork(1), Err(ForkError::TemplateEnded { .. })));
}

#[test]
fn a_template_that_does_not_say_that_who_forked_the_clones_has_ended_is_ended_in_time() {
    needs_python!();
    let options = ForkOptions::default().timeout(Duration::from_millis(300));
    let mut template = impostor(
        "        ends = False
        if os.fork() == 0:
            import ctypes
            if ctypes.CDLL(None).setns(fds[0], 0x20000000): os._exit(1)
            clone = os.fork()
            if clone: send(FORKED, entry(place, clone))
            time.sleep(1000)",
    );
    let forked = template.fork_with(1, &options);
    assert!(matches!(forked, Err(ForkError::Stalled { .. })), "{forked:?}");
    assert!(matches!(template.fork(1), Err(ForkError::TemplateEnded { .. })));
}
