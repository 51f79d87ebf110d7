//! Commands in sandboxes that were ready, and bare ones, in turn.

use serde_json::{Value, json};

use super::forker::Forker;
use crate::bench::{account::Account, figures::Figures, peer::command_as, tools};
use crate::error::{Error, Result};
use crate::scratch::Scratch;

/// What is asked for, in the order in which it is printed.
const REQUESTS: [&str; 4] = ["bare", "pool", "steady", "take"];

/// Times of each request.
pub(super) type Measured = Vec<(&'static str, Figures)>;

pub(super) fn measure(account: &Account, rounds: u32, count: u32) -> Result<Measured> {
    let scratch = Scratch::new(std::path::Path::new("/tmp"), "sandbox-bench-pool")?;
    let driver = scratch.path().join("pool_driver");
    let built = tools::build_example("pool_driver")?;
    std::fs::copy(&built, &driver).map_err(Error::io(&built))?;
    let mut command = command_as(account, &driver);
    command.current_dir("/");
    let mut forker = Forker::of(command, &driver)?;
    let mut all = REQUESTS.map(|request| (request, Vec::new()));
    for _ in 0..rounds {
        for (request, times) in &mut all {
            // A sandbox that was handed out is not given back.
            let count = if *request == "take" { count.min(16) } else { count };
            times.extend(forker.times(request, count)?);
        }
    }
    Ok(all
        .into_iter()
        .map(|(request, times)| (request, Figures::of(times)))
        .collect())
}

pub(super) fn print(measured: &Measured) {
    println!(
        "/bin/true in a sandbox that was ready (pool), without waiting for the pool to fill (steady), and bare"
    );
    let bare = measured.iter().find(|(request, _)| *request == "bare");
    for (request, figures) in measured {
        let micros = |per_mille| figures.per_mille(per_mille).as_nanos() / 1000;
        let ratio = bare.and_then(|(_, bare)| figures.ratio_to(bare));
        println!(
            "{request:<8} median {:>6} µs  90% {:>6} µs  least {:>6} µs  ratio to bare {:.2}",
            micros(500),
            micros(900),
            figures.min().as_nanos() / 1000,
            ratio.unwrap_or(0.0),
        );
    }
}

pub(super) fn figures(measured: &Measured) -> Value {
    let rows = measured.iter().map(|(request, figures)| {
        let nanos = |per_mille| u64::try_from(figures.per_mille(per_mille).as_nanos()).unwrap_or(u64::MAX);
        json!({ "request": request, "median": nanos(500), "p90": nanos(900), "count": figures.count() })
    });
    rows.collect()
}
