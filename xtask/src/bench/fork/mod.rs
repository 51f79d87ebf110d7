//! `cargo xtask bench fork`: clones of a template, and a bare loop of fork(2), in turn.

mod branches;
mod forker;
mod large;
mod pool;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use self::forker::Forker;
use self::large::Large;
use super::{
    Common,
    account::Account,
    figures::Figures,
    json,
    machine::{Machine, Quiet},
    tools,
};
use crate::{cmd::Cmd, error::Result, scratch::Scratch, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// How often each is measured
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Leave out what takes more memory than this, MiB
    #[arg(long, default_value_t = 2048, value_name = "MIB")]
    most: u32,
    /// A few rounds of a few clones: to see that it works, not how fast it is
    #[arg(long)]
    quick: bool,
}

/// How many small clones a batch has.
const SMALL: u32 = 1000;
/// How many clones with branches of their own.
const BRANCHES: u32 = 200;
/// How many commands in sandboxes that were ready.
const COMMANDS: u32 = 320;
/// How many clones wait while their memory is measured.
const IDLE: u32 = 1000;

/// One request, in batches of so many clones.
struct Row {
    request: &'static str,
    count: u32,
    ours: Figures,
    /// None where there is nothing to compare it with.
    bare: Option<Figures>,
}

/// PSS of a template of 50 MiB with one clone that waits, and with so many, KiB.
struct Idle {
    count: u32,
    one: u64,
    all: u64,
}

/// All figures of one run.
struct Measured {
    rows: Vec<Row>,
    large: Vec<Large>,
    pool: pool::Measured,
    idle: Idle,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let account = Account::find(args.common.user.as_deref())?;
    let scratch = Scratch::new(Path::new("/tmp"), "sandbox-bench-fork")?;
    let driver = scratch.path().join("fork_driver");
    let built = tools::build_example("fork_driver")?;
    std::fs::copy(&built, &driver).map_err(crate::error::Error::io(&built))?;
    let bare = scratch.path().join("fork");
    let source = workspace::root().join("xtask/bench/fork.c");
    Cmd::new("gcc").args(["-O2", "-o"]).arg(&bare).arg(source).run()?;
    let quiet = if args.common.busy {
        Quiet::GoAhead
    } else {
        Quiet::Wait
    };
    let machine = Machine::look(&account, quiet);
    let measured = args.measure(&account, [&driver, &bare])?;
    println!();
    machine.print();
    measured.print();
    let mut all = measured.figures();
    if let Some(all) = all.as_object_mut() {
        all.insert("machine".to_owned(), machine.json());
    }
    json::write(args.common.json.as_ref(), &all)
}

impl Args {
    fn measure(&self, account: &Account, programs: [&Path; 2]) -> Result<Measured> {
        let rounds = if self.quick { 2 } else { self.rounds };
        let few = |count: u32| if self.quick { count.min(50) } else { count };
        let mut rows = small(account, programs, few(SMALL), rounds)?;
        for place in &branches::places(account)? {
            rows.extend(branches::measure(account, place, few(BRANCHES), rounds)?);
        }
        let pool = pool::measure(account, rounds, few(COMMANDS))?;
        let [driver, _] = programs;
        let idle = idle(account, driver, few(IDLE))?;
        let mut large = Vec::new();
        let most = if self.quick { self.most.min(256) } else { self.most };
        for (mib, huge, small) in large::SIZES.iter().filter(|size| size.0 <= most) {
            let counts = (*mib, few(*huge), *small);
            large.push(large::measure(account, programs, counts, rounds)?);
        }
        Ok(Measured {
            rows,
            large,
            pool,
            idle,
        })
    }
}

/// Our clones and the bare loop, in turn, so that both see the same machine.
fn small(account: &Account, [driver, bare]: [&Path; 2], count: u32, rounds: u32) -> Result<Vec<Row>> {
    let mut ours = Forker::start(account, driver, (0, "4k"), "end")?;
    let mut theirs = Forker::start(account, bare, (0, "4k"), "end")?;
    let mut rows = Vec::new();
    for request in ["fork", "capture"] {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..=rounds {
            let [of_ours, of_bare] = &mut times;
            of_ours.push(ours.ask(request, count)?.0);
            of_bare.push(theirs.ask(request, count)?.0);
        }
        // The first round warms up.
        let [ours, bare] = times.map(|times: Vec<Duration>| Figures::of(times.into_iter().skip(1).collect()));
        rows.push(Row {
            request,
            count,
            ours,
            bare: Some(bare),
        });
    }
    Ok(rows)
}

fn idle(account: &Account, driver: &Path, count: u32) -> Result<Idle> {
    let mut forker = Forker::start(account, driver, (50, "4k"), "wait")?;
    let kib = |(_, kib): (Duration, Duration)| u64::try_from(kib.as_nanos()).unwrap_or(u64::MAX);
    let one = kib(forker.ask("idle", 1)?);
    let all = kib(forker.ask("idle", count)?);
    Ok(Idle { count, one, all })
}

fn rate(count: u32, figures: &Figures) -> f64 {
    f64::from(count) / figures.median().as_secs_f64()
}

impl Measured {
    fn print(&self) {
        println!("clones a second: median (slowest-fastest) of batches; ratio to a bare loop of fork(2)");
        self.rows.iter().for_each(Row::print);
        println!(
            "clones of much memory: rate, as a multiple of that of bare loops, and what one clone writes"
        );
        self.large.iter().for_each(Large::print);
        self.idle.print();
        pool::print(&self.pool);
    }

    fn figures(&self) -> Value {
        json!({
            "fork": self.rows.iter().map(Row::figures).collect::<Vec<_>>(),
            "large": self.large.iter().map(Large::figures).collect::<Vec<_>>(),
            "pss_kib": { "one": self.idle.one, "all": self.idle.all, "clones": self.idle.count },
            "pool_ns": pool::figures(&self.pool),
        })
    }
}

impl Row {
    fn print(&self) {
        let range = |figures: &Figures| {
            let of = |time: Duration| f64::from(self.count) / time.as_secs_f64();
            format!(
                "{:>7.0} ({:.0}-{:.0})",
                rate(self.count, figures),
                of(figures.max()),
                of(figures.min())
            )
        };
        let compared = self.bare.as_ref().map(|bare| {
            let ratio = rate(self.count, &self.ours) / rate(self.count, bare);
            format!("bare {:<22} ratio {ratio:.2}", range(bare))
        });
        println!(
            "{:<12} {:>4} at once  sandbox {:<22} {}",
            self.request,
            self.count,
            range(&self.ours),
            compared.unwrap_or_default(),
        );
    }

    fn figures(&self) -> Value {
        json!({
            "request": self.request, "count": self.count,
            "sandbox_per_second": rate(self.count, &self.ours),
            "bare_per_second": self.bare.as_ref().map(|bare| rate(self.count, bare)),
        })
    }
}

impl Idle {
    fn print(&self) {
        let Self { count, one, all } = self;
        // At most 1.3 times that of one, and 200 KiB for each.
        let most = one * 13 / 10 + 200 * u64::from(*count);
        println!(
            "PSS of a template of 50 MiB with one idle clone {one} KiB, with {count} {all} KiB, at most {most}: {} KiB a clone",
            all.saturating_sub(*one) / u64::from(count.saturating_sub(1).max(1))
        );
    }
}
