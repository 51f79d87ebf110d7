//! The inode numbers that programs see, unique across layers.

use crate::backend::passthrough::inode::Layer;

/// Where a layer's number is in an inode number. No filesystem of the kernel's comes near it with its own numbers.
const SHIFT: u32 = 48;
/// Of numbers that are larger nevertheless.
const MIXED: u64 = 1 << 63;
/// With the layer's bits below the one of mixed numbers.
pub(super) const MOST_LAYERS: usize = (1 << 15) - 2;

/// What is added to the numbers of each layer, the upper first.
#[derive(Debug)]
pub(super) struct Numbers(Vec<u64>);

impl Numbers {
    /// By the devices of the upper, where there is one, and of the layers from the bottom. The bottom layer shares the
    /// numbers of the upper if they are on one device: as for the kernel's overlayfs, nothing of it is ever seen beside
    /// its own copy.
    pub(super) fn new(upper: Option<u64>, layers: &[u64]) -> Self {
        let bottom_is_plain = upper.is_none_or(|upper| layers.first() == Some(&upper));
        let of_layer = |layer: u64| match layer {
            1 if bottom_is_plain => 0,
            layer => layer << SHIFT,
        };
        let layers = (1..).zip(layers).map(|(layer, _)| of_layer(layer));
        Self(std::iter::once(0).chain(layers).collect())
    }

    /// What programs see of a file of a layer.
    pub(super) fn shown(&self, layer: Layer, number: u64) -> u64 {
        let tag = self.0.get(usize::from(layer)).copied().unwrap_or(MIXED);
        if layer == 0 {
            number
        } else if number >> SHIFT == 0 {
            number | tag
        } else {
            MIXED | (number ^ u64::from(layer).rotate_left(SHIFT))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_different_layers_never_meet() {
        let numbers = Numbers::new(Some(7), &[7, 7, 9]);
        assert_eq!(numbers.shown(0, 5), 5);
        assert_eq!(numbers.shown(1, 5), 5);
        let others: Vec<u64> = (2..=3).map(|layer| numbers.shown(layer, 5)).collect();
        assert_eq!(others, [2 << 48 | 5, 3 << 48 | 5]);
        let apart = Numbers::new(Some(7), &[8]);
        assert_ne!(apart.shown(1, 5), 5);
        let large = 1 << 60;
        assert_ne!(numbers.shown(2, large), numbers.shown(3, large));
    }
}
