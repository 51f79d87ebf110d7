//! What stays the same however deep a file is and however many are known, and what a server holds in memory.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Scale,
    contestants::{ALL, Contestant, MEM, OVERLAY, STRICT, TMPFS_PASSTHROUGH},
    ground::{Ground, make_dir},
    mounted::Mounted,
};
use crate::{
    bench::{BenchError, figures::Figures},
    error::Result,
};

const ROUNDS: usize = 7;
/// One `fsload getattr`.
const CALLS: u32 = 20_000;

const DEEP: usize = 20;
/// So few that every descriptor stays open.
const FEW: usize = 8;
/// So many that none of a file that is asked for is, nor of its directories; few enough that the host's own memory of their
/// paths stays in the processor's caches.
const MANY: usize = 200;
/// Of which the server keeps about 64 for what it serves.
const FEW_DESCRIPTORS: &str = "ulimit -n 160\n";

const CACHED_LIMIT: f64 = 1.2;
const BEYOND_LIMIT: f64 = 1.6;
const KNOWN_LIMIT: f64 = 1.2;
const KNOWN_BYTES: u64 = 400;
const MEM_LIMIT_KIB: u64 = 64 * 1024 + 64 * 1024 / 10;

/// `getattr` at depth 1 and at [`DEEP`].
struct Depth {
    what: String,
    limit: f64,
    shallow: Figures,
    deep: Figures,
}

/// With a few inodes known, and with all of these; by a server that may have 1024 descriptors, 900 of which open files take
/// meanwhile.
struct Known {
    name: &'static str,
    inodes: usize,
    before: Figures,
    after: Figures,
    bytes_each: u64,
}

/// `MemFs` of 64 MiB, full and emptied.
struct Memory {
    full_kib: u64,
    emptied_kib: u64,
}

pub(super) struct Scaling {
    depths: Vec<Depth>,
    known: Vec<Known>,
    memory: Memory,
}

impl Scaling {
    pub(super) fn measure(ground: &Ground, scale: Scale) -> Result<Self> {
        let inodes = match scale {
            Scale::Full => 1_000_000,
            Scale::Quick => 100_000,
        };
        let place = ground.path("tmpfs/scaling");
        make_dir(&place)?;
        let mut depths = Vec::new();
        for name in [TMPFS_PASSTHROUGH, STRICT] {
            println!("depth: {name}");
            for (chains, limit) in [(FEW, CACHED_LIMIT), (MANY, BEYOND_LIMIT)] {
                depths.push(depth(ground, named(name), chains, limit)?);
            }
        }
        let make =
            format!("mkdir all; fsload mkdir all {inodes} >/dev/null; fsload create all {inodes} >/dev/null");
        ground.script(&place, &make)?;
        let known = [TMPFS_PASSTHROUGH, OVERLAY].map(|name| known(ground, named(name), inodes));
        Ok(Self {
            depths,
            known: known.into_iter().collect::<Result<_>>()?,
            memory: memory(ground)?,
        })
    }

    pub(super) fn print(&self) {
        println!(
            "\n{:<52} {:>9} {:>9} {:>7}",
            "getattr, µs", "depth 1", "depth 20", "ratio"
        );
        for depth in &self.depths {
            print(&depth.what, &depth.shallow, &depth.deep, depth.limit);
        }
        println!("{:<52} {:>9} {:>9} {:>7}", "", "few", "all", "ratio");
        self.known.iter().for_each(Known::print);
        let Memory {
            full_kib,
            emptied_kib,
        } = self.memory;
        let verdict = if full_kib <= MEM_LIMIT_KIB {
            "met"
        } else {
            "NOT MET"
        };
        println!("target: mem of 64 MiB ≤ {MEM_LIMIT_KIB} KiB resident when full: {full_kib}, {verdict}");
        println!("{emptied_kib} KiB when emptied");
    }

    pub(super) fn json(&self) -> Value {
        let us = |figures: &Figures| each(figures.median());
        let depths = self.depths.iter().map(|depth| {
            json!({ "what": depth.what, "shallow_us": us(&depth.shallow), "deep_us": us(&depth.deep),
                    "limit": depth.limit, "ratio": depth.deep.ratio_to(&depth.shallow) })
        });
        let known = self.known.iter().map(|known| {
            json!({ "name": known.name, "inodes": known.inodes, "few_us": us(&known.before),
                    "all_us": us(&known.after), "bytes_each": known.bytes_each })
        });
        json!({ "depths": depths.collect::<Vec<_>>(), "known": known.collect::<Vec<_>>(), "mem_full_kib": self.memory.full_kib, "mem_emptied_kib": self.memory.emptied_kib })
    }
}

impl Known {
    fn print(&self) {
        let what = format!("{} with {} inodes known", self.name, self.inodes);
        print(&what, &self.before, &self.after, KNOWN_LIMIT);
        let bytes = self.bytes_each;
        let verdict = if bytes < KNOWN_BYTES { "met" } else { "NOT MET" };
        println!("target: the server's memory for each of them < {KNOWN_BYTES} bytes: {bytes}, {verdict}");
    }
}

fn print(what: &str, from: &Figures, to: &Figures, limit: f64) {
    let ratio = to.ratio_to(from).unwrap_or(f64::NAN);
    let verdict = if ratio <= limit { "met" } else { "NOT MET" };
    println!(
        "{what:<52} {:>9.2} {:>9.2} {ratio:>7.2} (≤ {limit}, {verdict})",
        each(from.median()),
        each(to.median())
    );
}

/// Microseconds of one call.
fn each(all: Duration) -> f64 {
    all.as_secs_f64() * 1e6 / f64::from(CALLS)
}

pub(super) fn named(name: &str) -> &'static Contestant {
    ALL.iter()
        .find(|contestant| contestant.name == name)
        .unwrap_or(&ALL[0])
}

fn depth(ground: &Ground, contestant: &Contestant, chains: usize, limit: f64) -> Result<Depth> {
    let root = ground.path("tmpfs/scaling");
    let depths = [1, DEEP];
    for depth in depths {
        let make = format!("mkdir -p {depth}; fsload chains {depth} {chains} 1 {depth} >/dev/null");
        ground.script(&root, &make)?;
    }
    let (limits, where_) = if chains == FEW {
        ("", "cached descriptors")
    } else {
        (FEW_DESCRIPTORS, "beyond the cache")
    };
    let start = format!("{limits}{}", contestant.start);
    let mounted = Mounted::mount(ground, contestant, &root, &start)?;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (depth, times) in depths.into_iter().zip(&mut times) {
            times.push(getattr(ground, &mounted, depth, chains)?);
        }
    }
    let [shallow, deep] = times.map(Figures::of);
    Ok(Depth {
        what: format!("{}, {where_}", contestant.name),
        limit,
        shallow,
        deep,
    })
}

fn getattr(
    ground: &Ground,
    mounted: &Mounted<'_>,
    depth: usize,
    chains: usize,
) -> Result<Duration, BenchError> {
    let command = format!("fsload getattr {depth} {chains} 1 {depth}");
    let answer = ground.script(mounted.directory(), &command)?;
    let first = answer
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    first.map(Duration::from_nanos).ok_or(BenchError::Answer {
        program: command,
        answer,
    })
}

fn known(ground: &Ground, contestant: &'static Contestant, inodes: usize) -> Result<Known> {
    let name = contestant.name;
    println!("{name}: {inodes} known inodes and 900 open files, with RLIMIT_NOFILE 1024");
    let root = ground.path("tmpfs/scaling");
    let start = format!("ulimit -n 1024\n{}", contestant.start);
    let mounted = Mounted::mount(ground, contestant, &root, &start)?;
    let measure = || -> Result<Figures, BenchError> {
        let times = (0..ROUNDS).map(|_| getattr(ground, &mounted, 1, FEW));
        times.collect::<Result<Vec<_>, _>>().map(Figures::of)
    };
    let before = measure()?;
    let empty = mounted.resident_kib().unwrap_or(0);
    ground.script(mounted.directory(), &format!("fsload hold all {inodes}"))?;
    let full = mounted.resident_kib().unwrap_or(0);
    let after = measure()?;
    let bytes = full.saturating_sub(empty) * 1024;
    Ok(Known {
        name,
        inodes,
        before,
        after,
        bytes_each: bytes / u64::try_from(inodes).unwrap_or(u64::MAX),
    })
}

fn memory(ground: &Ground) -> Result<Memory> {
    println!("memory of a filesystem in memory");
    let root = ground.path("tmpfs/scaling");
    let mounted = Mounted::mount(ground, named(MEM), &root, "exec $SERVE mem $MNT 64M")?;
    let fill = "mkdir many; i=0
        while [ $i -lt 2000 ]; do echo $i >many/$i; i=$((i + 1)); done
        dd if=/dev/zero of=large bs=1M 2>/dev/null || true";
    ground.script(mounted.directory(), fill)?;
    let full_kib = mounted.resident_kib().unwrap_or(u64::MAX);
    ground.script(mounted.directory(), "rm -rf many large")?;
    // The kernel says later what it needs no more.
    ground.script(mounted.directory(), "sleep 2")?;
    let emptied_kib = mounted.resident_kib().unwrap_or(u64::MAX);
    Ok(Memory {
        full_kib,
        emptied_kib,
    })
}
