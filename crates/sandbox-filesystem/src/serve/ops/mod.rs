//! What each request means. One group of operations a file.

mod attr;
mod dir;
mod file;
mod init;
mod lock;
mod mapping;
mod names;
mod special;
mod xattr;

use super::decode::Fields;
use super::encode::Out;
use super::server::Agreed;
use super::{Opcode, Reply};
use crate::fs::{Context, DataReader, DaxMapper, DynFileSystem, Errno, FsResult, Ino};

pub(super) use init::init;

/// A request that is being answered.
pub(super) struct Call<'a> {
    pub(super) fs: &'a dyn DynFileSystem,
    pub(super) ctx: Context<'a>,
    pub(super) ino: Ino,
    pub(super) agreed: Agreed<'a>,
}

/// The body of an answer.
pub(super) enum Answer {
    /// These bytes.
    Body(Out),
    /// So many that are in the reply already.
    Written(usize),
}

/// Answers what moves data, which stays where it is.
pub(super) fn moved(
    call: &Call<'_>,
    opcode: Opcode,
    request: &mut dyn DataReader,
    length: usize,
    reply: &mut dyn Reply,
) -> Option<FsResult<Answer>> {
    Some(match opcode {
        Opcode::Read => file::read(call, request, reply.body()).map(Answer::Written),
        Opcode::Write => file::write(call, request, length).map(Answer::Body),
        Opcode::Readdir => dir::readdir(call, request, reply.body()).map(Answer::Written),
        Opcode::Readdirplus => dir::readdirplus(call, request, reply.body()).map(Answer::Written),
        _ => return None,
    })
}

/// Answers everything else.
pub(super) fn plain(
    call: &Call<'_>,
    opcode: Opcode,
    fields: Fields<'_>,
    room: usize,
    mapper: Option<&mut dyn DaxMapper>,
) -> FsResult<Out> {
    match opcode {
        Opcode::Lookup => names::lookup(call, fields),
        Opcode::Getattr => attr::getattr(call, fields),
        Opcode::Setattr => attr::setattr(call, fields),
        Opcode::Statx => attr::statx(call, fields),
        Opcode::Access => attr::access(call, fields),
        Opcode::Statfs => attr::statfs(call),
        Opcode::Readlink => names::readlink(call),
        Opcode::Symlink => names::symlink(call, fields),
        Opcode::Mknod => names::mknod(call, fields),
        Opcode::Mkdir => names::mkdir(call, fields),
        Opcode::Unlink => names::unlink(call, fields),
        Opcode::Rmdir => names::rmdir(call, fields),
        Opcode::Rename => names::rename(call, fields),
        Opcode::Rename2 => names::rename2(call, fields),
        Opcode::Link => names::link(call, fields),
        Opcode::Open => file::open(call, fields),
        Opcode::Create => file::create(call, fields),
        Opcode::Tmpfile => file::tmpfile(call, fields),
        Opcode::Release => file::release(call, fields),
        Opcode::Flush => file::flush(call, fields),
        Opcode::Fsync => file::fsync(call, fields),
        Opcode::Fallocate => file::fallocate(call, fields),
        Opcode::Lseek => file::lseek(call, fields),
        Opcode::CopyFileRange => file::copy_file_range(call, fields),
        Opcode::CopyFileRange64 => file::copy_file_range_64(call, fields),
        Opcode::Syncfs => call.fs.syncfs(&call.ctx, call.ino).map(|()| Out::nothing()),
        Opcode::Setxattr => xattr::setxattr(call, fields),
        Opcode::Getxattr => xattr::getxattr(call, fields),
        Opcode::Listxattr => xattr::listxattr(call, fields),
        Opcode::Removexattr => xattr::removexattr(call, fields),
        Opcode::Opendir => dir::opendir(call, fields),
        Opcode::Releasedir => dir::releasedir(call, fields),
        Opcode::Fsyncdir => dir::fsyncdir(call, fields),
        Opcode::Getlk => lock::getlk(call, fields),
        Opcode::Setlk => lock::setlk(call, fields),
        Opcode::Setlkw => lock::setlkw(call, fields),
        Opcode::Ioctl => special::ioctl(call, fields, room),
        Opcode::Poll => special::poll(call, fields),
        Opcode::Bmap => special::bmap(call, fields),
        Opcode::Setupmapping => mapping::setup(call, fields, mapper.ok_or(Errno::ENOSYS)?),
        Opcode::Removemapping => mapping::remove(call, fields, mapper.ok_or(Errno::ENOSYS)?),
        // What the server answers itself, or does not know.
        _ => Err(Errno::ENOSYS),
    }
}

/// Gives back what requests for it have asked for.
pub(super) fn forget(call: &Call<'_>, opcode: Opcode, mut fields: Fields<'_>) -> FsResult<()> {
    if opcode == Opcode::Forget {
        call.fs.forget(call.ino, fields.u64()?);
        return Ok(());
    }
    let count = fields.u32()?;
    fields.skip(4)?;
    for _ in 0..count {
        let ino = fields.u64()?;
        call.fs.forget(ino, fields.u64()?);
    }
    Ok(())
}
