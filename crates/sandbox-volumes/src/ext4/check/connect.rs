//! What hangs together: parents and link counts.

use std::collections::HashMap;

use super::{Check, InodeFault, Known};
use crate::ext4::disk::inode::{MAX_LINKS, ROOT, mode};

impl Check<'_> {
    pub(super) fn connect(&mut self) {
        let mut all: Vec<(u32, Known)> = self
            .inodes
            .iter()
            .map(|(inode, known)| (*inode, *known))
            .collect();
        all.sort_unstable_by_key(|(inode, _)| *inode);
        let mut reached = HashMap::from([(ROOT, true)]);
        for (inode, known) in all {
            if known.mode & mode::TYPE == mode::DIR {
                self.directory(inode, known, &mut reached);
            } else if known.names != u32::from(known.links) {
                self.inode_fault(
                    inode,
                    InodeFault::Links {
                        stored: known.links,
                        counted: known.names,
                    },
                );
            }
        }
    }

    fn directory(&mut self, inode: u32, known: Known, reached: &mut HashMap<u32, bool>) {
        let parent = if inode == ROOT { ROOT } else { known.parent };
        if known.dots != parent {
            self.inode_fault(inode, InodeFault::Dots(known.dots));
        }
        let counted = known.children.saturating_add(2);
        let is_many = counted > MAX_LINKS || known.links == 1;
        let is_right = u32::from(known.links) == counted || is_many && known.links == 1;
        if !is_right {
            self.inode_fault(
                inode,
                InodeFault::Links {
                    stored: known.links,
                    counted,
                },
            );
        }
        if !self.reaches_root(inode, reached) {
            self.inode_fault(inode, InodeFault::Unconnected);
        }
    }

    /// Climbs until something is met of which it is known whether it hangs at the root. What was climbed is
    /// remembered, so all directories together take as many steps as there are of them.
    fn reaches_root(&self, inode: u32, reached: &mut HashMap<u32, bool>) -> bool {
        let (mut at, mut way) = (inode, Vec::new());
        let reaches = loop {
            // Not at the root, unless the way ends there: who comes by again goes in a circle.
            match reached.insert(at, false) {
                Some(known) => {
                    reached.insert(at, known);
                    break known;
                }
                None => way.push(at),
            }
            match self.inodes.get(&at) {
                Some(known) if known.parent != 0 => at = known.parent,
                _ => break false,
            }
        };
        reached.extend(way.into_iter().map(|at| (at, reaches)));
        reaches
    }
}
