//! [`SandboxBuilder`]: a policy, and the live filesystems that it calls by name.

use std::sync::Arc;

use sandbox_types::{Policy, ServeFuse, ServedName};

use crate::error::PrepareError;
use crate::fork::TemplateBuilder;
use crate::prepared::Prepared;
use crate::sandbox::Sandbox;
use crate::served::Filesystems;

/// A sandbox to be made, with filesystems that this process serves. See [`Sandbox::builder`].
#[must_use = "nothing is made before `build` or `prepare`"]
#[derive(Debug, Clone)]
pub struct SandboxBuilder {
    policy: Policy,
    served: Vec<(String, Arc<dyn ServeFuse>)>,
}

impl SandboxBuilder {
    pub(crate) fn new(policy: &Policy) -> Self {
        Self {
            policy: policy.clone(),
            served: Vec::new(),
        }
    }

    /// Mounts `fs` where the policy says [`MountSource::Served`](sandbox_types::MountSource::Served) with this name.
    ///
    /// It is mounted in the sandbox's own user namespace, so that no privilege is needed, and served by this process:
    /// its end is that of the mount. A name that is none, that is given twice, or that the policy mounts nowhere or
    /// twice makes [`build`](Self::build) fail.
    pub fn serve(mut self, name: impl Into<String>, fs: impl ServeFuse + 'static) -> Self {
        self.served.push((name.into(), Arc::new(fs)));
        self
    }

    /// A sandbox for any number of commands.
    ///
    /// # Errors
    /// As [`Prepared::new`], and what is wrong with the names.
    pub fn build(self) -> Result<Sandbox, PrepareError> {
        self.prepare().map(Sandbox::of_prepared)
    }

    /// The policy made ready for many commands, each in a sandbox of its own. Most filesystems can be served to one
    /// sandbox at a time.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn prepare(self) -> Result<Prepared, PrepareError> {
        Prepared::serving(&self.policy, self.filesystems()?)
    }

    /// What is to be forked, in a sandbox with these filesystems; see [`Sandbox::template`].
    ///
    /// # Errors
    /// What is wrong with the names. All else is found when the template is made.
    pub fn template(&self) -> Result<TemplateBuilder<'_>, PrepareError> {
        Ok(TemplateBuilder::new(&self.policy, self.filesystems()?))
    }

    fn filesystems(&self) -> Result<Filesystems, PrepareError> {
        let mut filesystems = Filesystems::default();
        for (name, fs) in &self.served {
            let name: ServedName = name.parse()?;
            if !filesystems.add(name.clone(), Arc::clone(fs)) {
                return Err(PrepareError::ServedAgain { name });
            }
        }
        Ok(filesystems)
    }
}
