//! Asking the template for clones.

use super::clone::Clone;
use super::nested;
use super::workshop::Made;
use super::{CHANNELS, Keeper, Template};
use crate::sys::sockets::send;
use crate::sys::{self, EAGAIN, EINVAL, EMFILE, ESRCH, Fd, NamespaceKind};
use crate::wire::{BATCH_END, CLONE, Entry, MESSAGE_CLONES, MESSAGE_FDS, Message};

/// Streams of its own, and what a clone waits at.
const OWN: usize = 4;

/// One message to the template.
struct Asked {
    message: Message,
    count: usize,
    files: [Option<Fd>; MESSAGE_FDS],
    held: usize,
}

impl Asked {
    const fn new() -> Self {
        Self {
            message: [CLONE, 0, 0, 0, 0, 0, 0, 0],
            count: 0,
            files: [const { None }; MESSAGE_FDS],
            held: 0,
        }
    }

    fn add(&mut self, entry: Entry, files: impl Iterator<Item = Fd>) {
        self.count += 1;
        if let Some(word) = self.message.get_mut(self.count) {
            *word = entry.to_word();
        }
        for file in files {
            if let Some(slot) = self.files.get_mut(self.held) {
                *slot = Some(file);
                self.held += 1;
            }
        }
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        let words = self.message.into_iter().skip(1);
        words.filter_map(|word| Entry::from_word(word).map(|entry| usize::from(entry.place)))
    }

    fn send(&self, to: &Fd) -> sys::Result<()> {
        // What is not held stands for nothing: no more than is held is sent.
        let mut with = [to; MESSAGE_FDS];
        for (slot, file) in with.iter_mut().zip(self.files.iter().flatten()) {
            *slot = file;
        }
        send(to, &self.message, with.get(..self.held).unwrap_or_default())
    }
}

impl Keeper<'_> {
    /// Makes the namespaces of so many clones, numbered from `first` on, and asks the template to be forked into them.
    pub(super) fn fork(&mut self, first: u64, count: u64, fds: [Option<Fd>; MESSAGE_FDS]) {
        let (mut fds, mut asked) = (fds.into_iter(), Asked::new());
        for number in (0..count).take(MESSAGE_CLONES) {
            let prepared = match self.batch.untold {
                Some(errno) => Err(errno),
                None => self.prepare(first.wrapping_add(number), &mut fds, &mut asked),
            };
            if let Err(errno) = prepared {
                self.batch.fail(errno);
            }
        }
        match asked.send(self.socket) {
            Ok(()) => self.batch.under_way += asked.count,
            Err(errno) => {
                for place in asked.places() {
                    self.give_up(place);
                    self.batch.fail(errno);
                }
            }
        }
        self.batch.missing = self.batch.missing.saturating_sub(count);
        if self.batch.missing == 0 {
            self.all_asked_for();
        }
        self.close_batch();
    }

    /// The supervisor asks for no more of the batch.
    pub(super) fn give_up_rest(&mut self) {
        let missing = core::mem::take(&mut self.batch.missing);
        if missing > 0 {
            self.batch.fail(EMFILE);
            self.all_asked_for();
        }
        self.close_batch();
    }

    /// The template goes back to waiting for the next batch.
    pub(super) fn all_asked_for(&mut self) {
        self.batch.is_ending = self.batch.untold.is_none() && self.template != Template::Gone;
        self.batch.since_us = sys::monotonic_us();
        // A template that is gone is noticed when it is reaped, and one that takes no messages is ended in time.
        let _ = send(self.socket, &[BATCH_END, 0, 0, 0, 0, 0, 0, 0], &[]);
    }

    /// Makes the namespaces of a clone, of whose descriptors there are the next.
    fn prepare(
        &mut self,
        number: u64,
        fds: &mut impl Iterator<Item = Option<Fd>>,
        asked: &mut Asked,
    ) -> sys::Result<()> {
        let shape = self.batch.shape;
        let channel = fds.next().flatten();
        let mut own = [const { None }; OWN];
        let mut is_whole = true;
        for slot in own.iter_mut().take(shape.descriptors() - 1) {
            *slot = fds.next().flatten();
            is_whole &= slot.is_some();
        }
        // No numbers are left here for what belongs to it.
        let channel = channel.filter(|_| is_whole).ok_or(EMFILE)?;
        let made = if shape.has_views() {
            Some(self.workshop.as_ref().ok_or(EINVAL)?.make()?)
        } else {
            None
        };
        let (place, namespace, mounts) = self.make(channel, made)?;
        let entry = Entry {
            place: place as u16,
            number: number as u32,
            errno: 0,
        };
        let mut own = own.into_iter();
        let mut streams = [const { None }; 3];
        for (slot, stream) in streams.iter_mut().zip(own.by_ref().take(shape.own_streams())) {
            *slot = stream;
        }
        let gate = own.flatten();
        let files = core::iter::once(namespace).chain(streams.into_iter().flatten());
        asked.add(entry, files.chain(mounts).chain(gate));
        Ok(())
    }

    /// A clone's namespaces, and the first process in them.
    fn make(&mut self, channel: Fd, made: Option<Made>) -> sys::Result<(usize, Fd, Option<Fd>)> {
        if self.template == Template::Gone {
            return Err(ESRCH);
        }
        let place = self.clones.free().ok_or(EAGAIN)?;
        self.events.add(&channel, CHANNELS + place as u64)?;
        let (first, laid) = match &made {
            None => (self.nested.start(place)?, Ok(())),
            Some(made) => {
                let blob = self.views.as_ref().ok_or(EINVAL)?;
                self.nested.start_with_views(place, blob.bytes(), made)?
            }
        };
        let has_views = made.is_some();
        let lock = made.and_then(|made| made.lock);
        self.clones.put(place, Clone::new(channel, first.pid, lock));
        let namespaces = || {
            laid?;
            let mounts = has_views.then(|| nested::namespace(&first, NamespaceKind::Mount));
            Ok((
                nested::namespace(&first, NamespaceKind::Pid)?,
                mounts.transpose()?,
            ))
        };
        match namespaces() {
            Ok((namespace, mounts)) => Ok((place, namespace, mounts)),
            Err(errno) => {
                self.give_up(place);
                Err(errno)
            }
        }
    }

    /// There will be no such clone.
    fn give_up(&mut self, place: usize) {
        self.clones.change(place, Clone::give_up);
    }
}
