//! Outputs of any number of clones in one place, so many of which live at once.

use sandbox_confine::{ForkError, ForkOptions, Gathered, Gatherer, Policy, ReduceError};
use sandbox_types::Outcome;

use super::programs::{needs_python, python, python_under};
use super::results;
use crate::harness::{DEADLINE, Place, needs_namespaces, needs_program};

#[test]
fn outputs_of_several_forks_are_gathered_in_order() {
    needs_python!();
    let place = Place::new();
    let mut template = python("import sandbox_fork; print(sandbox_fork.ready())").expect("a template");
    let path = place.path().join("gathered");
    let mut gatherer = Gatherer::into(std::fs::File::create(&path).expect("ours"));
    let mut ended = 0;
    for first in [0, 3, 6] {
        let mut clones = template
            .fork_with(3, &ForkOptions::default().first(first))
            .expect("clones");
        let results = gatherer
            .feed(&mut clones, |_, outcome| ended += i32::from(outcome.success()))
            .expect("gathered");
        assert_eq!(results.len(), 3);
    }
    assert!(gatherer.finish().expect("no command").is_none());
    assert_eq!(ended, 9);
    let text = std::fs::read_to_string(path).expect("written");
    assert_eq!(text, "0\n1\n2\n3\n4\n5\n6\n7\n8\n");
    let beyond = ForkOptions::default().first(u32::MAX);
    assert!(matches!(
        template.fork_with(2, &beyond),
        Err(ForkError::Numbers { .. })
    ));
    assert_eq!(
        results(template.fork_with(1, &beyond).expect("the last number")).len(),
        1
    );
}

#[test]
fn any_number_of_clones_is_gathered_in_order_so_many_at_once() {
    needs_python!();
    let place = Place::new();
    // Number 40 waits for one that is not forked before 39 others have ended.
    let script = "
import os, sandbox_fork, time
number = sandbox_fork.ready()
while number == 40 and not os.path.exists('/tmp/80'): time.sleep(0.01)
open(f'/tmp/{number}', 'w').close()
print(number)";
    let mut template = python(script).expect("a template");
    let path = place.path().join("gathered");
    let mut gatherer = Gatherer::into(std::fs::File::create(&path).expect("ours"));
    let (mut ended, mut results) = (Vec::new(), Vec::new());
    let options = ForkOptions::default().first(20);
    let gathered = gatherer.feed_from(&mut template, 100, 4, &options, |gathered| match gathered {
        Gathered::Ended { id, .. } => ended.push(id),
        Gathered::Result { id, result, .. } => results.push((id, result.outcome.success())),
        other => panic!("{other:?}"),
    });
    gathered.expect("gathered");
    let numbers = || 20..120_u32;
    assert_eq!(results, numbers().map(|id| (id, true)).collect::<Vec<_>>());
    let place_of = |id| ended.iter().position(|ended| *ended == id);
    assert!(place_of(70) < place_of(40), "{ended:?}");
    let expected: Vec<_> = numbers().map(|id| format!("{id}\n")).collect();
    assert_eq!(std::fs::read_to_string(path).expect("written"), expected.concat());
}

#[test]
fn clones_that_have_ended_before_they_are_looked_at_make_room_for_the_next() {
    needs_python!();
    // Number 0 waits for the last one, and nothing else happens when all that were forked since have ended.
    let script = "
import os, sandbox_fork, time
number = sandbox_fork.ready()
while number == 0 and not os.path.exists('/tmp/last'): time.sleep(0.01)
if number == 299: open('/tmp/last', 'w').close()
os._exit(0)";
    let policy = Policy::builder().wall_time(DEADLINE).build().expect("valid");
    let mut template = python_under(&policy, script).expect("a template");
    let mut gatherer = Gatherer::into(std::fs::File::create("/dev/null").expect("there"));
    let mut results = Vec::new();
    let gathered = gatherer.feed_from(&mut template, 300, 2, &ForkOptions::default(), |gathered| {
        if let Gathered::Result { id, result, .. } = gathered {
            results.push((id, result.outcome));
        }
    });
    gathered.expect("gathered");
    let all = (0..300).map(|id| (id, Outcome::Exited { code: 0 }));
    assert_eq!(results, all.collect::<Vec<_>>());
}

#[test]
fn clones_that_cannot_be_are_an_error_of_whoever_gathers_them() {
    needs_python!();
    let mut template = python("import sandbox_fork; sandbox_fork.ready()").expect("a template");
    let mut gather = |count, at_once, first| {
        let mut gatherer = Gatherer::into(std::fs::File::create("/dev/null").expect("there"));
        let options = ForkOptions::default().first(first);
        let gathered = gatherer.feed_from(&mut template, count, at_once, &options, |_| {});
        match gathered {
            Err(ReduceError::Fork(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert!(gather(0, 4, 0).starts_with("0 clones were asked for"));
    assert!(gather(4, 0, 0).starts_with("0 clones were asked for"));
    assert!(gather(1_000_000, 1_000_000, 0).starts_with("1000000 clones were asked for, and 8192"));
    assert!(gather(2, 2, u32::MAX).starts_with("2 clones from number 4294967295 on"));
}
