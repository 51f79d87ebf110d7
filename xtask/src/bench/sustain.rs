//! `cargo xtask bench sustain`: prepared runs of /bin/true from one process, many at once, for minutes.

use serde_json::json;

use super::{
    BenchError, Common,
    account::Account,
    json,
    left::Left,
    load::Load,
    machine::{self, Machine, Quiet},
    peer::{Peer, command_as},
    tools::Tools,
};
use crate::error::Result;

/// So many sandboxes are alive at the same time once.
const AT_ONCE: usize = 100;
/// After at least so many runs nothing may be left.
const RUNS: usize = 10_000;
const NO_LIMIT: usize = 1 << 40;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// How long the load lasts
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// How many runs are in flight; 4 for each core otherwise
    #[arg(long)]
    in_flight: Option<usize>,
}

/// One load: until when, how much of it, how many at once, and of what.
struct Request<'a> {
    seconds: u32,
    runs: usize,
    threads: usize,
    argv: &'a [&'a str],
}

pub(super) fn run(args: &Args) -> Result<()> {
    let account = Account::find(args.common.user.as_deref())?;
    let tools = Tools::build()?;
    let threads = args.in_flight.unwrap_or(4 * machine::cpus());
    let mut command = command_as(&account, &tools.driver());
    command.current_dir("/");
    let mut driver = Peer::start(command)?;
    let quiet = if args.common.busy {
        Quiet::GoAhead
    } else {
        Quiet::Wait
    };
    let machine = Machine::look(&account, quiet);
    let short = &["/bin/true"];

    // Threads leave memory with the allocator; that is not to count as growth.
    request(
        &mut driver,
        &Request {
            seconds: 60,
            runs: 10 * threads,
            threads,
            argv: short,
        },
    )?;
    let before = Left::look(driver.pid())?;
    let load = request(
        &mut driver,
        &Request {
            seconds: args.seconds,
            runs: NO_LIMIT,
            threads,
            argv: short,
        },
    )?;
    let after_load = Left::look(driver.pid())?;
    let rest = RUNS.saturating_sub(load.count());
    let rest = request(
        &mut driver,
        &Request {
            seconds: u32::MAX,
            runs: rest,
            threads,
            argv: short,
        },
    )?;
    let after = Left::look(driver.pid())?;
    let sleep = &["sleep", "0.5"];
    let burst = Request {
        seconds: 60,
        runs: AT_ONCE,
        threads: AT_ONCE,
        argv: sleep,
    };
    let burst = request(&mut driver, &burst)?;
    let after_burst = Left::look(driver.pid())?;

    println!();
    machine.print();
    println!(
        "{threads} prepared runs of /bin/true in flight for {} s",
        args.seconds
    );
    let parts = [
        ("all of it", load.whole()),
        ("the first", load.first()),
        ("the last", load.last()),
    ];
    for (name, part) in &parts {
        part.print(name);
    }
    before.print("before");
    after_load.print("after it");
    after.print(&format!("{} runs", load.count() + rest.count()));
    after_burst.print("burst");
    println!("{} of {AT_ONCE} sandboxes at once ended well", burst.count());
    let left = after_burst.more_than(&before);
    println!(
        "left behind: {}",
        if left.is_empty() {
            "nothing".to_owned()
        } else {
            left.join(", ")
        }
    );

    let [whole, first, last] = parts.map(|(_, part)| part.json());
    let figures = json!({
        "machine": machine.json(), "in_flight": threads, "seconds": args.seconds,
        "whole": whole, "first": first, "last": last,
        "runs": load.count() + rest.count(), "at_once": { "asked": AT_ONCE, "ended": burst.count() },
        "before": before.json(), "after_load": after_load.json(), "after_runs": after.json(),
        "after_burst": after_burst.json(), "left": left,
    });
    json::write(args.common.json.as_ref(), &figures)
}

fn request(driver: &mut Peer, request: &Request<'_>) -> Result<Load, BenchError> {
    let Request {
        seconds,
        runs,
        threads,
        argv,
    } = request;
    let numbers = [
        "load".to_owned(),
        seconds.to_string(),
        runs.to_string(),
        threads.to_string(),
    ];
    let words: Vec<String> = numbers
        .into_iter()
        .chain(argv.iter().map(|&word| word.to_owned()))
        .collect();
    let mut load = Load::default();
    let total = driver.ask_all(&words, &mut |at, took| load.push(at, took))?;
    load.end(total);
    Ok(load)
}
