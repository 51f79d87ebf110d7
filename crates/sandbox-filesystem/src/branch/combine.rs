//! Merging branches of one workspace into a new one.

use std::collections::BTreeSet;

use sandbox_types::{BranchName, ConflictPolicy, MergeReport};

use super::create::CreateOptions;
use super::error::BranchError;
use super::handle::Branch;
use super::layer_writer::LayerWriter;
use super::manifest::Mode;
use super::merge::{self, Common, MergeError, Policies, Side};
use super::progress::{Phase, Progress};
use super::review::{IgnoredFiles, ReviewError, ReviewOptions};
use super::stack::{LayerFormat, Stack};
use super::workspace::Workspace;

/// Why branches were not merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CombineError {
    /// A branch cannot be had.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// What a branch has changed could not be found out.
    #[error(transparent)]
    Review(#[from] ReviewError),
    /// They could not be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// There is nothing to merge with.
    #[error("a merge takes two branches or more")]
    TooFew,
    /// One is named more than once.
    #[error("branch {name} is named twice: a merge takes different branches")]
    Twice {
        /// Which.
        name: BranchName,
    },
}

impl CombineError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Branch(error) => error.hint(),
            Self::Review(error) => error.hint(),
            Self::Merge(_) | Self::TooFew | Self::Twice { .. } => None,
        }
    }
}

impl Workspace {
    /// Merges what `names` have changed into the new branch `into`: path by path, and with
    /// [`ConflictPolicy::Text`] line by line. The branches stay as they are.
    ///
    /// Where the report has an unsettled conflict there is no new branch.
    ///
    /// # Errors
    /// A branch is not there or in use; `into` is.
    pub fn merge(
        &self,
        names: &[BranchName],
        into: &BranchName,
        policy: ConflictPolicy,
    ) -> Result<MergeReport, CombineError> {
        self.merge_with(names, into, policy, &mut |_| {})
    }

    /// [`Workspace::merge`], telling how far it has come.
    ///
    /// # Errors
    /// See [`Workspace::merge`].
    pub fn merge_with(
        &self,
        names: &[BranchName],
        into: &BranchName,
        policy: ConflictPolicy,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<MergeReport, CombineError> {
        if names.len() < 2 {
            return Err(CombineError::TooFew);
        }
        let mut seen = BTreeSet::new();
        if let Some(name) = names.iter().find(|name| !seen.insert(*name)) {
            return Err(CombineError::Twice { name: name.clone() });
        }
        let branches = names
            .iter()
            .map(|name| self.get(name))
            .collect::<Result<Vec<_>, _>>()?;
        let _held = branches.iter().map(Branch::hold).collect::<Result<Vec<_>, _>>()?;
        branches.iter().try_for_each(Branch::check_settled)?;
        branches.iter().try_for_each(Branch::complete_links)?;
        let options = ReviewOptions {
            ignored: IgnoredFiles::Include,
            ..ReviewOptions::default()
        };
        let mut state = Progress::start(Phase::Comparing, None, None);
        let mut reviews = Vec::with_capacity(branches.len());
        for branch in &branches {
            let before = state.entries;
            reviews.push(branch.review(&options, &mut |seen| {
                state.entries = before + seen;
                progress(state);
            })?);
        }
        let base = Stack::open(&[], self.base()).map_err(BranchError::io("open", self.base()))?;
        let base = base.exclude(self.left_out());
        let common = Common {
            stack: &base,
            changes: &[],
        };
        let sides: Vec<_> = branches
            .iter()
            .zip(&reviews)
            .map(|(branch, review)| Side {
                name: branch.name(),
                stack: &review.stack,
                changes: &review.set.changes,
            })
            .collect();
        let result = self.create_with(into, &CreateOptions::default(), progress)?;
        let merged = result.writer().map_err(CombineError::from).and_then(|writer| {
            Ok(merge::merge(
                &common,
                &sides,
                writer,
                &Policies::all(policy),
                progress,
            )?)
        });
        match merged {
            Ok(report) if report.unsettled().next().is_none() => {
                result.born_with(&branches)?;
                Ok(report)
            }
            other => {
                result.discard()?;
                other
            }
        }
    }
}

impl Branch {
    /// Writes to its topmost layer, on which nothing has run yet.
    pub(crate) fn writer(&self) -> Result<LayerWriter, BranchError> {
        let part = self.top().part(None);
        let (root, format) = match self.mode() {
            Mode::Kernel | Mode::Exact => (part.upper(), LayerFormat::Overlay),
            Mode::Copy => (part.tree(), LayerFormat::Complete),
        };
        LayerWriter::open(&root, format).map_err(BranchError::io("open", &root))
    }
}
