//! Whole trees.

use std::io;

use super::{Editor, Node};

impl Editor {
    /// Removes what has a name, with all that is in it. Large trees take several transactions: a crash leaves a part
    /// of them, and the disk whole.
    pub(crate) fn remove_tree(&mut self, parent: &Node, name: &[u8]) -> io::Result<()> {
        let mut waiting: Vec<(u32, Vec<u8>, bool)> = vec![(parent.number, name.to_vec(), false)];
        while let Some((above, name, is_empty)) = waiting.pop() {
            let mut parent = self.node(above)?;
            let found = self.look_up(&parent, &name)?.ok_or(rustix::io::Errno::NOENT)?;
            let node = self.node(found.inode)?;
            if !node.is_directory() {
                self.remove(&mut parent, &name)?;
            } else if is_empty {
                self.remove_directory(&mut parent, &name)?;
            } else {
                waiting.push((above, name, true));
                let inner = self.list(&node)?.into_iter();
                waiting.extend(inner.map(|entry| (node.number, entry.name, false)));
            }
            self.commit_if_large()?;
        }
        Ok(())
    }
}
