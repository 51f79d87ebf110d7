//! Building a [`DualFs`].

use std::fmt;
use std::sync::Arc;

use super::DualFs;
use super::hook::Hook;
use super::policy::{DispatchPolicy, ReadBackendBWriteBackendA};
use crate::backend::overlay::Durability;
use crate::fs::DynFileSystem;

/// Configures a [`DualFs`].
#[derive(Default)]
#[must_use]
pub struct DualFsBuilder {
    a: Option<Arc<dyn DynFileSystem>>,
    b: Option<Arc<dyn DynFileSystem>>,
    policy: Option<Arc<dyn DispatchPolicy>>,
    hooks: Vec<Arc<dyn Hook>>,
    durability: Durability,
}

/// Something that a [`DualFsBuilder`] cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DualFsProblem {
    /// `backend_a` was not called.
    #[error("no backend A: say where changes go, as in backend_a(Arc::new(fs))")]
    NoBackendA,
    /// `backend_b` was not called.
    #[error("no backend B: say what is beneath, as in backend_b(Arc::new(fs))")]
    NoBackendB,
    /// Both are the same filesystem.
    #[error("backends A and B are the same filesystem: what is written to A would change B")]
    SameBackend,
}

/// All problems of one [`DualFsBuilder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidDualFs(Vec<DualFsProblem>);

impl DualFsBuilder {
    /// Where every change goes. Required. Nobody else may change it meanwhile. In its root a directory `.sandbox-dual` is made when
    /// something has to be finished elsewhere before it appears, and removed at the end where nothing is kept in it.
    pub fn backend_a(mut self, fs: Arc<dyn DynFileSystem>) -> Self {
        self.a = Some(fs);
        self
    }

    /// What is beneath. Required. It is never changed, so several filesystems can have the same one at the same time.
    pub fn backend_b(mut self, fs: Arc<dyn DynFileSystem>) -> Self {
        self.b = Some(fs);
        self
    }

    /// What is seen of both. By default [`ReadBackendBWriteBackendA`].
    pub fn policy(mut self, policy: impl DispatchPolicy + 'static) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Watches requests, and may deny them. May be called several times: hooks are asked in this order.
    pub fn hook(mut self, hook: impl Hook + 'static) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Whether a file is on the disk before its copy takes its place. By default it is.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The filesystem. Neither backend is asked anything before it is used.
    ///
    /// # Errors
    ///
    /// All problems of the configuration at once.
    pub fn build(self) -> Result<DualFs, InvalidDualFs> {
        let mut problems = Vec::new();
        match (&self.a, &self.b) {
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => problems.push(DualFsProblem::SameBackend),
            (a, b) => {
                problems.extend(a.is_none().then_some(DualFsProblem::NoBackendA));
                problems.extend(b.is_none().then_some(DualFsProblem::NoBackendB));
            }
        }
        match (self.a, self.b) {
            (Some(a), Some(b)) if problems.is_empty() => {
                let policy = self.policy.unwrap_or_else(|| Arc::new(ReadBackendBWriteBackendA));
                Ok(DualFs::new(a, b, policy, self.hooks, self.durability))
            }
            _ => Err(InvalidDualFs(problems)),
        }
    }
}

impl fmt::Debug for DualFsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DualFsBuilder")
            .field("hooks", &self.hooks.len())
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

impl InvalidDualFs {
    /// Each of them.
    pub fn problems(&self) -> &[DualFsProblem] {
        &self.0
    }
}

impl fmt::Display for InvalidDualFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidDualFs {}
