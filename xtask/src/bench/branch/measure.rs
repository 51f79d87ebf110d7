//! Every workload in every way, in turn.

use std::time::{Duration, Instant};

use super::{
    Scale,
    site::{Site, remove},
    ways::{Ground, Way},
    workloads::{self, Touch, Workload},
};
use crate::{
    bench::{BenchError, figures::Figures},
    error::{Error, Result},
};

/// A workload gets so many rounds, and more until its time is over.
struct Budget {
    rounds: usize,
    time: Duration,
}

const MOST_ROUNDS: usize = 9;

/// What one step took, in each way.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) touch: Touch,
    pub(super) times: Vec<(Way, Times)>,
}

/// Of one step in one way.
pub(super) struct Times {
    pub(super) wall: Figures,
    /// What others take of the machine is not in it; neither is what a server does for the step.
    pub(super) cpu: Figures,
}

impl Times {
    pub(super) fn seconds(&self) -> f64 {
        self.wall.median().as_secs_f64()
    }

    fn of(stops: &[Stopped]) -> Self {
        Self {
            wall: Figures::of(stops.iter().map(|stop| stop.took).collect()),
            cpu: Figures::of(stops.iter().map(|stop| stop.cpu).collect()),
        }
    }
}

/// The rows of one workload, and why a way is missing.
pub(super) struct Measured {
    pub(super) rows: Vec<Row>,
    pub(super) left_out: Vec<(Way, String)>,
    /// Why all of it is missing.
    pub(super) failure: Option<(&'static str, String)>,
}

pub(super) fn all(site: &Site, scale: Scale) -> Result<Vec<Measured>> {
    let budget = match scale {
        Scale::Full => Budget {
            rounds: 3,
            time: Duration::from_secs(30),
        },
        Scale::Quick => Budget {
            rounds: 1,
            time: Duration::from_secs(2),
        },
    };
    workloads::all(scale)
        .iter()
        .map(|workload| one(site, workload, &budget))
        .collect()
}

fn one(site: &Site, workload: &Workload, budget: &Budget) -> Result<Measured> {
    println!("workload {}", workload.name);
    let ground = Ground {
        site,
        dir: site.path(workload.name),
    };
    site.make_dir(&ground.dir)?;
    let made = make(&ground, workload);
    let measured = match made {
        Ok(()) => rounds(&ground, workload, budget),
        Err(error) => failed(error).map(|why| Measured {
            rows: Vec::new(),
            left_out: Vec::new(),
            failure: Some((workload.name, why)),
        }),
    };
    remove(&ground.dir)?;
    measured
}

fn make(ground: &Ground<'_>, workload: &Workload) -> Result<()> {
    for tree in [ground.base(), ground.plain()] {
        ground.site.make_dir(&tree)?;
        ground.site.script(&tree, &workload.setup)?;
    }
    Ok(())
}

/// A failure of the program that was run is a reason to leave it out; any other one is a failure of ours.
fn failed(error: Error) -> Result<String> {
    match error {
        Error::Bench(BenchError::Run { why, .. }) => Ok(why),
        error => Err(error),
    }
}

fn rounds(ground: &Ground<'_>, workload: &Workload, budget: &Budget) -> Result<Measured> {
    let steps = workload.steps.len();
    let script = script_of(workload);
    let mut ways: Vec<(Way, Vec<Vec<Stopped>>)> = Way::installed()
        .into_iter()
        .map(|way| (way, (0..steps).map(|_| Vec::new()).collect()))
        .collect();
    let mut left_out = Vec::new();
    let start = Instant::now();
    for round in 0..MOST_ROUNDS {
        if round >= budget.rounds && start.elapsed() > budget.time {
            break;
        }
        // Each comes after every other in turn: what one leaves to the disk's cache falls on all alike.
        let count = ways.len();
        for position in 0..count {
            let Some((way, times)) = ways.get_mut((position + round) % count) else {
                continue;
            };
            if (round > 0 && way.is_slow()) || left_out.iter().any(|(out, _)| out == way) {
                continue;
            }
            match once(ground, workload, *way, &script) {
                Ok(took) => times
                    .iter_mut()
                    .zip(took)
                    .for_each(|(times, took)| times.push(took)),
                Err(error) => left_out.push((*way, failed(error)?)),
            }
        }
    }
    let rows = workload.steps.iter().enumerate().map(|(number, step)| Row {
        name: step.name.clone(),
        touch: step.touch,
        times: ways
            .iter()
            .filter_map(|(way, stops)| Some((*way, Times::of(stops.get(number)?))))
            .filter(|(_, times)| times.wall.count() > 0)
            .collect(),
    });
    Ok(Measured {
        rows: rows.collect(),
        left_out,
        failure: None,
    })
}

fn script_of(workload: &Workload) -> String {
    let steps = workload.steps.iter();
    let lines: Vec<String> = steps.map(|step| format!("stopwatch {}", step.command)).collect();
    lines.join("\n")
}

fn once(ground: &Ground<'_>, workload: &Workload, way: Way, script: &str) -> Result<Vec<Stopped>> {
    let printed = ground.run(way, script)?;
    if way.native() == way {
        ground.site.script(&ground.plain(), workload.reset)?;
    }
    let stops: Vec<Stopped> = printed.lines().filter_map(Stopped::parse).collect();
    if stops.len() == workload.steps.len() {
        return Ok(stops);
    }
    Err(BenchError::Answer {
        program: way.name().to_owned(),
        answer: printed,
    }
    .into())
}

/// A line of `xtask/bench/stopwatch.c`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stopped {
    pub(super) took: Duration,
    /// User and system time of it and all that it started.
    pub(super) cpu: Duration,
    pub(super) resident_kib: u64,
}

impl Stopped {
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut number = || words.next()?.parse().ok();
        let stopped = Self {
            took: Duration::from_nanos(number()?),
            cpu: Duration::from_nanos(number()?),
            resident_kib: number()?,
        };
        words.next().is_none().then_some(stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_stopwatch_is_a_time_and_a_size() {
        let stopped = Stopped {
            took: Duration::from_micros(7),
            cpu: Duration::from_micros(5),
            resident_kib: 1652,
        };
        assert_eq!(Stopped::parse("7000 5000 1652"), Some(stopped));
        assert_eq!(Stopped::parse("On branch main by"), None);
    }
}
