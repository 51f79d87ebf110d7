//! What the fuzz targets do, so that the same is done by a plain test where there is no fuzzer.

mod dual;

use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;

use sandbox_types::SizeExt;

use super::{Backend, Difference, Model, compare, random_steps};
use crate::backend::MemFs;
use crate::fs::{Capabilities, DynFileSystem};
use crate::serve::{Handled, MemoryReply, Server, ServerOptions};

pub use dual::check_dual_operations;

/// Numbers of operations (`enum fuse_opcode`).
const INIT: u32 = 26;
const SETLK: u32 = 32;
const SETLKW: u32 = 33;

/// Room for the answer to a request.
const ROOM: usize = 1 << 16;
/// `struct fuse_in_header` and `struct fuse_out_header`.
const ASKED: usize = 40;
const ANSWERED: usize = 16;

/// An answer that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadAnswer {
    /// The operation that was asked for.
    pub opcode: u32,
    /// The bytes of the answer.
    pub len: usize,
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "operation {} was answered by {} bytes that are no answer",
            self.opcode, self.len
        )
    }
}

/// Carries the operations that `bytes` stand for out on a filesystem in memory and on the model; the first difference.
pub fn check_operations(bytes: &[u8]) -> Result<(), Box<Difference>> {
    const UMASK: u32 = 0o022;
    let Ok(fs) = MemFs::builder().capacity(64.mib()).build() else {
        return Ok(());
    };
    let agreed = fs.init(Capabilities::all()).unwrap_or_default();
    let ids = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let Ok(mut backend) = Backend::new(&fs, agreed, OsStr::new("case"), UMASK) else {
        return Ok(());
    };
    let steps = random_steps(bytes);
    let differences = compare(
        "random operations",
        &steps,
        &mut Model::new(UMASK, ids),
        &mut backend,
    );
    differences
        .into_iter()
        .next()
        .map_or(Ok(()), |difference| Err(Box::new(difference)))
}

/// [`check_requests_of`] a filesystem in memory.
pub fn check_requests(bytes: &[u8]) -> Result<(), BadAnswer> {
    let Ok(fs) = MemFs::builder().capacity(1.mib()).build() else {
        return Ok(());
    };
    check_requests_of(Arc::new(fs), bytes)
}

/// Sends the requests that `bytes` stand for to a server; the first answer that is none. At the end nobody refers to
/// anything any more.
///
/// Each begins with the operation, the inode and the length of the body, a byte each; the rest is the body. What waits for
/// locks is sent as what does not, since nobody would give them up.
pub fn check_requests_of(fs: Arc<dyn DynFileSystem>, bytes: &[u8]) -> Result<(), BadAnswer> {
    let server = Server::new(fs, ServerOptions::default());
    check_answer(&server, &request(INIT, 0, &init_body()))?;
    let mut rest = bytes;
    while let [opcode, ino, len, body @ ..] = rest {
        let (body, next) = body.split_at(usize::from(*len).min(body.len()));
        rest = next;
        let opcode = match u32::from(*opcode) {
            SETLKW => SETLK,
            opcode => opcode,
        };
        check_answer(&server, &request(opcode, u64::from(*ino), body))?;
    }
    server.end();
    Ok(())
}

fn check_answer(server: &Server, request: &[u8]) -> Result<(), BadAnswer> {
    let mut reply = MemoryReply::with_room(ROOM);
    let mut reader = request;
    let handled = server.handle(&mut reader, &mut reply);
    let sent = reply.sent();
    let word = |bytes: &[u8], at: usize| {
        bytes
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .map_or(0, |word| u32::from_ne_bytes(*word))
    };
    let whole = sent.len() >= ANSWERED
        && word(sent, 0) as usize == sent.len()
        && sent.get(8..16) == request.get(8..16)
        && (-4095..=0).contains(&word(sent, 4).cast_signed())
        && (word(sent, 4) == 0 || sent.len() == ANSWERED);
    let good = match handled {
        Ok(Handled::Silent) => sent.is_empty(),
        Ok(_) => whole,
        Err(_) => false,
    };
    if good {
        Ok(())
    } else {
        Err(BadAnswer {
            opcode: word(request, 4),
            len: sent.len(),
        })
    }
}

fn request(opcode: u32, ino: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ASKED + body.len());
    bytes.extend_from_slice(
        &u32::try_from(ASKED + body.len())
            .unwrap_or(u32::MAX)
            .to_ne_bytes(),
    );
    bytes.extend_from_slice(&opcode.to_ne_bytes());
    bytes.extend_from_slice(&77_u64.to_ne_bytes());
    bytes.extend_from_slice(&ino.to_ne_bytes());
    // User, group, process, and what is reserved.
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(body);
    bytes
}

/// 7.45 with all flags.
fn init_body() -> Vec<u8> {
    let words = [7_u32, 45, 1 << 20, u32::MAX];
    let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    body.resize(64, 0);
    body
}

#[cfg(test)]
pub(crate) use tests::request_bytes;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bodies that begin as those of most operations do: small numbers, and a name.
    fn body() -> impl Strategy<Value = Vec<u8>> {
        let number = prop_oneof![0..8_u64, any::<u64>(), 0..100_000_u64];
        let numbers = proptest::collection::vec(number, 0..6);
        (numbers, proptest::option::of("[ab./\0]{0,4}"), any::<bool>()).prop_map(|(numbers, name, ends)| {
            let mut body: Vec<u8> = numbers.into_iter().flat_map(u64::to_ne_bytes).collect();
            body.extend(name.into_iter().flat_map(String::into_bytes));
            body.extend(ends.then_some(0));
            body
        })
    }

    /// Names are made and opened now and then, so that there is something that numbers can mean.
    fn sensible() -> impl Strategy<Value = (u8, u8, Vec<u8>)> {
        const MKDIR: u8 = 9;
        const OPEN: u8 = 14;
        const CREATE: u8 = 35;
        let name = prop_oneof![Just(*b"a\0"), Just(*b"b\0")];
        let made = |opcode, fixed: Vec<u8>| {
            (0..3_u8, name.clone()).prop_map(move |(ino, name)| (opcode, ino, [&fixed[..], &name].concat()))
        };
        let words = |words: &[u32]| {
            words
                .iter()
                .flat_map(|word| word.to_ne_bytes())
                .collect::<Vec<u8>>()
        };
        // O_RDWR | O_CREAT, mode 0644, no umask, no flags; mode 0755.
        prop_oneof![
            made(CREATE, words(&[0o102, 0o644, 0, 0])),
            made(MKDIR, words(&[0o755, 0])),
            (1..5_u8).prop_map(move |ino| (OPEN, ino, words(&[2, 0]))),
        ]
    }

    /// Requests of any operation: of no sense at all, and some that make things.
    pub(crate) fn request_bytes() -> impl Strategy<Value = Vec<u8>> {
        let one = prop_oneof![4 => (0..60_u8, 0..5_u8, body()), 1 => sensible()];
        proptest::collection::vec(one, 0..60).prop_map(|requests| {
            let each = requests.into_iter().flat_map(|(opcode, ino, body)| {
                let mut bytes = vec![opcode, ino, u8::try_from(body.len()).unwrap_or(255)];
                bytes.extend(body.into_iter().take(255));
                bytes
            });
            each.collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_asked_of_a_server_of_memory_it_answers_well(bytes in request_bytes()) {
            prop_assert_eq!(check_requests(&bytes), Ok(()));
        }

        #[test]
        fn any_bytes_are_operations_that_end(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let checked = check_operations(&bytes);
            prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
            prop_assert_eq!(check_requests(&bytes), Ok(()));
        }
    }
}
