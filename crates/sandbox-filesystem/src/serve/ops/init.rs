//! The first request: what the kernel, the filesystem and the server agree on.

use super::super::decode::Fields;
use super::super::encode::Out;
use super::super::server::{Negotiated, ServerOptions};
use crate::fs::{Capabilities, DynFileSystem, Errno, FsResult};

/// The protocol that is spoken, `FUSE_KERNEL_VERSION`.
const MAJOR: u32 = 7;
const MINOR: u32 = 45;
/// Linux 5.4. Older kernels send shorter structs for some requests.
const OLDEST_MINOR: u32 = 31;

/// Flags of `FUSE_INIT` that concern the server alone.
mod own {
    pub(super) const SETXATTR_EXT: u64 = 1 << 29;
    pub(super) const INIT_EXT: u64 = 1 << 30;
    pub(super) const PASSTHROUGH: u64 = 1 << 37;
}

/// Requests that the kernel sends without being waited for: how many at once, and when that is many.
const MAX_BACKGROUND: u16 = 64;
const CONGESTION: u16 = 48;
/// Memory is counted in these, whatever the page size is.
const PAGE: u32 = 4096;
/// Backing files may lie on one filesystem that is stacked itself.
const STACK_DEPTH: u32 = 1;

/// The answer, and what it agrees on; nothing where the kernel is to ask again in an older version.
pub(in super::super) fn init(
    fs: &dyn DynFileSystem,
    options: &ServerOptions,
    mut fields: Fields<'_>,
) -> FsResult<(Out, Option<Negotiated>)> {
    let (major, minor) = (fields.u32()?, fields.u32()?);
    if major > MAJOR {
        return Ok((Out::new().u32(MAJOR).u32(MINOR).zeros(56), None));
    }
    if major < MAJOR || minor < OLDEST_MINOR {
        return Err(Errno::from_raw(libc::EPROTO));
    }
    let max_readahead = fields.u32()?;
    let low = u64::from(fields.u32()?);
    let high = if low & own::INIT_EXT == 0 {
        0
    } else {
        u64::from(fields.u32()?)
    };
    let offered = low | high << 32;

    let negotiated = negotiate(fs, options, offered)?;
    Ok((
        answer(options, &negotiated, minor.min(MINOR), max_readahead),
        Some(negotiated),
    ))
}

fn negotiate(fs: &dyn DynFileSystem, options: &ServerOptions, offered: u64) -> FsResult<Negotiated> {
    let backing = options.backing.is_some() && offered & own::PASSTHROUGH != 0;
    let mut shown = Capabilities::from_bits_truncate(offered) - options.withheld;
    if backing {
        // The kernel refuses both at once.
        shown -= Capabilities::WRITEBACK_CACHE;
    }
    let always = Capabilities::BIG_WRITES | Capabilities::MAX_PAGES;
    let capabilities = (fs.init(shown)? | always) & shown;
    let acl = capabilities.contains(Capabilities::POSIX_ACL);
    Ok(Negotiated {
        capabilities,
        long_setxattr: acl && offered & own::SETXATTR_EXT != 0,
        backing,
        extended: offered & own::INIT_EXT != 0,
    })
}

/// `struct fuse_init_out`.
fn answer(options: &ServerOptions, agreed: &Negotiated, minor: u32, max_readahead: u32) -> Out {
    let mut flags = agreed.capabilities.bits();
    let chosen = [
        (agreed.extended, own::INIT_EXT),
        (agreed.long_setxattr, own::SETXATTR_EXT),
        (agreed.backing, own::PASSTHROUGH),
    ];
    for (is_chosen, flag) in chosen {
        flags |= if is_chosen { flag } else { 0 };
    }
    let low = u32::try_from(flags & 0xffff_ffff).unwrap_or_default();
    let high = u32::try_from(flags >> 32).unwrap_or_default();
    let max_pages = u16::try_from(options.max_io / PAGE).unwrap_or(u16::MAX);
    Out::new()
        .u32(MAJOR)
        .u32(minor)
        .u32(max_readahead)
        .u32(low)
        .u16(MAX_BACKGROUND)
        .u16(CONGESTION)
        .u32(options.max_io)
        .u32(1)
        .u16(max_pages)
        .u16(0)
        .u32(high)
        .u32(if agreed.backing { STACK_DEPTH } else { 0 })
        .zeros(24)
}
