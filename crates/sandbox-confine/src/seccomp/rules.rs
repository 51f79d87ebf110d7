//! The filter as a list of rules, before it becomes a program. Pure data, for any architecture.

use std::cmp::Reverse;

use super::arguments;
use super::conditions::{Case, Verdict};
use super::error::SeccompError;
use super::numbers::{self, Arch};
use super::select;
use super::spec::FilterSpec;

/// How one system call is answered in one case. A known call that no rule matches is EPERM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// The system call, by number.
    pub(super) number: u32,
    /// When, and what then.
    pub(super) case: Case,
}

/// The rules of `spec` for `arch`, from the highest number to the lowest: libseccomp keeps a sorted list, and this
/// is the order in which each rule goes to its head.
pub(super) fn plan(spec: &FilterSpec, arch: Arch) -> Result<Vec<Rule>, SeccompError> {
    let mut rules = Vec::new();
    for call in select::allowed(spec)? {
        let Some(number) = numbers::number(call, arch) else {
            continue;
        };
        let cases = arguments::cases(call, spec).unwrap_or_else(|| vec![Case::allow([])]);
        rules.extend(cases.into_iter().map(|case| Rule { number, case }));
    }
    if let Some(number) = numbers::number("clone3", arch) {
        let case = Case {
            verdict: Verdict::Errno(libc::ENOSYS),
            when: Vec::new(),
        };
        rules.push(Rule { number, case });
    }
    rules.sort_by_key(|rule| Reverse(rule.number));
    Ok(rules)
}
