//! The keeper of a template's clones: parent of the template and of every clone, in a user namespace of its own.
//!
//! It makes each clone's pid namespace and the first process in it ([`nested`]), hands the namespace to the template,
//! and learns which process the template has been forked into there. A clone's parent is the keeper, because the
//! process that forks it ends at once and the keeper is the subreaper: so its end is seen by somebody who is trusted,
//! whatever becomes of the template. When a clone ends, so does the first process of its namespace, and with it the
//! kernel ends all that is left there; only then is the end told.
//!
//! Like init, of whose program it is a part, it is not dumpable, allocates nothing, never panics, and blocks on nothing
//! but its own sockets. It ends with everything it keeps when the supervisor's end of its control socket closes.

mod ask;
mod batch;
mod clone;
mod nested;
mod places;
mod workshop;

use crate::sys::events::{Event, Events, Interest};
use crate::sys::files;
use crate::sys::sockets::{Received, Wait, receive, send};
use crate::sys::{self, ECONNRESET, EINVAL, ESRCH, Errno, Fd, Mapping};
use crate::wire::{
    BATCH, BATCH_DONE, BATCH_END, BATCH_REST, CLONE_PAUSE, CLONE_PID, CLONE_RESUME, CLOSED, DONE, ELSEWHERE,
    END, EXITED, Entry, FAILED, FORK, FORKED, MAX_VIEWS, MESSAGE_FDS, Message, READY, SHOW, SIGNAL, Shape,
    TREES, VIEWS,
};
use batch::Batch;
use clone::{Clone, Gone};
use nested::Nested;
use places::Places;
use workshop::Workshop;

const SIGKILL: u64 = 9;
const CONTROL: u64 = 0;
const TEMPLATE: u64 = 1;
const CHILDREN: u64 = 2;
/// The channel of the clone at place n has this plus n.
const CHANNELS: u64 = 3;
/// So many clones are asked for before the template has answered for the first of them: each is four descriptors on
/// their way, of which a user may have only so many (unix(7)).
const WINDOW: usize = 32;
/// So many messages of the template are read before somebody else's turn comes. It owes at most one for each clone of
/// the window: what says more than that is no template of ours.
const MESSAGES: usize = 4 * WINDOW;
/// So many of its failures are told before it is ready: a supervisor that does not listen must have room for what it
/// waits for.
const FAILURES: u32 = 16;
/// How often it is looked at whether a template takes too long for a clone, in ms.
const LOOK_MS: i32 = 100;
/// How long a process may take from the closing of its descriptors to its end, in ms.
const ENDING_MS: u32 = 100;

struct Keeper<'a> {
    control: &'a Fd,
    socket: &'a Fd,
    events: Events,
    nested: Nested,
    /// Where views are made, and those of the clones to come.
    workshop: Option<Workshop>,
    views: Option<Mapping>,
    template: Template,
    /// Whether the template has said that it is ready.
    is_ready: bool,
    /// How many more of its failures are told until then.
    failures: u32,
    /// Whether the template's end of the socket is open.
    is_heard: bool,
    batch: Batch,
    clones: Places,
}

/// The process that is forked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Template {
    Alive(i32),
    Gone,
}

/// Keeps clones until the supervisor is gone.
pub fn until_the_end(control: &Fd, template: &Fd, pid: u64) -> sys::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| EINVAL)?;
    sys::set_dumpable_off()?;
    sys::set_name(c"sandbox-keeper")?;
    sys::become_subreaper()?;
    sys::raise_open_files();
    let children = sys::signal_fd()?;
    let events = Events::new()?;
    events.add(control, CONTROL)?;
    events.add(template, TEMPLATE)?;
    events.add(&children, CHILDREN)?;
    let mut keeper = Keeper {
        control,
        socket: template,
        events,
        nested: Nested::new()?,
        workshop: None,
        views: None,
        template: Template::Alive(pid),
        is_ready: false,
        failures: FAILURES,
        is_heard: true,
        batch: Batch::default(),
        clones: Places::new(),
    };
    let result = keeper.run(&children);
    keeper.end_everything();
    result
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

impl Keeper<'_> {
    fn run(&mut self, children: &Fd) -> sys::Result<()> {
        let mut events = [Event::default(); 64];
        // A template may have ended before its end could be noticed.
        self.serve_template()?;
        self.reap()?;
        loop {
            let count = self.events.wait(&mut events, self.patience())?;
            self.look_at_template();
            for event in events.iter().take(count) {
                match event.token() {
                    CONTROL => {
                        if self.serve_control()? == Next::End {
                            return Ok(());
                        }
                    }
                    TEMPLATE => self.serve_template()?,
                    CHILDREN => {
                        let mut information = [0_u8; 128];
                        // Only empties it: who has ended is asked for next, whatever is in it.
                        let _ = files::read(children, &mut information);
                        self.reap()?;
                    }
                    channel => self.serve_channel(channel.saturating_sub(CHANNELS) as usize),
                }
            }
        }
    }

    /// How long to wait for something to happen, ms: without end where nobody owes anything.
    fn patience(&self) -> i32 {
        if self.batch.is_owed() { LOOK_MS } else { -1 }
    }

    /// A template that does not go on is ended: the supervisor waits for its clones.
    fn look_at_template(&mut self) {
        if self.batch.takes_too_long(sys::monotonic_us()) {
            self.batch.is_stalled = true;
            self.kill_template();
        }
    }

    fn kill_template(&self) {
        if let Template::Alive(pid) = self.template {
            // ESRCH: it has ended already.
            let _ = sys::kill(pid, SIGKILL);
        }
    }

    fn serve_control(&mut self) -> sys::Result<Next> {
        while self.batch.under_way < WINDOW {
            let (message, fds) = match receive(self.control, Wait::Never)? {
                Received::Message(message, fds) => (message, fds),
                Received::Malformed => continue,
                Received::Nothing => return Ok(Next::GoOn),
                Received::End => return Ok(Next::End),
            };
            match message {
                [BATCH, count, patience_ms, shape, ..] => self.begin(count, patience_ms, Shape(shape), &fds),
                [FORK, first, count, ..] => self.fork(first, count, fds),
                [TREES, ..] => self.workshop = Workshop::start(fds).ok(),
                [SHOW, ..] => self.show(&fds),
                [VIEWS, ..] => self.take_views(&fds),
                [BATCH_REST, ..] => self.give_up_rest(),
                [END, ..] => self.kill_template(),
                _ => {}
            }
        }
        if files::is_hung_up(self.control) {
            return Ok(Next::End);
        }
        // More is read when the template has answered.
        self.events.change(self.control, CONTROL, Interest::End)?;
        Ok(Next::GoOn)
    }

    fn begin(&mut self, count: u64, patience_ms: u64, shape: Shape, common: &[Option<Fd>; MESSAGE_FDS]) {
        self.batch = Batch {
            shape,
            missing: count,
            is_open: true,
            since_us: sys::monotonic_us(),
            patience_us: patience_ms.saturating_mul(1000),
            ..Batch::default()
        };
        let mut with = [self.socket; 3];
        let mut count_of_common = 0;
        for (slot, stream) in with.iter_mut().zip(common.iter().flatten()) {
            *slot = stream;
            count_of_common += 1;
        }
        let has_views = u64::from(self.views.is_some());
        let message = [BATCH, has_views, 0, shape.0, 0, 0, 0, 0];
        // It would not take what it is asked for next, and nobody would answer.
        self.batch.untold = send(
            self.socket,
            &message,
            with.get(..count_of_common).unwrap_or_default(),
        )
        .err();
        if count == 0 {
            self.all_asked_for();
        }
        self.close_batch();
    }

    /// Makes overlays that are only read, and hands them over.
    fn show(&self, fds: &[Option<Fd>; MESSAGE_FDS]) {
        let [Some(channel), Some(blob), ..] = fds else {
            return;
        };
        let made = self.workshop.as_ref().ok_or(EINVAL).and_then(|workshop| {
            workshop.take_orders(Mapping::of_file(blob, files::size(blob)?)?);
            workshop.make()
        });
        match made {
            Ok(made) => {
                let mut with = [channel; MAX_VIEWS];
                let mut count = 0;
                for (slot, file) in with.iter_mut().zip(made.overlays.iter().flatten()) {
                    *slot = file;
                    count += 1;
                }
                let message = [DONE, count as u64, 0, 0, 0, 0, 0, 0];
                // One who is gone does not miss it.
                let _ = send(channel, &message, with.get(..count).unwrap_or_default());
            }
            Err(errno) => answer(fds, Err(errno), None),
        }
    }

    /// The views of the clones that are asked for next.
    fn take_views(&mut self, fds: &[Option<Fd>; MESSAGE_FDS]) {
        let [Some(blob), ..] = fds else { return };
        let read = || Mapping::of_file(blob, files::size(blob)?);
        // What is missing is noticed with the first clone.
        self.views = read().ok();
        if let (Some(workshop), Ok(orders)) = (&self.workshop, read()) {
            workshop.take_orders(orders);
        }
    }

    fn serve_template(&mut self) -> sys::Result<()> {
        for _ in 0..MESSAGES {
            if !self.is_heard {
                return Ok(());
            }
            let received = match receive(self.socket, Wait::Never) {
                Ok(received) => received,
                // It has ended with messages unread, which is told before what it has said.
                Err(ECONNRESET) => continue,
                Err(_) => return self.lose_template(),
            };
            match received {
                Received::Message([READY, pid, ..], _) => self.ready(pid),
                Received::Message(message @ [FAILED, ..], _) => self.failed(&message),
                Received::Message([FORKED, words @ ..], _) => {
                    for entry in words.into_iter().filter_map(Entry::from_word) {
                        self.forked(entry)?;
                    }
                }
                Received::Message([BATCH_END, ..], _) => {
                    self.batch.is_ending = false;
                    self.close_batch();
                }
                Received::Message(..) | Received::Malformed => {}
                Received::Nothing => return Ok(()),
                Received::End => return self.lose_template(),
            }
        }
        Ok(())
    }

    /// The template is ready, or somebody else says so.
    fn ready(&mut self, pid: u64) {
        let is_template = self.template == Template::Alive(i32::try_from(pid).unwrap_or(0));
        if is_template && !core::mem::replace(&mut self.is_ready, true) {
            self.tell(&[READY, pid, 0, 0, 0, 0, 0, 0]);
        } else if !is_template {
            self.failed(&[FAILED, ELSEWHERE, pid, 0, 0, 0, 0, 0]);
        }
    }

    /// Something has failed before the template was ready. Afterwards nobody waits for such news.
    fn failed(&mut self, message: &Message) {
        if !self.is_ready && self.failures > 0 {
            self.failures -= 1;
            self.tell(message);
        }
    }

    /// Nothing more comes of the template: it has ended, or closed its end and is of no use.
    fn lose_template(&mut self) -> sys::Result<()> {
        if core::mem::replace(&mut self.is_heard, false) {
            self.events.forget(self.socket)?;
        }
        if !self.is_ready && !self.is_ending() {
            self.failed(&[FAILED, CLOSED, 0, 0, 0, 0, 0, 0]);
        }
        self.kill_template();
        Ok(())
    }

    /// Whether the template, whose socket is closed, is on its way out, of which that is a step.
    fn is_ending(&self) -> bool {
        let Template::Alive(pid) = self.template else {
            return true;
        };
        (0..ENDING_MS).any(|_| {
            let has_ended = sys::state(pid) == sys::State::Ended;
            if !has_ended {
                files::pause(1);
            }
            has_ended
        })
    }

    fn forked(&mut self, entry: Entry) -> sys::Result<()> {
        let (place, pid) = (usize::from(entry.place), i32::try_from(entry.number).unwrap_or(0));
        if !self.clones.get(place).is_some_and(Clone::is_awaited) {
            return Ok(());
        }
        if pid > 1 && self.clones.of(pid).is_none() {
            self.clones.change(place, |clone| clone.runs_as(pid));
            self.batch.running += 1;
        } else {
            self.clones.change(place, Clone::give_up);
            let errno = match entry.errno {
                0 => EINVAL,
                errno => Errno(i32::from(errno)),
            };
            self.batch.fail(errno);
        }
        self.answered()
    }

    /// The template has answered for one more clone.
    fn answered(&mut self) -> sys::Result<()> {
        let was_full = self.batch.under_way >= WINDOW;
        self.batch.under_way = self.batch.under_way.saturating_sub(1);
        self.batch.since_us = sys::monotonic_us();
        if was_full && self.batch.under_way < WINDOW {
            self.events.change(self.control, CONTROL, Interest::Input)?;
        }
        self.close_batch();
        Ok(())
    }

    fn close_batch(&mut self) {
        let batch = &self.batch;
        if batch.is_open && batch.missing == 0 && !batch.is_owed() {
            let is_stalled = u64::from(batch.is_stalled);
            let message = [
                BATCH_DONE,
                batch.running,
                batch.failed,
                batch.errno,
                is_stalled,
                0,
                0,
                0,
            ];
            self.batch.is_open = false;
            self.tell(&message);
        }
    }

    fn serve_channel(&mut self, place: usize) {
        let Some(clone) = self.clones.get(place) else {
            return;
        };
        let Some(channel) = clone.channel() else { return };
        match receive(channel, Wait::Never) {
            Ok(Received::Message([SIGNAL, signal, ..], _)) => clone.signal(signal),
            Ok(Received::Message([CLONE_PAUSE, ..], fds)) => answer(&fds, nested::stop(clone.first()), None),
            Ok(Received::Message([CLONE_RESUME, ..], fds)) => {
                answer(&fds, nested::go_on(clone.first()), None);
            }
            Ok(Received::Message([CLONE_PID, ..], fds)) => match clone.pidfd() {
                Ok(pidfd) => answer(&fds, Ok(()), Some(&pidfd)),
                Err(errno) => answer(&fds, Err(errno), None),
            },
            Ok(Received::Nothing) => {}
            // Whoever held it has let go of it: it ends.
            Ok(Received::Message(..) | Received::Malformed | Received::End) | Err(_) => {
                self.clones.change(place, Clone::let_go);
            }
        }
    }

    /// Reaps whatever has ended, orphans included.
    fn reap(&mut self) -> sys::Result<()> {
        while let Some((pid, status, usage)) = sys::wait() {
            if status & 0xff == 0x7f || status == 0xffff {
                // Stopped or continued, which is no end.
                continue;
            }
            let Some(place) = self.place_of(pid)? else {
                if self.template == Template::Alive(pid) {
                    self.template_ended(status)?;
                }
                continue;
            };
            let ended = self.clones.change(place, |clone| {
                let gone = clone.has_ended(pid, status, usage);
                (gone, clone.is_awaited())
            });
            if let Some((Gone::Whole, was_awaited)) = ended {
                self.clones.remove(place);
                if was_awaited {
                    // Its first process was ended before the template had answered.
                    self.batch.fail(ESRCH);
                    self.answered()?;
                }
            }
        }
        Ok(())
    }

    /// The place of the clone that one of these processes belongs to; `None` for the template and for orphans.
    fn place_of(&mut self, pid: i32) -> sys::Result<Option<usize>> {
        if let Some(place) = self.clones.of(pid) {
            return Ok(Some(place));
        }
        // What the template says of a clone, it says before that clone becomes a child of the keeper's.
        self.serve_template()?;
        Ok(self.clones.of(pid))
    }

    fn template_ended(&mut self, status: i32) -> sys::Result<()> {
        self.template = Template::Gone;
        let word = u64::from(status.cast_unsigned());
        self.tell(&[EXITED, word, sys::monotonic_us(), 0, 0, 0, 0, 0]);
        for place in self.clones.all() {
            // Whoever forks for the template may outlive it for a moment, and is not waited for.
            if self.clones.get(place).is_some_and(Clone::is_awaited) {
                self.clones.change(place, Clone::give_up);
                self.batch.under_way = self.batch.under_way.saturating_sub(1);
                self.batch.fail(ESRCH);
            }
        }
        self.batch.is_ending = false;
        self.events.change(self.control, CONTROL, Interest::Input)?;
        self.close_batch();
        Ok(())
    }

    /// Tells the supervisor; one who is gone is noticed by the end of the socket.
    fn tell(&self, message: &Message) {
        let _ = send(self.control, message, &[]);
    }

    fn end_everything(&mut self) {
        self.kill_template();
        for place in self.clones.all() {
            self.clones.change(place, Clone::let_go);
        }
    }
}

/// Answers a request on the channel that came with it.
fn answer(channel: &[Option<Fd>; MESSAGE_FDS], result: sys::Result<()>, with: Option<&Fd>) {
    let message = match result {
        Ok(()) => [DONE, 0, 0, 0, 0, 0, 0, 0],
        Err(Errno(errno)) => [FAILED, 0, u64::from(errno.unsigned_abs()), 0, 0, 0, 0, 0],
    };
    if let [Some(channel), ..] = channel {
        let _ = match with {
            Some(file) => send(channel, &message, &[file]),
            None => send(channel, &message, &[]),
        };
    }
}
