//! What every command of one sandbox finds when it starts and is watched for, whoever starts it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox_types::EnforcementReport;

use crate::plan::Plan;
use crate::process::Watch;
use crate::streams::OutputLimit;

/// The part of a plan that starting a command takes. All else has been init's business before.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) env: Vec<(OsString, OsString)>,
    /// Where programs are looked up.
    pub(crate) path: Vec<PathBuf>,
    /// Where a command starts that does not say where.
    pub(crate) cwd: PathBuf,
    pub(crate) watch: Watch,
    pub(crate) output: Option<OutputLimit>,
    pub(crate) report: Arc<EnforcementReport>,
}

impl Surroundings {
    /// Those of a sandbox that `plan` describes. `scratch` is its private directory, where it has one.
    pub(crate) fn of(plan: &Plan, report: &Arc<EnforcementReport>, scratch: Option<&Path>) -> Self {
        Self {
            env: plan.env_in(scratch),
            path: plan.path.clone(),
            cwd: plan.cwd_in(scratch),
            watch: plan.watch,
            output: plan.output,
            report: Arc::clone(report),
        }
    }
}
