//! The way from an inode up to a directory that has a descriptor.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Inode, Layer};

/// What a directory is on the way to something beneath it.
#[derive(Debug)]
pub(in crate::backend) enum Step {
    /// The end: it has a descriptor.
    Here(Arc<OwnedFd>),
    /// Another name, in this directory.
    Up(Arc<Inode>),
    /// It has no name in the layer of its own, only this way from the layer's root.
    FromRoot,
    /// Nobody knows where it is.
    Lost,
}

/// Names that lead down, collected on the way up.
#[derive(Debug, Default)]
pub(in crate::backend) struct Names {
    /// From the last byte to the first.
    reversed: Vec<u8>,
}

impl Names {
    /// Another name in front.
    pub(in crate::backend) fn prepend(&mut self, name: &[u8]) {
        if !self.reversed.is_empty() {
            self.reversed.push(b'/');
        }
        self.reversed.extend(name.iter().rev());
    }

    /// Bytes.
    pub(in crate::backend) fn len(&self) -> usize {
        self.reversed.len()
    }

    /// As a path.
    pub(in crate::backend) fn into_path(mut self) -> Vec<u8> {
        self.reversed.reverse();
        self.reversed
    }
}

impl Inode {
    /// Looks at a directory once: a deep way is made of many such looks.
    pub(in crate::backend) fn step(&self, layer: Layer, names: &mut Names) -> Step {
        {
            let state = self.state();
            if state.identity.layer() == layer {
                let held = state.path.clone().or_else(|| state.open.upgrade());
                if let Some(held) = held {
                    self.used.store(true, Ordering::Relaxed);
                    return Step::Here(held);
                }
                if self.parts.get().is_none() {
                    return match &state.place {
                        Some(place) => {
                            names.prepend(place.name.as_bytes());
                            Step::Up(Arc::clone(&place.parent))
                        }
                        None => Step::Lost,
                    };
                }
            }
        }
        self.step_in(layer, names)
    }

    /// Of a directory that is made of several.
    fn step_in(&self, layer: Layer, names: &mut Names) -> Step {
        let part = self.parts.get().and_then(|parts| parts.in_layer(layer));
        if let Some(held) = part.as_ref().and_then(|part| part.descriptor()) {
            return Step::Here(held);
        }
        if let Some(at) = part.as_ref().and_then(|part| part.at.as_deref()) {
            names.prepend(at.as_bytes());
            return Step::FromRoot;
        }
        match &self.state().place {
            Some(place) => {
                names.prepend(place.name.as_bytes());
                Step::Up(Arc::clone(&place.parent))
            }
            None => Step::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_collected_on_the_way_up_lead_down() {
        let mut names = Names::default();
        for name in ["file", "sub", "dir\u{e9}"] {
            names.prepend(name.as_bytes());
        }
        assert_eq!(names.len(), "diré/sub/file".len());
        assert_eq!(names.into_path(), "diré/sub/file".as_bytes());
        assert_eq!(Names::default().into_path(), b"");
    }
}
