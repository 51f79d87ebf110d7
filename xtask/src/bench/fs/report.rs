//! What everybody took, as ratios, and what was promised.

use serde_json::{Value, json};

use super::{
    contestants::{self, Contestant, Place, RIVALRIES, Rivalry, Role},
    measure::{Measured, Row, Times},
    steps::Kind,
};
use crate::bench::figures::{micros, millis};

/// Beyond this a peer is slow enough that we have to be faster.
const SLOW: f64 = 2.0;
/// What counts as not slower: repetitions of the same thing differ by as much.
const EVEN: f64 = 1.05;
/// Large reads and writes by the kernel itself, and what the kernel has already, against the file system itself.
const NEAR_NATIVE: f64 = 0.9;

pub(super) struct Report {
    measured: Measured,
}

/// A promise, and how it came out.
struct Verdict {
    text: String,
    value: f64,
    limit: f64,
}

impl Row {
    fn of(&self, name: &str) -> Option<&Times> {
        self.times
            .iter()
            .find(|(contestant, _)| contestant.name == name)
            .map(|(_, times)| times)
    }

    /// Of the file system that this contestant is compared with.
    fn native(&self, contestant: &Contestant) -> Option<&Times> {
        let place = match contestant.place {
            Place::Own => Place::Tmpfs,
            place => place,
        };
        self.times
            .iter()
            .find(|(other, _)| other.role == Role::Native && other.place == place)
            .map(|(_, times)| times)
    }

    fn to_native(&self, name: &str) -> Option<f64> {
        let (contestant, times) = self
            .times
            .iter()
            .find(|(contestant, _)| contestant.name == name)?;
        times.wall.ratio_to(&self.native(contestant)?.wall)
    }

    /// The fastest of these.
    fn best(&self, names: &[&'static str]) -> Option<(&'static str, &Times)> {
        let known = names.iter().filter_map(|name| Some((*name, self.of(name)?)));
        known.min_by_key(|(_, times)| times.wall.median())
    }

    fn print(&self) {
        println!("{}", self.step.name);
        for (contestant, times) in &self.times {
            let cpu = self
                .native(contestant)
                .and_then(|native| times.cpu.ratio_to(&native.cpu));
            println!(
                "  {:<26} {:>4} {:>9.1} {:>9.1} {:>9.1} {:>8} {:>9.1} {:>8}",
                contestant.name,
                times.wall.count(),
                millis(times.wall.median()),
                millis(times.wall.min()),
                millis(times.wall.max()),
                shown(self.to_native(contestant.name)),
                millis(times.cpu.median()),
                shown(cpu),
            );
        }
    }

    fn json(&self) -> Value {
        let times = self.times.iter().map(|(contestant, times)| {
            json!({ "name": contestant.name, "runs": times.wall.count(), "median_us": micros(times.wall.median()),
                    "min_us": micros(times.wall.min()), "max_us": micros(times.wall.max()),
                    "cpu_us": micros(times.cpu.median()), "to_native": self.to_native(contestant.name) })
        });
        json!({ "step": self.step.name, "times": times.collect::<Vec<_>>() })
    }

    /// What this rivalry promises of this step.
    fn verdict(&self, rivalry: &Rivalry) -> Option<Verdict> {
        let ours = self.of(rivalry.ours)?;
        let (peer, best) = self.best(rivalry.peers)?;
        let is_slow = self.to_native(peer).is_some_and(|ratio| ratio > SLOW);
        let lead = match self.step.kind {
            Kind::Metadata if is_slow => rivalry.lead,
            Kind::Tree if is_slow => rivalry.tree_lead,
            _ => 1.0,
        };
        let limit = if lead > 1.0 { 1.0 / lead } else { EVEN };
        Some(Verdict {
            text: format!("{}: {} to {peer}", self.step.name, rivalry.ours),
            value: ours.wall.ratio_to(&best.wall)?,
            limit,
        })
    }

    /// What is promised against the file system itself.
    fn to_be_native(&self) -> Option<Verdict> {
        let name = match self.step.kind {
            Kind::Cached => contestants::PASSTHROUGH,
            Kind::Data if self.step.is_large => contestants::KERNEL_IO,
            _ => return None,
        };
        Some(Verdict {
            text: format!("{}: {name} to ext4", self.step.name),
            value: self.to_native(name)?,
            limit: 1.0 / NEAR_NATIVE,
        })
    }
}

impl Verdict {
    fn is_met(&self) -> bool {
        self.value <= self.limit
    }

    fn print(&self) {
        let Self { text, value, limit } = self;
        let verdict = if self.is_met() { "met" } else { "NOT MET" };
        println!("target: {text} ≤ {limit:.2}: {value:.2}, {verdict}");
    }

    fn json(&self) -> Value {
        json!({ "what": self.text, "value": self.value, "limit": self.limit, "met": self.is_met() })
    }
}

impl Report {
    pub(super) fn of(measured: Measured) -> Self {
        Self { measured }
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let rows = &self.measured.rows;
        let rivals = RIVALRIES
            .iter()
            .flat_map(|rivalry| rows.iter().filter_map(|row| row.verdict(rivalry)));
        rivals.chain(rows.iter().filter_map(Row::to_be_native)).collect()
    }

    pub(super) fn print(&self) {
        println!(
            "{:<28} {:>4} {:>9} {:>9} {:>9} {:>8} {:>9} {:>8}",
            "step, ms", "runs", "median", "min", "max", "× native", "CPU", "× native"
        );
        self.measured.rows.iter().for_each(Row::print);
        for (name, why) in &self.measured.left_out {
            println!("left out: {name}: {why}");
        }
        self.print_table();
        let verdicts = self.verdicts();
        verdicts.iter().for_each(Verdict::print);
        let met = verdicts.iter().filter(|verdict| verdict.is_met()).count();
        println!("{met} of {} targets are met", verdicts.len());
    }

    /// Medians × native, a column each, for documents.
    fn print_table(&self) {
        let all: Vec<&Contestant> = contestants::ALL
            .iter()
            .filter(|contestant| contestant.role != Role::Native)
            .filter(|contestant| {
                self.measured
                    .rows
                    .iter()
                    .any(|row| row.of(contestant.name).is_some())
            })
            .collect();
        let names: Vec<&str> = all.iter().map(|contestant| contestant.name).collect();
        println!("\n| × native | {} |", names.join(" | "));
        println!("|---|{}", "---|".repeat(names.len()));
        for row in &self.measured.rows {
            let cells: Vec<String> = names.iter().map(|name| shown(row.to_native(name))).collect();
            println!("| {} | {} |", row.step.name, cells.join(" | "));
        }
        println!();
    }

    pub(super) fn json(&self) -> Value {
        let rows: Vec<Value> = self.measured.rows.iter().map(Row::json).collect();
        let left_out = self.measured.left_out.iter();
        let left_out: Vec<Value> = left_out
            .map(|(name, why)| json!({ "name": name, "why": why }))
            .collect();
        let targets: Vec<Value> = self.verdicts().iter().map(Verdict::json).collect();
        json!({ "rows": rows, "left_out": left_out, "targets": targets })
    }
}

fn shown(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}
