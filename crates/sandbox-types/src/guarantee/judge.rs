//! What a set of mechanisms is worth, by the table.

use std::collections::BTreeSet;

use super::Strength::{Narrow, Second, Whole};
use super::{Guarantee, Mechanism, Row, TABLE};
use crate::Status;

/// The answer of [`judge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Enforced, degraded or disabled.
    pub status: Status,
    /// The mechanisms that hold it up.
    pub by: Vec<Mechanism>,
    /// What is missing for `Enforced`; empty when it is.
    pub missing: Vec<Mechanism>,
    /// The sentence of the row that decided.
    pub says: &'static str,
}

/// Says whether `guarantee` holds when exactly the mechanisms in `held` hold.
pub fn judge(guarantee: Guarantee, held: &BTreeSet<Mechanism>) -> Verdict {
    let rows = || TABLE.iter().filter(move |row| row.guarantee == guarantee);
    let holds = |row: &&Row| row.by.iter().all(|mechanism| held.contains(mechanism));
    let of = |strength| rows().filter(move |row| row.strength == strength);
    let missing_of = |row: &Row| {
        row.by
            .iter()
            .copied()
            .filter(|m| !held.contains(m))
            .collect::<Vec<_>>()
    };

    let mut missing: Vec<Mechanism> = of(Second).flat_map(missing_of).collect();
    let best = of(Whole).find(holds).or_else(|| of(Narrow).find(holds));
    let Some(best) = best else {
        let wanted = of(Whole)
            .chain(of(Narrow))
            .min_by_key(|row| missing_of(row).len());
        return Verdict {
            status: Status::Disabled,
            by: Vec::new(),
            missing: wanted.map(missing_of).unwrap_or_default(),
            says: wanted.map_or("no mechanism provides it", |row| row.says),
        };
    };
    if best.strength == Narrow {
        missing.extend(of(Whole).next().into_iter().flat_map(missing_of));
    }
    missing.sort_unstable();
    missing.dedup();
    let mut by: Vec<Mechanism> = best.by.to_vec();
    by.extend(of(Second).filter(holds).flat_map(|row| row.by.iter().copied()));
    by.sort_unstable();
    by.dedup();
    let status = if missing.is_empty() {
        Status::Enforced
    } else {
        Status::Degraded
    };
    Verdict {
        status,
        by,
        missing,
        says: best.says,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Guarantee as G;
    use Mechanism as M;

    fn held(mechanisms: &[Mechanism]) -> BTreeSet<Mechanism> {
        mechanisms.iter().copied().collect()
    }

    #[test]
    fn every_guarantee_has_a_whole_or_narrow_row() {
        for guarantee in Guarantee::ALL {
            assert!(
                TABLE
                    .iter()
                    .any(|row| row.guarantee == *guarantee && row.strength != Second),
                "{guarantee:?} cannot be provided by anything"
            );
        }
    }

    #[test]
    fn a_missing_second_wall_degrades_and_names_itself() {
        let verdict = judge(G::FilesRead, &held(&[M::PrivateRoot]));
        assert_eq!(
            (verdict.status, verdict.missing),
            (Status::Degraded, vec![M::Landlock])
        );
        let verdict = judge(G::FilesRead, &held(&[M::PrivateRoot, M::Landlock]));
        assert_eq!((verdict.status, verdict.missing), (Status::Enforced, vec![]));
    }

    #[test]
    fn a_narrow_row_is_degraded_and_says_what_it_does_not_cover() {
        let verdict = judge(G::Memory, &held(&[M::RlimitData]));
        assert_eq!(
            (verdict.status, verdict.missing),
            (Status::Degraded, vec![M::CgroupMemory])
        );
        assert!(verdict.says.contains("each process"));
    }

    #[test]
    fn nothing_held_means_everything_is_disabled() {
        for guarantee in Guarantee::ALL {
            let verdict = judge(*guarantee, &BTreeSet::new());
            assert_eq!(verdict.status, Status::Disabled, "{guarantee:?}");
            assert!(!verdict.missing.is_empty());
        }
    }

    #[test]
    fn more_mechanisms_never_make_a_guarantee_weaker() {
        let all: Vec<Mechanism> = TABLE
            .iter()
            .flat_map(|row| row.by.iter().copied())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        for guarantee in Guarantee::ALL {
            let mut set = BTreeSet::new();
            let mut last = Status::Disabled;
            for mechanism in &all {
                set.insert(*mechanism);
                let now = judge(*guarantee, &set).status;
                assert!(now >= last, "{guarantee:?} got weaker by {mechanism:?}");
                last = now;
            }
            assert_eq!(last, Status::Enforced, "{guarantee:?}");
        }
    }
}
