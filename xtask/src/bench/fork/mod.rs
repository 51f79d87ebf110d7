//! `cargo xtask bench fork`: clones of a template, and a bare loop of fork(2), in turn.

mod branches;
mod pool;

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    BenchError, Common,
    account::Account,
    figures::Figures,
    json,
    machine::{Machine, Quiet},
    peer::command_as,
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

/// Memory, pages, how many clones a batch, requests.
const SIZES: &[(u32, &str, u32, &[&str])] = &[
    (0, "4k", 1000, &["fork", "capture"]),
    (50, "4k", 200, &["fork", "write"]),
    (256, "4k", 20, &["fork", "write"]),
    (256, "huge", 100, &["fork", "write"]),
    (2048, "4k", 3, &["fork"]),
    (2048, "huge", 20, &["fork"]),
];

/// One request at one size.
struct Row {
    mib: u32,
    pages: &'static str,
    request: &'static str,
    count: u32,
    ours: Figures,
    /// None where there is nothing to compare it with.
    bare: Option<Figures>,
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
    let rounds = if args.quick { 2 } else { args.rounds };
    let most = if args.quick { args.most.min(50) } else { args.most };
    let few = |count: u32| if args.quick { count.min(50) } else { count };
    let mut rows = Vec::new();
    for (mib, pages, count, requests) in SIZES.iter().filter(|size| size.0 <= most) {
        let size = (*mib, *pages, few(*count), *requests);
        rows.extend(measure(&account, [&driver, &bare], size, rounds)?);
    }
    for place in &branches::places(&account)? {
        rows.extend(branches::measure(&account, place, few(200), rounds)?);
    }
    let pool = pool::measure(&account, rounds, few(320))?;
    let pss = idle(&account, &driver, few(1000))?;
    println!();
    machine.print();
    print_rows(&rows, pss);
    pool::print(&pool);
    let mut all = figures(&rows, pss);
    if let Some(all) = all.as_object_mut() {
        all.insert("pool_ns".to_owned(), pool::figures(&pool));
    }
    json::write(args.common.json.as_ref(), &all)
}

/// Our clones and the bare loop, in turn, so that both see the same machine.
fn measure(
    account: &Account,
    [driver, bare]: [&PathBuf; 2],
    (mib, pages, count, requests): (u32, &'static str, u32, &[&'static str]),
    rounds: u32,
) -> Result<Vec<Row>> {
    let mut ours = Forker::start(account, driver, mib, pages)?;
    let mut theirs = Forker::start(account, bare, mib, pages)?;
    let mut rows = Vec::new();
    for request in requests {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..=rounds {
            let [of_ours, of_bare] = &mut times;
            of_ours.push(ours.ask(request, count)?);
            of_bare.push(theirs.ask(request, count)?);
        }
        // Until the clones run; where they have work to do, until it is done. The first round warms up.
        let pick = |times: Vec<(Duration, Duration)>| {
            let of = |(made, ended)| if *request == "write" { ended } else { made };
            Figures::of(times.into_iter().skip(1).map(of).collect())
        };
        let [of_ours, of_bare] = times.map(pick);
        rows.push(Row {
            mib,
            pages,
            request,
            count,
            ours: of_ours,
            bare: Some(of_bare),
        });
    }
    Ok(rows)
}

/// PSS of a template of 50 MiB with one clone that waits, and with many, KiB; how many.
fn idle(account: &Account, driver: &Path, count: u32) -> Result<(u64, u64, u32)> {
    let mut forker = Forker::start(account, driver, 50, "4k")?;
    let kib = |(_, kib): (Duration, Duration)| u64::try_from(kib.as_nanos()).unwrap_or(u64::MAX);
    let one = kib(forker.ask("idle", 1)?);
    let all = kib(forker.ask("idle", count)?);
    Ok((one, all, count))
}

fn rate(count: u32, figures: &Figures) -> f64 {
    f64::from(count) / figures.median().as_secs_f64()
}

fn print_rows(rows: &[Row], (one, all, count): (u64, u64, u32)) {
    println!("clones a second: median (slowest-fastest round) of batches; ratio to the bare loop");
    for row in rows {
        let range = |figures: &Figures| {
            let of = |time: Duration| f64::from(row.count) / time.as_secs_f64();
            format!(
                "{:>7.0} ({:.0}-{:.0})",
                rate(row.count, figures),
                of(figures.max()),
                of(figures.min())
            )
        };
        let compared = row.bare.as_ref().map(|bare| {
            let ratio = rate(row.count, &row.ours) / rate(row.count, bare);
            format!("bare {:<24} ratio {ratio:.2}", range(bare))
        });
        println!(
            "{:>5} MiB {:>4} pages {:<14} {:>4} at once  sandbox {:<24} {}",
            row.mib,
            row.pages,
            row.request,
            row.count,
            range(&row.ours),
            compared.unwrap_or_default(),
        );
    }
    println!(
        "PSS of a template of 50 MiB and one idle clone {one} KiB, and {count} idle clones {all} KiB: {} KiB a clone",
        all.saturating_sub(one) / u64::from(count.saturating_sub(1).max(1))
    );
}

fn figures(rows: &[Row], (one, all, count): (u64, u64, u32)) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "mib": row.mib, "pages": row.pages, "request": row.request, "count": row.count,
                "sandbox_per_second": rate(row.count, &row.ours),
                "bare_per_second": row.bare.as_ref().map(|bare| rate(row.count, bare)),
            })
        })
        .collect();
    json!({ "fork": rows, "pss_kib": { "one": one, "all": all, "clones": count } })
}

/// A process that forks when told to. Killed and reaped when dropped.
struct Forker {
    program: String,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Forker {
    fn start(account: &Account, program: &Path, mib: u32, pages: &str) -> Result<Self> {
        let mut command = command_as(account, program);
        command.arg(mib.to_string()).arg(pages).current_dir("/");
        Self::of(command, program)
    }

    fn of(mut command: std::process::Command, program: &Path) -> Result<Self> {
        let program = program.display().to_string();
        let failed = |source| BenchError::Peer {
            program: program.clone(),
            source,
        };
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(failed)?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(BenchError::Ended { program }.into());
        };
        Ok(Self {
            program,
            child,
            requests,
            answers: BufReader::new(answers),
        })
    }

    /// Until all ran, and until all had ended.
    fn ask(&mut self, request: &str, count: u32) -> Result<(Duration, Duration)> {
        match self.times(request, count)?.as_slice() {
            [made, ended] => Ok((*made, *ended)),
            times => Err(BenchError::Answer {
                program: self.program.clone(),
                answer: format!("{times:?}"),
            }
            .into()),
        }
    }

    /// As many times as are answered.
    fn times(&mut self, request: &str, count: u32) -> Result<Vec<Duration>> {
        let program = || self.program.clone();
        let failed = |source| BenchError::Peer {
            program: program(),
            source,
        };
        writeln!(self.requests, "{request}\t{count}").map_err(failed)?;
        let mut line = String::new();
        if self.answers.read_line(&mut line).map_err(failed)? == 0 {
            return Err(BenchError::Ended { program: program() }.into());
        }
        let words: Vec<&str> = line.trim_end().split('\t').collect();
        let nanos = |word: &str| word.parse().ok().map(Duration::from_nanos);
        match words.as_slice() {
            ["ok", times @ ..] => times
                .iter()
                .map(|time| nanos(time))
                .collect::<Option<_>>()
                .ok_or_else(|| {
                    BenchError::Answer {
                        program: program(),
                        answer: line.clone(),
                    }
                    .into()
                }),
            ["failed", why] => Err(BenchError::Run {
                program: program(),
                why: (*why).to_owned(),
            }
            .into()),
            _ => Err(BenchError::Answer {
                program: program(),
                answer: line.clone(),
            }
            .into()),
        }
    }
}

impl Drop for Forker {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("warning: {}: {error}", self.program);
        }
    }
}
