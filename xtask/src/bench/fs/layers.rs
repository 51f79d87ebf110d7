//! What layers cost: twenty instead of one, and a large file that is copied up beside everything else.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Scale,
    contestants::{OVERLAY, Place},
    ground::Ground,
    mounted::Mounted,
    scaling::named,
};
use crate::{
    bench::{
        BenchError,
        figures::{Figures, micros},
    },
    error::Result,
};

const ROUNDS: usize = 7;
const LAYERS: usize = 20;
const LAYERS_LIMIT: f64 = 1.3;
/// Mebibytes of the file that is copied up.
const LARGE: usize = 400;
const COPY_LIMIT: Duration = Duration::from_millis(5);

/// Names that the kernel may not remember, looked up in what the host has in memory.
struct Lookups {
    files: usize,
    one: Figures,
    many: Figures,
}

/// Opens of other files, beside a copy.
struct Beside {
    /// Of their time, in every round.
    percentiles: Figures,
    longest: Duration,
    opens: u32,
    /// What the copy itself took.
    copies: Figures,
}

pub(super) struct Layers {
    lookups: Lookups,
    beside: Beside,
}

impl Layers {
    pub(super) fn measure(ground: &Ground, scale: Scale) -> Result<Self> {
        let files = match scale {
            Scale::Full => 18_000,
            Scale::Quick => 1_800,
        };
        Ok(Self {
            lookups: lookups(ground, files)?,
            beside: beside(ground, files)?,
        })
    }

    pub(super) fn print(&self) {
        let Lookups { files, one, many } = &self.lookups;
        let ratio = many.ratio_to(one).unwrap_or(f64::NAN);
        println!(
            "\ntarget: {files} lookups with {LAYERS} layers ≤ {LAYERS_LIMIT} × one layer: {ratio:.2} ({} and {} µs), {}",
            micros(many.median()),
            micros(one.median()),
            verdict(ratio <= LAYERS_LIMIT)
        );
        let Beside {
            percentiles,
            longest,
            opens,
            copies,
        } = &self.beside;
        println!(
            "target: 99 of 100 opens beside the copy-up of {LARGE} MiB ≤ {} µs: {} µs in the median round ({}–{}), {}",
            micros(COPY_LIMIT),
            micros(percentiles.median()),
            micros(percentiles.min()),
            micros(percentiles.max()),
            verdict(percentiles.median() <= COPY_LIMIT)
        );
        println!(
            "the longest of {opens} opens: {} µs; the copy: {} µs",
            micros(*longest),
            micros(copies.median())
        );
    }

    pub(super) fn json(&self) -> Value {
        json!({ "layers": LAYERS, "lookups": self.lookups.files, "one_us": micros(self.lookups.one.median()),
                "many_us": micros(self.lookups.many.median()), "large_mib": LARGE,
                "open_p99_us": micros(self.beside.percentiles.median()), "open_max_us": micros(self.beside.longest),
                "opens": self.beside.opens, "copy_us": micros(self.beside.copies.median()) })
    }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "NOT MET" }
}

/// The files lie in one layer, or each twentieth of them in one of twenty that all have their directories.
fn lookups(ground: &Ground, files: usize) -> Result<Lookups> {
    println!("lookups in {LAYERS} layers");
    let place = ground.file_system(Place::Ext4);
    let make = format!(
        "mkdir layers; cd layers; mkdir all; fsload mkdir all {files} >/dev/null; fsload create all {files} >/dev/null
        for layer in $(seq {LAYERS}); do mkdir $layer; fsload mkdir $layer {files} >/dev/null; done
        cd all
        for file in */*; do
            number=${{file##*f}}; number=${{number#\"${{number%%[!0]*}}\"}}; ln $file ../$((${{number:-0}} % {LAYERS} + 1))/$file
        done"
    );
    ground.script(&place, &make)?;
    let layers = |names: &str| {
        format!(
            "mkdir $SCRATCH/upper $SCRATCH/work
            exec $SERVE overlay {names} $SCRATCH/upper $SCRATCH/work $MNT off never"
        )
    };
    let all: Vec<String> = (1..=LAYERS).map(|layer| format!("$ROOT/{layer}")).collect();
    let one = looked_up(ground, files, &layers("$ROOT/all"))?;
    let many = looked_up(ground, files, &layers(&all.join(":")))?;
    ground.script(&place, "rm -rf layers")?;
    Ok(Lookups { files, one, many })
}

fn looked_up(ground: &Ground, files: usize, start: &str) -> Result<Figures> {
    let root = ground.file_system(Place::Ext4).join("layers");
    let mounted = Mounted::mount(ground, named(OVERLAY), &root, start)?;
    let command = format!("fsload stat . {files}");
    let look = || -> Result<Duration> {
        let [took, _] = numbers(&command, &ground.script(mounted.directory(), &command)?)?;
        Ok(Duration::from_nanos(took))
    };
    look()?;
    (0..ROUNDS)
        .map(|_| look())
        .collect::<Result<Vec<_>>>()
        .map(Figures::of)
}

fn beside(ground: &Ground, files: usize) -> Result<Beside> {
    println!("opens beside a copy of {LARGE} MiB");
    let place = ground.file_system(Place::Ext4);
    let make = format!(
        "mkdir beside; cd beside; fsload mkdir . {files} >/dev/null; fsload create . {files} >/dev/null
        dd if=/dev/urandom of=large bs=1M count={LARGE} 2>/dev/null"
    );
    ground.script(&place, &make)?;
    let (mut percentiles, mut copies, mut longest, mut opens) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..ROUNDS {
        let overlay = named(OVERLAY);
        let mounted = Mounted::mount(ground, overlay, &place.join("beside"), overlay.start)?;
        let command = format!("fsload open-beside . {files}");
        let [percentile, most, opened, copied] =
            numbers(&command, &ground.script(mounted.directory(), &command)?)?;
        percentiles.push(Duration::from_nanos(percentile));
        copies.push(Duration::from_nanos(copied));
        longest = longest.max(most);
        opens += u32::try_from(opened).unwrap_or(u32::MAX);
    }
    ground.script(&place, "rm -rf beside")?;
    Ok(Beside {
        percentiles: Figures::of(percentiles),
        longest: Duration::from_nanos(longest),
        opens,
        copies: Figures::of(copies),
    })
}

/// So many numbers that a program printed.
fn numbers<const COUNT: usize>(command: &str, answer: &str) -> Result<[u64; COUNT], BenchError> {
    let read: Option<Vec<u64>> = answer.split_whitespace().map(|word| word.parse().ok()).collect();
    read.and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| BenchError::Answer {
            program: command.to_owned(),
            answer: answer.to_owned(),
        })
}
