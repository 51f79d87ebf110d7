//! A copy of this process from before it had threads, of which templates are made at any time later.
//!
//! The zygote is forked first in main; it holds what the process held then, and the functions that were registered, and
//! waits. A request names one of them and carries its arguments as bytes. It ends when the process does.

use std::fmt::Display;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::fs::MemfdFlags;
use rustix::net::RecvFlags;
use sandbox_types::Policy;
use serde::{Deserialize, Serialize};

use super::enter;
use super::error::ForkError;
use super::order::{Files, Order};
use super::serve::{self, Work};
use super::template::{TemplateBuilder, answer_with, check_threads};
use crate::error::StartError;
use crate::inside::sys::sockets::{Received, Wait, receive, send};
use crate::inside::sys::{self as kernel, Fd};
use crate::messages;
use crate::sandbox::Sandbox;
use crate::sys::{self, Forked};
use crate::wire::{DONE, FAILED, SPAWN};

type Init = Box<dyn FnOnce(&[u8]) -> Work<'static>>;

/// Functions that templates may be made of, see [`zygote`].
#[must_use = "a zygote is made by start()"]
pub struct ZygoteBuilder {
    templates: Vec<(String, Init)>,
}

impl std::fmt::Debug for ZygoteBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.templates.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

/// A process of which templates are made, whatever threads this one has. It ends when this is dropped; templates go on.
#[derive(Debug)]
pub struct Zygote {
    socket: Mutex<OwnedFd>,
    pid: i32,
    names: Vec<String>,
}

/// What a request carries besides descriptors.
#[derive(Serialize, Deserialize)]
struct Request {
    name: String,
    arguments: Vec<u8>,
    order: Order,
}

/// Begins a zygote: a copy of this process from which templates can be made later, when it has threads.
///
/// ```no_run
/// use sandbox_confine::{Policy, zygote};
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     // First in main, before any thread.
///     let zygote = zygote()
///         .register("square", |base: &[u8]| base.to_vec(), |base, id| {
///             Ok::<_, std::convert::Infallible>(format!("{base:?} {}", id * id).into_bytes())
///         })
///         .start()?;
///     let worker = std::thread::spawn(move || {
///         let mut template = zygote.template(&Policy::default(), "square", b"arguments")?;
///         template.fork(10).map(|clones| clones.len())
///     });
///     println!("{}", worker.join().expect("no panic")?);
///     Ok(())
/// }
/// ```
pub fn zygote() -> ZygoteBuilder {
    ZygoteBuilder {
        templates: Vec::new(),
    }
}

impl ZygoteBuilder {
    /// Registers the functions of a template: the first gets the bytes given with the request and answers what the
    /// second needs; see [`TemplateBuilder::typed`] for what becomes of what that one answers. A later one of the same
    /// name takes an earlier one's place.
    pub fn register<S, E: Display>(
        mut self,
        name: impl Into<String>,
        init: impl FnOnce(&[u8]) -> S + 'static,
        work: impl Fn(&S, u32) -> Result<Vec<u8>, E> + 'static,
    ) -> Self
    where
        S: 'static,
    {
        let name = name.into();
        self.templates.retain(|(known, _)| *known != name);
        let init: Init = Box::new(move |arguments| {
            let state = init(arguments);
            Box::new(move |id| answer_with(|| work(&state, id)))
        });
        self.templates.push((name, init));
        self
    }

    /// Forks it off this process, which must have one thread: call it first in main.
    ///
    /// # Errors
    /// [`ForkError::MultiThreaded`], or a failure of fork(2).
    pub fn start(self) -> Result<Zygote, ForkError> {
        check_threads()?;
        let (ours, theirs) = messages::socket_pair()?;
        serve::flush();
        match sys::fork().map_err(|source| ForkError::Enter { step: "fork", source })? {
            Forked::Parent(pid) => Ok(Zygote {
                socket: Mutex::new(ours),
                pid,
                names: self.templates.into_iter().map(|(name, _)| name).collect(),
            }),
            Forked::Child => {
                drop(ours);
                be(theirs, self.templates)
            }
        }
    }
}

impl Zygote {
    /// A template of registered functions, with those arguments for the first.
    ///
    /// # Errors
    /// [`ForkError::NotRegistered`], or as [`Sandbox::new_with_fns`].
    pub fn template(&self, policy: &Policy, name: &str, arguments: &[u8]) -> Result<Sandbox, ForkError> {
        self.template_with(Sandbox::template(policy), name, arguments)
    }

    /// [`Zygote::template`] with a say in how.
    ///
    /// # Errors
    /// As there.
    pub fn template_with(
        &self,
        builder: TemplateBuilder<'_>,
        name: &str,
        arguments: &[u8],
    ) -> Result<Sandbox, ForkError> {
        if !self.names.iter().any(|known| known == name) {
            return Err(ForkError::NotRegistered {
                name: name.to_owned(),
            });
        }
        builder.make_by(|order, files| self.ask(name, arguments, order, files))
    }

    /// The pid of the entrant that the zygote has forked.
    fn ask(&self, name: &str, arguments: &[u8], order: Order, files: &Files) -> Result<i32, ForkError> {
        let request = Request {
            name: name.to_owned(),
            arguments: arguments.to_vec(),
            order,
        };
        let failed = |source: std::io::Error| StartError::Supervisor {
            what: "ask the zygote",
            source,
        };
        let text = serde_json::to_vec(&request).map_err(|error| failed(error.into()))?;
        let blob = messages::sealed("sandbox-template", &text, MemfdFlags::NOEXEC_SEAL)?;
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let [a, b, c, d, rest @ ..] = files.as_array();
        let first: [BorrowedFd<'_>; 5] = [blob.as_fd(), a, b, c, d];
        messages::send(socket.as_fd(), &[SPAWN, 0, 0, 0, 0, 0, 0, 0], &first)?;
        messages::send(socket.as_fd(), &[SPAWN, 0, 0, 0, 0, 0, 0, 0], &rest)?;
        match messages::receive(socket.as_fd(), RecvFlags::empty())? {
            Some(([DONE, pid, ..], _)) => Ok(i32::try_from(pid).unwrap_or(0)),
            Some(([FAILED, _, errno, ..], _)) => Err(failed(std::io::Error::from_raw_os_error(
                i32::try_from(errno).unwrap_or(0),
            ))
            .into()),
            Some(_) | None => Err(ForkError::ZygoteEnded),
        }
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        let socket = self.socket.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It ends when it finds its socket closed.
        let _ = rustix::net::shutdown(&*socket, rustix::net::Shutdown::Both);
        if let Err(error) = sys::wait_for(self.pid) {
            tracing::warn!(%error, "cannot reap the zygote");
        }
    }
}

/// The zygote itself.
fn be(socket: OwnedFd, mut templates: Vec<(String, Init)>) -> ! {
    sys::reset_signals();
    sys::ignore_children();
    // Ctrl-C is its parent's business.
    let _ = kernel::setsid();
    let _ = kernel::set_name(c"sandbox-zygote");
    let socket = Fd::own(std::os::fd::IntoRawFd::into_raw_fd(socket));
    loop {
        let Some((request, files)) = hear(&socket) else {
            kernel::exit(0)
        };
        let answer = match sys::fork() {
            Ok(Forked::Child) => {
                drop(socket);
                let init = templates.iter().position(|(name, _)| *name == request.name);
                let Some((_, init)) = init.map(|index| templates.swap_remove(index)) else {
                    kernel::exit(1)
                };
                let order = request.order;
                enter::enter(&order, &files, |socket| {
                    serve::serve(socket, &order, || init(&request.arguments))
                })
            }
            Ok(Forked::Parent(pid)) => [DONE, u64::from(pid.unsigned_abs()), 0, 0, 0, 0, 0, 0],
            Err(error) => [
                FAILED,
                0,
                error.raw_os_error().map_or(0, i64::from).unsigned_abs(),
                0,
                0,
                0,
                0,
                0,
            ],
        };
        let _ = send(&socket, &answer, &[]);
    }
}

/// The next request; `None` when there will be none.
fn hear(socket: &Fd) -> Option<(Request, Files)> {
    loop {
        let mut fds = Vec::new();
        for count in [5, 4] {
            match receive(socket, Wait::Block) {
                Ok(Received::Message(_, received)) => {
                    let received: Vec<_> = received.into_iter().flatten().collect();
                    if received.len() == count {
                        fds.extend(received.into_iter().map(owned));
                    }
                }
                Ok(Received::Malformed | Received::Nothing) => {}
                Ok(Received::End) | Err(_) => return None,
            }
        }
        let mut fds = fds.into_iter();
        let blob = fds.next();
        let text = blob.and_then(|blob| std::fs::read(format!("/proc/self/fd/{}", blob.as_raw_fd())).ok());
        let request = text.and_then(|text| serde_json::from_slice(&text).ok());
        let files: Option<[OwnedFd; 8]> = fds.collect::<Vec<_>>().try_into().ok();
        // Theirs have such numbers as ours had, which are in nobody's way there only.
        match (
            request,
            files.map(|files| Files::from_array(files).out_of_the_way()),
        ) {
            (Some(request), Some(Ok(files))) => return Some((request, files)),
            _ => drop(send(socket, &[FAILED, 0, 24, 0, 0, 0, 0, 0], &[])),
        }
    }
}

fn owned(fd: Fd) -> OwnedFd {
    let number = fd.number();
    std::mem::forget(fd);
    sys::take_over(number)
}
