//! Every request passes here: hooks are asked, the policy decides, the operation is carried out, hooks are told.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::DualFs;
use super::hook::{Operation, Request};
use super::policy::Plan;
use crate::fs::{Context, FsResult, Ino};

/// What a request is about.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    ctx: &'a Context<'a>,
    operation: Operation,
    at: Place<'a>,
    to: Option<Place<'a>>,
}

#[derive(Clone, Copy)]
enum Place<'a> {
    Node(Ino),
    Name(Ino, &'a OsStr),
}

impl<'a> Ask<'a> {
    pub(super) fn node(ctx: &'a Context<'a>, operation: Operation, ino: Ino) -> Self {
        Self {
            ctx,
            operation,
            at: Place::Node(ino),
            to: None,
        }
    }

    pub(super) fn name(ctx: &'a Context<'a>, operation: Operation, parent: Ino, name: &'a OsStr) -> Self {
        Self {
            ctx,
            operation,
            at: Place::Name(parent, name),
            to: None,
        }
    }

    pub(super) fn to(self, parent: Ino, name: &'a OsStr) -> Self {
        Self {
            to: Some(Place::Name(parent, name)),
            ..self
        }
    }
}

impl DualFs {
    /// Carries a request out as hooks and policy say.
    pub(super) fn gate<T>(&self, ask: Ask<'_>, carry_out: impl FnOnce(&Plan) -> FsResult<T>) -> FsResult<T> {
        if self.hooks.is_empty()
            && let Some(plan) = self.always
        {
            check(ask.operation, &plan)?;
            return carry_out(&plan);
        }
        let path = self.path_of(ask.at);
        let new_path = ask.to.and_then(|place| self.path_of(place));
        let request = Request {
            operation: ask.operation,
            path: path.as_deref(),
            new_path: new_path.as_deref(),
            uid: ask.ctx.uid,
            gid: ask.ctx.gid,
            pid: ask.ctx.pid,
        };
        let planned = self.plan(&request);
        let plan = planned.as_ref().ok().copied();
        let result = planned.and_then(|plan| {
            self.allow(&request, &plan)?;
            carry_out(&plan)
        });
        let outcome = result.as_ref().map(drop).map_err(|error| *error);
        for hook in &self.hooks {
            hook.after(&request, plan.as_ref(), outcome);
        }
        result
    }

    fn plan(&self, request: &Request<'_>) -> FsResult<Plan> {
        for hook in &self.hooks {
            hook.before_plan(request)?;
        }
        Ok(self.always.unwrap_or_else(|| self.policy.plan(request)))
    }

    fn allow(&self, request: &Request<'_>, plan: &Plan) -> FsResult<()> {
        for hook in &self.hooks {
            hook.before_dispatch(request, plan)?;
        }
        check(request.operation, plan)
    }

    fn path_of(&self, place: Place<'_>) -> Option<PathBuf> {
        match place {
            Place::Node(ino) => self.table.get(ino).ok()?.path(),
            Place::Name(parent, name) => Some(self.table.get(parent).ok()?.path()?.join(name)),
        }
    }
}

/// A file that is created may be there and only be read: that is found out when it is carried out.
fn check(operation: Operation, plan: &Plan) -> FsResult<()> {
    if operation.changes() && operation != Operation::Create {
        plan.check_change()
    } else {
        Ok(())
    }
}
