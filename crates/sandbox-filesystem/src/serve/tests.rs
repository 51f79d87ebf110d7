//! Requests as bytes: whatever is in them, there is one well-formed answer.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::{Handled, MemoryReply, Opcode, Reply, Server, ServerOptions, Unanswerable};
use crate::fs::{
    AddEntryPlus, Attr, Context, DataReader, DataWriter, DirEntry, DynFileSystem, Entry, Errno, Fit,
    FsResult, Handle, Ino, Lock, LockOwner, OpenFlags, Opened, ReadRequest, RenameFlags, WriteRequest,
    XattrReply,
};

/// Answers yes to most.
#[derive(Default)]
struct Agreeable {
    forgotten: AtomicU64,
}

fn entry() -> Entry {
    Entry {
        ino: 5,
        generation: 1,
        attr: Attr::default(),
        attr_timeout: Duration::from_millis(1500),
        entry_timeout: Duration::ZERO,
    }
}

impl DynFileSystem for Agreeable {
    fn lookup(&self, _: &Context<'_>, _: Ino, name: &OsStr) -> FsResult<Entry> {
        assert!(!name.is_empty() && name.len() < 256);
        Ok(entry())
    }

    fn forget(&self, _: Ino, count: u64) {
        self.forgotten.fetch_add(count, Ordering::SeqCst);
    }

    fn rename(
        &self,
        _: &Context<'_>,
        _: Ino,
        name: &OsStr,
        _: Ino,
        new_name: &OsStr,
        flags: RenameFlags,
    ) -> FsResult<()> {
        assert!((name.len(), new_name.len()) != (0, 0));
        if flags.is_empty() {
            Ok(())
        } else {
            Err(Errno::EINVAL)
        }
    }

    fn open(&self, _: &Context<'_>, _: Ino, _: OpenFlags) -> FsResult<Opened> {
        Ok(Opened {
            handle: Some(41),
            ..Opened::default()
        })
    }

    fn read(
        &self,
        _: &Context<'_>,
        _: Ino,
        _: Option<Handle>,
        _: &ReadRequest,
        data: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        // More than was asked for, and a lie about it.
        while data.write(&[7; 64])? > 0 {}
        Ok(usize::MAX)
    }

    fn write(
        &self,
        _: &Context<'_>,
        _: Ino,
        _: Option<Handle>,
        request: &WriteRequest,
        data: &mut dyn DataReader,
    ) -> FsResult<usize> {
        assert_eq!(data.remaining(), usize::try_from(request.size).unwrap());
        Ok(usize::MAX)
    }

    fn readdirplus(
        &self,
        _: &Context<'_>,
        _: Ino,
        _: Option<Handle>,
        _: u64,
        add: &mut AddEntryPlus<'_>,
    ) -> FsResult<()> {
        let one = DirEntry {
            ino: 5,
            next_offset: 1,
            kind: libc::DT_REG,
            name: OsStr::new("name"),
        };
        while add(one, &mut || Ok(Some(entry())))? == Fit::Taken {}
        Ok(())
    }

    fn getxattr(&self, _: &Context<'_>, _: Ino, _: &OsStr, _: u32) -> FsResult<XattrReply> {
        Ok(XattrReply::Data(vec![1; 100]))
    }

    fn getlk(&self, _: &Context<'_>, _: Ino, _: Option<Handle>, _: LockOwner, lock: Lock) -> FsResult<Lock> {
        Ok(lock)
    }

    fn unlink(&self, _: &Context<'_>, _: Ino, _: &OsStr) -> FsResult<()> {
        panic!("a backend that panics")
    }
}

/// One that was asked for nothing yet.
fn fresh() -> (Arc<Agreeable>, Server) {
    let fs = Arc::new(Agreeable::default());
    let server = Server::new(
        Arc::clone(&fs) as Arc<dyn DynFileSystem>,
        ServerOptions::default(),
    );
    (fs, server)
}

/// One that has begun.
fn server() -> (Arc<Agreeable>, Server) {
    let (fs, server) = fresh();
    assert_eq!(answer(&server, &init(7, 31)).unwrap().0, 0);
    (fs, server)
}

fn init(major: u32, minor: u32) -> Vec<u8> {
    let fields = [major, minor, 1 << 17, 1 << 0 | 1 << 22, 0];
    let body: Vec<u8> = fields.iter().flat_map(|field| field.to_ne_bytes()).collect();
    request(Opcode::Init.number(), &body)
}

fn request(opcode: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(40 + body.len()).unwrap();
    let mut bytes = Vec::new();
    for word in [length, opcode, 77, 0, 1, 0, 0, 0, 0, 0] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

/// The error and the body of the answer.
fn answer(server: &Server, request: &[u8]) -> Option<(i32, Vec<u8>)> {
    let mut reply = MemoryReply::with_room(1 << 16);
    let mut reader = request;
    let handled = server.handle(&mut reader, &mut reply).unwrap();
    if handled == Handled::Silent {
        assert!(reply.sent().is_empty());
        return None;
    }
    let (header, body) = reply.sent().split_at(16);
    let word = |at: usize| u32::from_ne_bytes(*header[at..].first_chunk().unwrap());
    assert_eq!(word(0), u32::try_from(reply.sent().len()).unwrap());
    assert_eq!(word(8), 77, "the number of the request");
    let error = word(4).cast_signed();
    assert!((-4095..=0).contains(&error));
    assert!(error == 0 || body.is_empty());
    Some((-error, body.to_vec()))
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[test]
fn a_request_that_is_cut_short_anywhere_has_an_error_for_an_answer() {
    let long = [0_u8; 128];
    for opcode in Opcode::ALL {
        let (_, server) = server();
        for length in 0..long.len() {
            let silent = answer(&server, &request(opcode.number(), &long[..length])).is_none();
            let may = [
                Opcode::Forget,
                Opcode::BatchForget,
                Opcode::NotifyReply,
                Opcode::Interrupt,
            ];
            assert!(!silent || may.contains(opcode), "{opcode:?} of {length} bytes");
        }
    }
}

#[test]
fn a_length_that_is_not_that_of_the_request_is_an_error() {
    let (_, server) = server();
    for length in [0_u32, 39, 41 + 16, u32::MAX] {
        let mut bytes = request(Opcode::Getattr.number(), &[0; 16]);
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(answer(&server, &bytes).unwrap().0, libc::EINVAL, "{length}");
    }
    let mut extended = request(Opcode::Getattr.number(), &[0; 16]);
    extended[36..38].copy_from_slice(&3_u16.to_ne_bytes());
    assert_eq!(answer(&server, &extended).unwrap().0, libc::EINVAL);
}

#[test]
fn what_has_no_header_cannot_be_answered() {
    let (_, server) = server();
    for length in 0..40 {
        let bytes = request(Opcode::Getattr.number(), &[]);
        let mut reader = &bytes[..length];
        let handled = server.handle(&mut reader, &mut MemoryReply::with_room(64));
        assert_eq!(handled, Err(Unanswerable::Header));
    }
}

#[test]
fn what_is_not_known_is_not_implemented() {
    let (_, server) = server();
    for opcode in [0, 7, 19, 54, 4096, u32::MAX] {
        assert_eq!(answer(&server, &request(opcode, &[])).unwrap().0, libc::ENOSYS);
    }
}

#[test]
fn a_read_gives_no_more_than_was_asked_for() {
    let (_, server) = server();
    let read = |size: u64| words(&[42, 0, size, 0, 0]);
    let (error, body) = answer(&server, &request(Opcode::Read.number(), &read(100))).unwrap();
    assert_eq!((error, body), (0, vec![7; 100]));
    let (error, _) = answer(&server, &request(Opcode::Read.number(), &read(1 << 20))).unwrap();
    assert_eq!(error, libc::EINVAL, "there is no room for that much");
}

#[test]
fn a_write_takes_no_more_than_it_brings() {
    let (_, server) = server();
    let write = |size: u64, data: &[u8]| [&words(&[42, 0, size, 0, 0])[..], data].concat();
    let (error, body) = answer(&server, &request(Opcode::Write.number(), &write(3, b"abc"))).unwrap();
    assert_eq!((error, body), (0, words(&[3])));
    for size in [2, 4, u64::from(u32::MAX)] {
        let bytes = request(Opcode::Write.number(), &write(size, b"abc"));
        assert_eq!(answer(&server, &bytes).unwrap().0, libc::EINVAL, "{size}");
    }
}

#[test]
fn a_listing_ends_where_the_room_does() {
    let (_, server) = server();
    let list = words(&[0, 0, 500, 0, 0]);
    let (error, body) = answer(&server, &request(Opcode::Readdirplus.number(), &list)).unwrap();
    assert_eq!((error, body.len()), (0, 3 * (128 + 32)));
}

#[test]
fn the_size_of_an_attribute_decides_what_is_answered() {
    let (_, server) = server();
    let get = |size: u64| [&words(&[size])[..], b"user.x\0"].concat();
    let ask = |size| answer(&server, &request(Opcode::Getxattr.number(), &get(size))).unwrap();
    assert_eq!(ask(0), (0, words(&[100])));
    assert_eq!(ask(99).0, libc::ERANGE);
    assert_eq!(ask(100), (0, vec![1; 100]));
}

#[test]
fn a_backend_that_panics_has_failed_with_an_input_output_error() {
    let (_, server) = server();
    assert_eq!(
        answer(&server, &request(Opcode::Unlink.number(), b"name\0"))
            .unwrap()
            .0,
        libc::EIO
    );
    assert_eq!(
        answer(&server, &request(Opcode::Lookup.number(), b"name\0"))
            .unwrap()
            .0,
        0
    );
}

/// Takes no answer but the `taken`th that it is given.
struct Refusing {
    inner: MemoryReply,
    error: Errno,
    taken: usize,
    given: usize,
}

impl Reply for Refusing {
    fn body(&mut self) -> &mut dyn DataWriter {
        self.inner.body()
    }

    fn send(&mut self, header: &[u8; 16], body: usize) -> FsResult<()> {
        self.given += 1;
        if self.given == self.taken {
            self.inner.send(header, body)
        } else {
            Err(self.error)
        }
    }
}

#[test]
fn whoever_asked_gets_an_error_where_the_transport_does_not_take_the_answer() {
    let (_, server) = server();
    let request = request(Opcode::Lookup.number(), b"name\0");
    for (error, answers) in [(Errno::ENOMEM, 2), (Errno::ENOENT, 1), (Errno::ENODEV, 1)] {
        let inner = MemoryReply::with_room(1 << 12);
        let mut reply = Refusing {
            inner,
            error,
            taken: 2,
            given: 0,
        };
        let handled = server.handle(&mut &request[..], &mut reply);
        assert_eq!(handled, Err(Unanswerable::Transport(error)));
        assert_eq!(reply.given, answers);
        if answers == 2 {
            let sent = reply.inner.sent();
            assert_eq!(sent.len(), 16);
            assert_eq!(sent[4..8], (-Errno::EIO.raw()).to_ne_bytes());
            assert_eq!(sent[8..], request[8..16]);
        }
    }
}

/// Interrupts the request that it answers while it sends the answer.
struct Interrupting<'a>(MemoryReply, &'a Server);

impl Reply for Interrupting<'_> {
    fn body(&mut self) -> &mut dyn DataWriter {
        self.0.body()
    }

    fn send(&mut self, header: &[u8; 16], body: usize) -> FsResult<()> {
        let interrupt = request(Opcode::Interrupt.number(), &header[8..]);
        assert_eq!(
            answer(self.1, &interrupt),
            None,
            "it is asked for again and again"
        );
        self.0.send(header, body)
    }
}

#[test]
fn a_request_that_is_being_answered_can_be_interrupted() {
    let (_, server) = server();
    let request = request(Opcode::Lookup.number(), b"name\0");
    let mut reply = Interrupting(MemoryReply::with_room(1 << 12), &server);
    let handled = server.handle(&mut &request[..], &mut reply);
    assert_eq!(handled, Ok(Handled::Answered(None)));
}

#[test]
fn references_are_given_back_one_by_one_and_together() {
    let (fs, server) = server();
    assert_eq!(
        answer(&server, &request(Opcode::Forget.number(), &words(&[3]))),
        None
    );
    let batch = words(&[2, 5, 10, 6, 20]);
    assert_eq!(
        answer(&server, &request(Opcode::BatchForget.number(), &batch)),
        None
    );
    // It says three and brings two: those two are given back.
    let short = words(&[3, 5, 100, 6, 200]);
    assert_eq!(
        answer(&server, &request(Opcode::BatchForget.number(), &short)),
        None
    );
    assert_eq!(fs.forgotten.load(Ordering::SeqCst), 333);
}

#[test]
fn an_interrupt_for_a_request_that_is_not_known_is_asked_again() {
    let (_, server) = server();
    let (error, _) = answer(&server, &request(Opcode::Interrupt.number(), &words(&[8]))).unwrap();
    assert_eq!(error, libc::EAGAIN);
}

#[test]
fn the_first_request_agrees_on_no_more_than_was_offered() {
    let (_, server) = fresh();
    let ask = |major, minor| answer(&server, &init(major, minor)).unwrap();
    assert_eq!(ask(7, 8).0, libc::EPROTO);
    assert_eq!(ask(8, 0).1[..4], 7_u32.to_ne_bytes());
    assert!(server.negotiated().is_none());
    let (error, body) = ask(7, 31);
    assert_eq!((error, body.len()), (0, 64));
    assert_eq!(body[12..16], (1_u32 << 0 | 1 << 22).to_ne_bytes());
    assert_eq!(body[20..24], (1_u32 << 20).to_ne_bytes(), "max_write");
    assert!(server.negotiated().is_some());
}

/// Nobody would give back what it refers to.
#[test]
fn before_the_first_request_and_after_the_last_one_nothing_is_done() {
    let (_, server) = fresh();
    let lookup = request(Opcode::Lookup.number(), b"name\0");
    assert_eq!(answer(&server, &lookup).unwrap().0, libc::EIO);
    assert_eq!(answer(&server, &init(7, 31)).unwrap().0, 0);
    assert_eq!(answer(&server, &lookup).unwrap().0, 0);
    let destroy = request(Opcode::Destroy.number(), &[]);
    assert_eq!(answer(&server, &destroy).unwrap().0, 0);
    assert_eq!(answer(&server, &lookup).unwrap().0, libc::EIO);
    assert_eq!(answer(&server, &init(7, 31)).unwrap().0, 0);
    assert_eq!(answer(&server, &lookup).unwrap().0, 0);
}

#[test]
fn whoever_begins_anew_has_nothing_of_what_was_before() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("name"), "").unwrap();
    let fs = crate::backend::PassthroughFs::builder()
        .root_dir(place.path())
        .stat_virtualization(sandbox_types::StatVirtualization::Off)
        .build();
    let fs = Arc::new(fs.unwrap());
    let server = Server::new(
        Arc::<crate::backend::PassthroughFs>::clone(&fs),
        ServerOptions::default(),
    );
    for _ in 0..2 {
        assert_eq!(answer(&server, &init(7, 31)).unwrap().0, 0);
        assert_eq!(fs.known_inodes(), 1);
        let lookup = request(Opcode::Lookup.number(), b"name\0");
        assert_eq!(answer(&server, &lookup).unwrap().0, 0);
        assert_eq!(fs.known_inodes(), 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_bytes_have_one_answer_at_most(opcode in 0_u32..60, body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (_, server) = server();
        answer(&server, &request(opcode, &body));
    }
}
