//! What the workloads took, and the targets.

use serde_json::{Value, json};

use super::{
    measure::{Measured, Row},
    ways::Way,
    workloads::Touch,
};
use crate::bench::figures::{Figures, micros, millis};

/// On a branch, of the same work behind the same walls: all together, and each after the first touch.
const OVERALL: f64 = 1.15;
const EACH: f64 = 1.3;

pub(super) struct Report {
    measured: Vec<Measured>,
}

impl Row {
    fn of(&self, way: Way) -> Option<&Figures> {
        self.times
            .iter()
            .find(|(other, _)| *other == way)
            .map(|(_, figures)| figures)
    }

    fn ratio(&self, way: Way, to: Way) -> Option<f64> {
        self.of(way)?.ratio_to(self.of(to)?)
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
            let ratio = |to| {
                self.ratio(*way, to)
                    .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
            };
            println!(
                "  {:<22} {:>5} {:>9.1} {:>9.1} {:>9.1} {:>8} {:>8}",
                way.name(),
                times.count(),
                millis(times.median()),
                millis(times.min()),
                millis(times.max()),
                ratio(way.native()),
                ratio(Way::Bare)
            );
        }
    }

    fn json(&self) -> Value {
        let times = self.times.iter().map(|(way, times)| {
            json!({ "way": way.name(), "runs": times.count(), "median_us": micros(times.median()),
                    "min_us": micros(times.min()), "max_us": micros(times.max()),
                    "to_native": self.ratio(*way, way.native()), "to_bare": self.ratio(*way, Way::Bare) })
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

    /// The geometric mean of all rows, first touches and later ones.
    fn overall(&self, way: Way) -> Option<f64> {
        let ratios: Vec<f64> = self
            .rows()
            .filter_map(|row| row.ratio(way, way.native()))
            .collect();
        geometric_mean(&ratios)
    }

    /// The rows that the second bound is on, with their ratios.
    fn again(&self) -> impl Iterator<Item = (&Row, f64)> {
        self.rows()
            .filter(|row| !row.is_first())
            .filter_map(|row| Some((row, row.ratio(Way::Branch, Way::Confined)?)))
    }

    pub(super) fn print(&self) {
        println!(
            "{:<24} {:>5} {:>9} {:>9} {:>9} {:>8} {:>8}",
            "workload, ms", "runs", "median", "min", "max", "× native", "× bare"
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
        for way in [Way::Branch, Way::Overlay, Way::Fuse] {
            if let Some(mean) = self.overall(way) {
                println!("{}: {mean:.3} × native overall (geometric mean)", way.name());
            }
        }
        self.print_targets();
    }

    fn print_targets(&self) {
        let name = Way::Branch.name();
        match self.overall(Way::Branch) {
            Some(mean) => println!(
                "target: {name} ≤ {OVERALL} × native overall: {mean:.3}, {}",
                verdict(mean, OVERALL)
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
        let overall = self.overall(Way::Branch);
        json!({ "rows": rows, "left_out": left_out, "each": again,
                "overall": { "limit": OVERALL, "ratio": overall, "met": overall.map(|mean| mean <= OVERALL),
                             "overlay_by_hand": self.overall(Way::Overlay),
                             "fuse_overlayfs": self.overall(Way::Fuse) } })
    }
}

pub(super) fn verdict(value: f64, limit: f64) -> &'static str {
    if value <= limit { "met" } else { "not met" }
}

fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    let count = u32::try_from(ratios.len()).ok().filter(|count| *count > 0)?;
    let sum: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    Some((sum / f64::from(count)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_as_slow_and_twice_as_fast_are_even() {
        let mean = geometric_mean(&[2.0, 0.5, 1.0]).unwrap();
        assert!((mean - 1.0).abs() < 1e-9);
        assert_eq!(geometric_mean(&[]), None);
    }
}
