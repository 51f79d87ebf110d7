//! `cargo xtask bench start`: how long it takes to start and end /bin/true, in turn with peers.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};

use super::{
    BenchError, Common,
    account::Account,
    figures::{Figures, micros, millis},
    json,
    machine::{Machine, Quiet},
    memory::{self, Memory},
    peer::{Peer, command_as},
    peers::{self, BARE, BWRAP_ALL, CLI, FLOOR, FLOOR_ONCE, PREPARED, Who},
    programs::{self, Program},
    tools::Tools,
};
use crate::error::Result;

/// Ratios to the median of `bwrap --unshare-all` that are to be reached.
const TARGETS: &[(&str, f64)] = &[(CLI, 0.7), (PREPARED, 0.55)];

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// How often each is measured
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// What one peer took.
struct Row {
    name: &'static str,
    figures: Figures,
    /// Why it does not work here.
    failure: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let account = Account::find(args.common.user.as_deref())?;
    let tools = Tools::build()?;
    let work = tools.work_dir("start", &account)?;
    let peers = peers::list(&tools, &account, &work)?;
    let quiet = if args.common.busy {
        Quiet::GoAhead
    } else {
        Quiet::Wait
    };
    let machine = Machine::look(&account, quiet);

    let rounds = usize::try_from(args.rounds).unwrap_or(usize::MAX);
    let rows = measure(&tools, &account, &peers, rounds)?;
    let programs = programs::measure(&tools, &account)?;
    let memory = memory::measure(&tools, &account)?;

    println!();
    machine.print();
    print_rows(&rows);
    print_targets(&rows);
    programs::print(&programs);
    memory.print();
    let figures = figures(&machine, &rows, &programs, &memory);
    json::write(args.common.json.as_ref(), &figures)
}

fn measure(tools: &Tools, account: &Account, peers: &[peers::Peer], rounds: usize) -> Result<Vec<Row>> {
    let neutral = |program: PathBuf| -> Command {
        let mut command = command_as(account, &program);
        command.current_dir("/");
        command
    };
    let mut driver = Peer::start(neutral(tools.driver()))?;
    let mut floor = Peer::start(neutral(tools.floor()))?;
    let mut ask = |peer: &peers::Peer| match peer.who {
        Who::Driver => driver.ask(&peer.words),
        Who::Floor => floor.ask(&peer.words),
    };
    let mut times: Vec<(Vec<Duration>, Option<String>)> = Vec::new();
    for peer in peers {
        // The first run brings the files in; one that fails says that the peer does not work here.
        let failure = match ask(peer) {
            Ok(_) => None,
            Err(BenchError::Run { why, .. }) => Some(why),
            // The floor says why on its own standard error.
            Err(BenchError::Ended { .. }) if peer.who == Who::Floor => Some("does not work here".to_owned()),
            Err(error) => return Err(error.into()),
        };
        times.push((Vec::new(), failure));
    }
    for round in 0..rounds {
        let due = peers
            .iter()
            .zip(&mut times)
            .filter(|(peer, (_, failure))| failure.is_none() && round % peer.every == 0);
        for (peer, (times, _)) in due {
            times.push(ask(peer)?);
        }
    }
    let rows = peers.iter().zip(times);
    Ok(rows
        .map(|(peer, (times, failure))| Row {
            name: peer.name,
            figures: Figures::of(times),
            failure,
        })
        .collect())
}

fn ratio(rows: &[Row], row: &Row, base: &str) -> Option<f64> {
    row.figures
        .ratio_to(&rows.iter().find(|other| other.name == base)?.figures)
}

/// What a fresh process is to be compared with, and what a loop.
fn floor_of(row: &Row) -> &'static str {
    if [FLOOR, PREPARED].contains(&row.name) {
        FLOOR
    } else {
        FLOOR_ONCE
    }
}

fn print_rows(rows: &[Row]) {
    println!(
        "{:<24} {:>5} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8}",
        "/bin/true, ms", "runs", "median", "min", "max", "× bare", "× floor", "× bwrap"
    );
    for row in rows {
        if let Some(why) = &row.failure {
            println!("{:<24} left out: {why}", row.name);
            continue;
        }
        let times = &row.figures;
        let ratio =
            |base| ratio(rows, row, base).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        println!(
            "{:<24} {:>5} {:>9.3} {:>9.3} {:>9.3} {:>8} {:>8} {:>8}",
            row.name,
            times.count(),
            millis(times.median()),
            millis(times.min()),
            millis(times.max()),
            ratio(BARE),
            ratio(floor_of(row)),
            ratio(BWRAP_ALL)
        );
    }
}

fn targets(rows: &[Row]) -> impl Iterator<Item = (&'static str, f64, Option<f64>)> + '_ {
    TARGETS.iter().map(|&(name, limit)| {
        let row = rows.iter().find(|row| row.name == name);
        (name, limit, row.and_then(|row| ratio(rows, row, BWRAP_ALL)))
    })
}

fn print_targets(rows: &[Row]) {
    for (name, limit, ratio) in targets(rows) {
        match ratio {
            Some(ratio) => {
                let verdict = if ratio <= limit { "met" } else { "not met" };
                println!("target: {name} ≤ {limit} × {BWRAP_ALL}: {ratio:.2}, {verdict}");
            }
            None => println!("target: {name} ≤ {limit} × {BWRAP_ALL}: not measured"),
        }
    }
}

fn figures(machine: &Machine, rows: &[Row], programs: &[Program], memory: &Memory) -> Value {
    let peers: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "failure": row.failure,
                "runs": row.figures.count(),
                "median_us": micros(row.figures.median()),
                "min_us": micros(row.figures.min()),
                "max_us": micros(row.figures.max()),
                "to_bare": ratio(rows, row, BARE),
                "to_floor": ratio(rows, row, floor_of(row)),
                "to_bwrap_unshare_all": ratio(rows, row, BWRAP_ALL),
            })
        })
        .collect();
    let targets: Vec<Value> = targets(rows)
        .map(|(name, limit, ratio)| {
            json!({ "name": name, "limit": limit, "ratio": ratio,
                    "met": ratio.map(|ratio| ratio <= limit) })
        })
        .collect();
    json!({ "machine": machine.json(), "peers": peers, "targets": targets,
            "programs": programs::figures(programs), "memory": memory.json() })
}
