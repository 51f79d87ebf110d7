//! Templates with much memory: what a fork of them costs, and what the first write to it costs their clones.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use super::forker::Forker;
use crate::{
    bench::{account::Account, figures::Figures, figures::millis},
    error::Result,
};

/// MiB, how often it is forked at once in huge pages, and in small ones.
pub(super) const SIZES: &[(u32, u32, u32)] = &[(256, 100, 20), (2048, 20, 3)];

/// Programs, and the pages that their memory is in.
const WAYS: [(&str, &str); 4] = [
    ("sandbox", "huge"),
    ("bare", "huge"),
    ("sandbox", "4k"),
    ("bare", "4k"),
];

/// So often a clone writes to all of its memory, which takes long.
const WRITES: u32 = 3;

/// One size.
pub(super) struct Large {
    mib: u32,
    ways: Vec<Way>,
}

/// Times of one clone: until it ran, and until it had written to every page.
struct Way {
    program: &'static str,
    pages: &'static str,
    fork: Figures,
    write: Figures,
}

pub(super) fn measure(
    account: &Account,
    [ours, bare]: [&Path; 2],
    (mib, huge, small): (u32, u32, u32),
    rounds: u32,
) -> Result<Large> {
    let path = |program| if program == "bare" { bare } else { ours };
    let mut running = Vec::new();
    for (program, pages) in WAYS {
        let forker = Forker::start(account, path(program), (mib, pages), "end")?;
        running.push((forker, Vec::new()));
    }
    // In turn, so that all see the same machine; the first round warms up.
    for _ in 0..=rounds {
        for ((forker, forks), (_, pages)) in running.iter_mut().zip(WAYS) {
            let count = if pages == "huge" { huge } else { small };
            forks.push(forker.ask("fork", count)?.0 / count);
        }
    }
    let figures = |times: Vec<Duration>| Figures::of(times.into_iter().skip(1).collect());
    let forks: Vec<_> = running.into_iter().map(|(_, forks)| figures(forks)).collect();
    let mut ways = Vec::new();
    for ((program, pages), fork) in WAYS.into_iter().zip(forks) {
        let mut forker = Forker::start(account, path(program), (mib, pages), "write")?;
        let mut writes = Vec::new();
        for _ in 0..=WRITES {
            writes.push(forker.ask("write", 1)?.1);
        }
        ways.push(Way {
            program,
            pages,
            fork,
            write: figures(writes),
        });
    }
    Ok(Large { mib, ways })
}

impl Large {
    pub(super) fn print(&self) {
        for way in &self.ways {
            let bound = |pages| {
                let bare = self
                    .ways
                    .iter()
                    .find(|way| (way.program, way.pages) == ("bare", pages));
                bare.and_then(|bare| bare.fork.ratio_to(&way.fork)).unwrap_or(0.0)
            };
            println!(
                "{:>5} MiB {:<7} {:>4} pages {:>7.0}/s ({:.0}-{:.0})  x bare huge {:>5.2}  x bare 4k {:>6.2}  \
                 first write to every page {:>7.1} ms",
                self.mib,
                way.program,
                way.pages,
                rate(way.fork.median()),
                rate(way.fork.max()),
                rate(way.fork.min()),
                bound("huge"),
                bound("4k"),
                millis(way.write.median()),
            );
        }
    }

    pub(super) fn figures(&self) -> Value {
        let rows = self.ways.iter().map(|way| {
            json!({
                "mib": self.mib, "program": way.program, "pages": way.pages,
                "per_second": rate(way.fork.median()), "write_ms": millis(way.write.median()),
            })
        });
        rows.collect()
    }
}

fn rate(time: Duration) -> f64 {
    1.0 / time.as_secs_f64()
}
