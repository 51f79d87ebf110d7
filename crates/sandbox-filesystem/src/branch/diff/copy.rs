//! What need not be compared in a whole copy, and what only looks as if it had been deleted from it.

use super::entry::{Entry, Failure, Side};
use super::look::{Look, Spot};

impl Look<'_> {
    /// Whether nobody has touched an entry of a whole copy, nor moved it.
    pub(super) fn is_untouched(&self, spot: &Spot<'_, '_>, view: &Entry<'_>) -> bool {
        let Some(copied_at) = self.knowledge.copied_at.filter(|_| view.is_in_copy()) else {
            return false;
        };
        let is_in_place = match &self.knowledge.copied {
            Some(index) => index.is_in_place(spot.path, &view.meta),
            None => spot.place.is_settled,
        };
        is_in_place && view.meta.ctime < copied_at
    }

    /// Whether a whole copy lacks it because it was not there when the copy was made.
    pub(super) fn appeared_beside_copy(
        &self,
        spot: &Spot<'_, '_>,
        base: &Entry<'_>,
    ) -> Result<bool, Failure> {
        let Some(copied_at) = self.knowledge.copied_at.filter(|_| spot.place.dir.exists()) else {
            return Ok(false);
        };
        let failure = |source| Failure {
            side: Side::Branch,
            source,
        };
        if !spot.place.dir.lacks_in_copy(base.name).map_err(failure)? {
            return Ok(false);
        }
        if let Some(index) = &self.knowledge.copied {
            return Ok(!index.contains(spot.path));
        }
        let changed = spot.place.dir.last_changed().map_err(failure)?;
        Ok(spot.place.is_settled && changed.is_some_and(|changed| changed < copied_at))
    }
}
