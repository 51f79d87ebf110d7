//! Every step by every contestant, in turn.

use std::{collections::BTreeMap, time::Duration};

use super::{
    contestants::Contestant,
    ground::Ground,
    mounted::Mounted,
    steps::{self, Memory, Step},
};
use crate::{
    bench::{BenchError, figures::Figures},
    error::{Error, Result},
    installed, workspace,
};

/// What one contestant took for one step, in every round.
#[derive(Debug, Default)]
struct Samples {
    wall: Vec<Duration>,
    cpu: Vec<Duration>,
}

/// The same, added up.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) wall: Figures,
    /// Of the clients and of the server.
    pub(super) cpu: Figures,
}

/// A step, and what each contestant took for it, in their order.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) step: Step,
    pub(super) times: Vec<(&'static Contestant, Times)>,
}

pub(super) struct Measured {
    pub(super) rows: Vec<Row>,
    /// Who did not do something, and why: of the first failure.
    pub(super) left_out: Vec<(&'static str, String)>,
}

type Sampled = BTreeMap<(usize, usize), Samples>;

pub(super) fn all(
    ground: &Ground,
    contestants: &[&'static Contestant],
    wanted: &[String],
    rounds: usize,
) -> Result<Measured> {
    let mut steps = steps::all(&ground.sizes);
    steps.retain(|step| wanted.is_empty() || wanted.iter().any(|text| step.name.contains(text.as_str())));
    let mut left_out = Vec::new();
    let there: Vec<&'static Contestant> = contestants
        .iter()
        .copied()
        .filter(|contestant| is_there(contestant, &mut left_out))
        .collect();
    let mut sampled = Sampled::new();
    for round in 0..rounds {
        for position in 0..there.len() {
            let number = (position + round) % there.len();
            let Some(contestant) = there.get(number) else {
                continue;
            };
            println!("round {}: {}", round + 1, contestant.name);
            bout(ground, contestant, &steps, &mut |step, stopped| match stopped {
                Ok((wall, cpu)) => {
                    let samples = sampled.entry((step, number)).or_default();
                    samples.wall.push(wall);
                    samples.cpu.push(cpu);
                }
                Err(why) => {
                    if !left_out.iter().any(|(name, _)| *name == contestant.name) {
                        left_out.push((contestant.name, why));
                    }
                }
            })?;
        }
    }
    let rows = steps
        .into_iter()
        .enumerate()
        .map(|(number, step)| Row {
            step,
            times: times(&there, number, &mut sampled),
        })
        .collect();
    Ok(Measured { rows, left_out })
}

fn is_there(contestant: &Contestant, left_out: &mut Vec<(&'static str, String)>) -> bool {
    let has = |name: &&str| workspace::has_program(name) || installed::bin().join(name).exists();
    match contestant.needs.iter().find(|name| !has(name)) {
        None => true,
        Some(missing) => {
            left_out.push((contestant.name, format!("{missing} is not installed")));
            false
        }
    }
}

fn times(
    contestants: &[&'static Contestant],
    step: usize,
    sampled: &mut Sampled,
) -> Vec<(&'static Contestant, Times)> {
    let numbered = contestants.iter().enumerate();
    let found = numbered.filter_map(|(number, contestant)| {
        let samples = sampled.remove(&(step, number))?;
        let times = Times {
            wall: Figures::of(samples.wall),
            cpu: Figures::of(samples.cpu),
        };
        Some((*contestant, times))
    });
    found.collect()
}

/// Wall and processor time, or why there is none.
type Stopped = Result<(Duration, Duration), String>;

/// One mount, and every step in it. A contestant that fails at something goes on with the next step.
fn bout(
    ground: &Ground,
    contestant: &Contestant,
    steps: &[Step],
    tell: &mut dyn FnMut(usize, Stopped),
) -> Result<()> {
    let mounted = match Mounted::start(ground, contestant) {
        Ok(mounted) => mounted,
        Err(Error::Bench(BenchError::Run { why, .. })) => {
            tell(0, Err(why));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for (number, step) in steps.iter().enumerate() {
        let stopped = match timed(ground, &mounted, step) {
            Ok(stopped) => Ok(stopped),
            Err(BenchError::Run { why, .. }) => Err(format!("{}: {why}", step.name)),
            Err(error) => return Err(error.into()),
        };
        tell(number, stopped);
    }
    drop(mounted);
    ground.script(&ground.root(contestant.place), steps::RESET)?;
    Ok(())
}

fn timed(ground: &Ground, mounted: &Mounted<'_>, step: &Step) -> Result<(Duration, Duration), BenchError> {
    if !step.before.is_empty() {
        ground.script(mounted.directory(), &step.before)?;
    }
    if step.memory == Memory::Cold {
        mounted.cool()?;
    }
    let before = mounted.spent();
    let answer = ground.script(mounted.directory(), &step.command)?;
    let server = mounted.spent().saturating_sub(before);
    match parse(&answer) {
        Some((wall, cpu)) => Ok((wall, cpu + server)),
        None => Err(BenchError::Answer {
            program: step.name.clone(),
            answer,
        }),
    }
}

/// "WALL CPU …", in nanoseconds, as fsload and stopwatch print it.
fn parse(answer: &str) -> Option<(Duration, Duration)> {
    let mut words = answer.split_whitespace();
    let mut number = || words.next()?.parse().ok().map(Duration::from_nanos);
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_print_two_times_first() {
        let expect = Some((Duration::from_nanos(7), Duration::from_nanos(5)));
        assert_eq!(parse("7 5\n"), expect);
        assert_eq!(parse("7 5 1652\n"), expect);
        assert_eq!(parse("done\n"), None);
    }
}
