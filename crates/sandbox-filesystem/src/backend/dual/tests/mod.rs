//! Tests without a mount: requests as a kernel would send them, and what the backends then have.

mod conforms;
mod copies;
mod crash;
mod freed;
mod hooks;
mod kept;
mod links;
mod many;
mod policies;
mod watched;
mod whims;

use std::ffi::OsStr;
use std::sync::Arc;

use sandbox_types::{SizeExt, StatVirtualization};

use super::{DispatchPolicy, DualFs, DualFsBuilder, Durability};
use crate::backend::{MemFs, OverlayFs, PassthroughFs};
use crate::fs::{Capabilities, Context, DynFileSystem};
use crate::tree::Tree;

type Fs = Arc<dyn DynFileSystem>;

fn ctx() -> Context<'static> {
    Context::new(
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

fn mem() -> Fs {
    Arc::new(MemFs::builder().capacity(512.mib()).build().unwrap())
}

/// A directory of the host that is served, and removed with the value.
fn passthrough(root: &tempfile::TempDir, stat: StatVirtualization) -> Fs {
    let builder = PassthroughFs::builder().root_dir(root.path());
    Arc::new(builder.stat_virtualization(stat).build().unwrap())
}

fn builder(a: &Fs, b: &Fs) -> DualFsBuilder {
    DualFs::builder()
        .backend_a(Arc::clone(a))
        .backend_b(Arc::clone(b))
        .durability(Durability::Volatile)
}

fn with(a: &Fs, b: &Fs, policy: impl DispatchPolicy + 'static) -> DualFs {
    let fs = builder(a, b).policy(policy).build().unwrap();
    fs.init(Capabilities::all()).unwrap();
    fs
}

fn dual(a: &Fs, b: &Fs) -> DualFs {
    let fs = builder(a, b).build().unwrap();
    fs.init(Capabilities::all()).unwrap();
    fs
}

fn tree(fs: &dyn DynFileSystem) -> Tree<'_> {
    Tree::new(fs, ctx())
}

/// Sorted.
fn names(fs: &dyn DynFileSystem, path: &str) -> Vec<String> {
    tree(fs).names(path)
}

/// An overlay without a writable layer.
fn read_only_overlay(layer: &tempfile::TempDir) -> Fs {
    let builder = OverlayFs::builder().layer(layer.path()).read_only();
    Arc::new(builder.build().unwrap())
}

fn lookup(fs: &dyn DynFileSystem, parent: u64, name: &str) -> crate::fs::FsResult<crate::fs::Entry> {
    fs.lookup(&ctx(), parent, OsStr::new(name))
}
