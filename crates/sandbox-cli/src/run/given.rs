//! What this process gives a sandbox besides the policy: volumes, and a branch that it serves.

use sandbox::{BranchViews, Policy, Prepared, Sandbox, SandboxBuilder};

use super::Leaving;
use super::args::RunArgs;
use super::attached::AttachedVolumes;
use super::on_branch::Session;
use crate::error::CliError;

/// It, for as long as the sandbox lives.
#[derive(Debug)]
pub(crate) struct Given {
    views: BranchViews,
    volumes: AttachedVolumes,
}

impl Given {
    /// Takes what the policy names; the policy with it.
    pub(crate) fn take(
        policy: Policy,
        args: &RunArgs,
        session: Option<&Session>,
    ) -> Result<(Policy, Self), CliError> {
        let views = match session {
            Some(session) => session.views(&policy)?,
            None => BranchViews::default(),
        };
        let (policy, volumes) = AttachedVolumes::take(policy, args, session)?;
        Ok((policy, Self { views, volumes }))
    }

    /// A sandbox for the policy.
    pub(super) fn sandbox(&self, policy: &Policy) -> Result<Sandbox, CliError> {
        Ok(self.builder(policy).build()?)
    }

    /// The same for one command; none where the policy alone does.
    pub(super) fn prepared(&self, policy: &Policy) -> Result<Option<Prepared>, CliError> {
        if self.views.is_empty() && !self.volumes.are_served() {
            return Ok(None);
        }
        Ok(Some(self.builder(policy).prepare()?))
    }

    /// When this process may leave a sandbox that others have joined: what it gives is theirs as well.
    pub(super) fn leaving(&self) -> Leaving {
        if self.volumes.are_there() || !self.views.is_empty() {
            Leaving::Last
        } else {
            Leaving::AnyTime
        }
    }

    /// Gives it back. Nothing that ran in the sandbox is left by now.
    pub(crate) fn give_back(self) {
        self.volumes.give_back();
    }

    /// The same, to be made in any way.
    pub(crate) fn builder(&self, policy: &Policy) -> SandboxBuilder {
        self.views.serve(self.volumes.builder(policy))
    }
}
