//! Files that very likely have the same content, without comparing each with each.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};

use super::DiffError;
use super::finder::Tree;
use super::rename::{Candidates, Renames};

/// How much of a file is looked at before all of it is.
const HEAD: u64 = 4096;

impl Renames<'_> {
    /// Splits files of one size into groups that very likely have the same content.
    pub(super) fn of_equal_content(
        &mut self,
        size: u64,
        group: Candidates,
    ) -> Result<Vec<Candidates>, DiffError> {
        if !group.has_pairs() {
            return Ok(Vec::new());
        }
        if group.is_one_pair() {
            return Ok(vec![group]);
        }
        let mut groups = self.of_equal_hash(group, HEAD)?;
        if size > HEAD {
            let mut finer = Vec::new();
            for group in groups {
                if group.is_one_pair() {
                    finer.push(group);
                } else {
                    finer.extend(self.of_equal_hash(group, u64::MAX)?);
                }
            }
            groups = finer;
        }
        Ok(groups)
    }

    fn of_equal_hash(&mut self, group: Candidates, length: u64) -> Result<Vec<Candidates>, DiffError> {
        let mut groups: BTreeMap<u64, Candidates> = BTreeMap::new();
        for index in group.added {
            if let Some(hash) = self.hash(Tree::View, index, length)? {
                groups.entry(hash).or_default().added.push(index);
            }
        }
        for index in group.deleted {
            if let Some(hash) = self.hash(Tree::Base, index, length)? {
                groups.entry(hash).or_default().deleted.push(index);
            }
        }
        Ok(groups.into_values().filter(Candidates::has_pairs).collect())
    }

    /// A hash of the beginning of a file; none of one that cannot be read.
    fn hash(&mut self, tree: Tree, index: usize, length: u64) -> Result<Option<u64>, DiffError> {
        let mut hasher = self.keys().build_hasher();
        let is_read = self.read(tree, index, length, &mut |bytes| hasher.write(bytes))?;
        Ok(is_read.then(|| hasher.finish()))
    }
}
