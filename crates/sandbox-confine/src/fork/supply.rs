//! Clones that are made while others run: as soon as one has ended, another takes its place.

use super::clone::CloneHandle;
use super::error::ForkError;
use super::options::ForkOptions;
use crate::sandbox::Sandbox;
use crate::wire::MAX_CLONES;

/// What is still to be forked.
pub(super) struct Supply<'a> {
    template: &'a mut Sandbox,
    options: ForkOptions,
    /// The number of the next one.
    next: u32,
    left: u32,
    /// So many live at once at most.
    at_once: u32,
}

impl<'a> Supply<'a> {
    /// `count` clones, numbered as the options say.
    pub(super) fn new(
        template: &'a mut Sandbox,
        count: u32,
        at_once: u32,
        options: &ForkOptions,
    ) -> Result<Self, ForkError> {
        let first = options.first;
        if count == 0 || at_once == 0 {
            return Err(ForkError::NoClones);
        }
        let (asked, most) = (count.min(at_once), MAX_CLONES);
        if usize::try_from(asked).is_ok_and(|asked| asked > most) {
            return Err(ForkError::TooMany { asked, most });
        }
        if first.checked_add(count - 1).is_none() {
            return Err(ForkError::Numbers { first, count });
        }
        Ok(Self {
            template,
            options: *options,
            next: first,
            left: count,
            at_once,
        })
    }

    /// As many as there is room for, `live` being there.
    pub(super) fn more(&mut self, live: u32, is_any_held: bool) -> Result<Vec<CloneHandle>, ForkError> {
        let most = u32::try_from(MAX_CLONES).unwrap_or(u32::MAX);
        let wanted = self.left.min(self.at_once.min(most).saturating_sub(live));
        if wanted == 0 {
            return Ok(Vec::new());
        }
        // Those that have ended still hold descriptors until their output has been handed on.
        let count = match wanted.min(self.options.most_at_once()) {
            0 if is_any_held => return Ok(Vec::new()),
            // There is no room for a single one, which is an error that says so.
            0 => 1,
            count => count,
        };
        let clones = self
            .template
            .fork_handles(count, &self.options.first(self.next))?;
        self.next = self.next.wrapping_add(count);
        self.left -= count;
        Ok(clones)
    }
}
