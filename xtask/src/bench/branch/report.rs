//! What the workloads took, and the targets.

use std::fmt;

use serde_json::{Value, json};

use super::{
    measure::{Measured, Row, Times},
    ways::Way,
    workloads::Touch,
};
use crate::bench::figures::{micros, millis};

/// On a branch, of the same work behind the same walls: all together, and each after the first touch.
const OVERALL: f64 = 1.15;
const EACH: f64 = 1.3;

pub(super) struct Report {
    measured: Vec<Measured>,
}

impl Row {
    fn of(&self, way: Way) -> Option<&Times> {
        self.times
            .iter()
            .find(|(other, _)| *other == way)
            .map(|(_, times)| times)
    }

    fn ratio(&self, way: Way, to: Way) -> Option<f64> {
        self.of(way)?.wall.ratio_to(&self.of(to)?.wall)
    }

    fn cpu_ratio(&self, way: Way) -> Option<f64> {
        self.of(way)?.cpu.ratio_to(&self.of(way.native())?.cpu)
    }

    fn is_first(&self) -> bool {
        self.touch == Touch::First
    }

    fn label(&self) -> String {
        let when = if self.is_first() { "first touch" } else { "again" };
        format!("{}, {when}", self.name)
    }

    fn print(&self) {
        println!("{}", self.label());
        for (way, times) in &self.times {
            let shown =
                |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            println!(
                "  {:<22} {:>5} {:>9.1} {:>9.1} {:>9.1} {:>8} {:>8} {:>9.1} {:>8}",
                way.name(),
                times.wall.count(),
                millis(times.wall.median()),
                millis(times.wall.min()),
                millis(times.wall.max()),
                shown(self.ratio(*way, way.native())),
                shown(self.ratio(*way, Way::Bare)),
                millis(times.cpu.median()),
                shown(self.cpu_ratio(*way))
            );
        }
    }

    fn json(&self) -> Value {
        let times = self.times.iter().map(|(way, times)| {
            json!({ "way": way.name(), "runs": times.wall.count(),
                    "median_us": micros(times.wall.median()), "min_us": micros(times.wall.min()),
                    "max_us": micros(times.wall.max()), "cpu_us": micros(times.cpu.median()),
                    "cpu_to_native": self.cpu_ratio(*way), "to_native": self.ratio(*way, way.native()), "to_bare": self.ratio(*way, Way::Bare) })
        });
        json!({ "name": self.name, "first_touch": self.is_first(), "ways": times.collect::<Vec<_>>() })
    }
}

impl Report {
    pub(super) fn of(measured: Vec<Measured>) -> Self {
        Self { measured }
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.measured.iter().flat_map(|measured| &measured.rows)
    }

    fn overall(&self, way: Way) -> Option<Overall> {
        let native = way.native();
        let rows = || self.rows().filter(|row| row.ratio(way, native).is_some());
        let again = rows().filter(|row| !row.is_first());
        let sum = |way| -> f64 { rows().filter_map(|row| row.of(way)).map(Times::seconds).sum() };
        Some(Overall {
            wall: geometric_mean(rows().filter_map(|row| row.ratio(way, native)))?,
            again: geometric_mean(again.filter_map(|row| row.ratio(way, native)))?,
            cpu: geometric_mean(rows().filter_map(|row| row.cpu_ratio(way)))?,
            total: sum(way) / sum(native),
        })
    }

    /// The rows that the second bound is on, with their ratios.
    fn again(&self) -> impl Iterator<Item = (&Row, f64)> {
        self.rows()
            .filter(|row| !row.is_first())
            .filter_map(|row| Some((row, row.ratio(Way::Branch, Way::Confined)?)))
    }

    pub(super) fn print(&self) {
        println!(
            "{:<24} {:>5} {:>9} {:>9} {:>9} {:>8} {:>8} {:>9} {:>8}",
            "workload, ms", "runs", "median", "min", "max", "× native", "× bare", "CPU", "× native"
        );
        for measured in &self.measured {
            if let Some((name, why)) = &measured.failure {
                println!("{name}: left out: {why}");
            }
            measured.rows.iter().for_each(Row::print);
            for (way, why) in &measured.left_out {
                println!("  {:<22} left out: {why}", way.name());
            }
        }
        println!("× native: of the same work on the directory itself, behind the same walls or none");
        for way in [Way::Branch, Way::Exact, Way::Overlay, Way::Fuse] {
            if let Some(overall) = self.overall(way) {
                println!("{}: {overall}", way.name());
            }
        }
        self.print_targets();
    }

    fn print_targets(&self) {
        let name = Way::Branch.name();
        match self.overall(Way::Branch) {
            Some(Overall { wall, .. }) => println!(
                "target: {name} ≤ {OVERALL} × native overall: {wall:.3}, {}",
                verdict(wall, OVERALL)
            ),
            None => println!("target: {name} ≤ {OVERALL} × native overall: not measured"),
        }
        for (row, ratio) in self.again() {
            println!(
                "target: {} ≤ {EACH} × native: {ratio:.3}, {}",
                row.name,
                verdict(ratio, EACH)
            );
        }
    }

    pub(super) fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows().map(Row::json).collect();
        let again: Vec<Value> = self
            .again()
            .map(|(row, ratio)| json!({ "name": row.name, "limit": EACH, "ratio": ratio, "met": ratio <= EACH }))
            .collect();
        let left_out: Vec<Value> = self
            .measured
            .iter()
            .flat_map(|measured| {
                let ways = measured.left_out.iter().map(|(way, why)| (way.name(), why));
                ways.chain(measured.failure.iter().map(|(name, why)| (*name, why)))
            })
            .map(|(what, why)| json!({ "what": what, "why": why }))
            .collect();
        let overall = |way| self.overall(way).as_ref().map(Overall::json);
        json!({ "rows": rows, "left_out": left_out, "each": again, "limit": OVERALL,
                "branch": overall(Way::Branch), "exact": overall(Way::Exact), "overlay_by_hand": overall(Way::Overlay),
                "fuse_overlayfs": overall(Way::Fuse) })
    }
}

/// All rows together, as ratios to native.
struct Overall {
    /// The geometric mean, and that without first touches.
    wall: f64,
    again: f64,
    cpu: f64,
    /// All of it one after the other: what takes long weighs more.
    total: f64,
}

impl Overall {
    fn json(&self) -> Value {
        let Self {
            wall,
            again,
            cpu,
            total,
        } = self;
        json!({ "geometric_mean": wall, "after_the_first_touch": again, "cpu": cpu, "in_total": total,
                "met": *wall <= OVERALL })
    }
}

impl fmt::Display for Overall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            wall,
            again,
            cpu,
            total,
        } = self;
        write!(
            f,
            "{wall:.3} × native overall (geometric mean), after the first touch {again:.3} ×, in total \
             {total:.3} ×, CPU time {cpu:.3} ×"
        )
    }
}

pub(super) fn verdict(value: f64, limit: f64) -> &'static str {
    if value <= limit { "met" } else { "not met" }
}

fn geometric_mean(ratios: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = ratios.fold((0_u32, 0.0), |(count, sum), ratio| (count + 1, sum + ratio.ln()));
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_as_slow_and_twice_as_fast_are_even() {
        let mean = geometric_mean([2.0, 0.5, 1.0].into_iter()).unwrap();
        assert!((mean - 1.0).abs() < 1e-9);
        assert_eq!(geometric_mean([].into_iter()), None);
    }
}
