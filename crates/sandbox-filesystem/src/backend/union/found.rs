//! What a name leads to, when each layer says what it has under it.

/// What one layer has under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Sight<T> {
    /// Nothing: what is beneath is seen.
    Nothing,
    /// Nothing, and what is beneath is hidden.
    Whiteout,
    /// Something that is no directory. It hides what is beneath.
    Other(T),
    /// A directory, merged with those beneath.
    Directory(T),
    /// A directory that hides what is beneath.
    Opaque(T),
}

/// Whether the next layer has to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(in crate::backend) enum More {
    Needed,
    Known,
}

/// What a name leads to, as far as layers were asked, from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend) enum Found<T> {
    /// Nothing.
    Nothing,
    /// Something that is no directory.
    Other(T),
    /// Directories, the topmost first; at least one.
    Directory(Vec<T>),
}

impl<T> Found<T> {
    /// Nobody was asked yet.
    pub(in crate::backend) fn new() -> Self {
        Self::Nothing
    }

    /// Whether one layer had a directory so far, and it is such a one.
    pub(in crate::backend) fn is_directory_of(&self, is_such: impl Fn(&T) -> bool) -> bool {
        matches!(self, Self::Directory(parts) if matches!(parts.as_slice(), [only] if is_such(only)))
    }

    /// The next layer answers. Asked only while more is needed.
    pub(in crate::backend) fn see(&mut self, sight: Sight<T>) -> More {
        let more = match &sight {
            Sight::Nothing | Sight::Directory(_) => More::Needed,
            Sight::Whiteout | Sight::Other(_) | Sight::Opaque(_) => More::Known,
        };
        match (self, sight) {
            (_, Sight::Nothing | Sight::Whiteout)
            | (Self::Directory(_) | Self::Other(_), Sight::Other(_)) => {}
            (found @ Self::Nothing, Sight::Other(what)) => *found = Self::Other(what),
            (Self::Directory(parts), Sight::Directory(what) | Sight::Opaque(what)) => parts.push(what),
            (found, Sight::Directory(what) | Sight::Opaque(what)) => *found = Self::Directory(vec![what]),
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sights: &[Sight<u8>]) -> Found<u8> {
        let mut found = Found::new();
        for sight in sights {
            if found.see(*sight) == More::Known {
                break;
            }
        }
        found
    }

    #[test]
    fn the_topmost_that_is_no_directory_is_what_is_seen() {
        use Sight::{Directory, Nothing, Other, Whiteout};
        for (sights, expected) in [
            (&[][..], Found::Nothing),
            (&[Nothing, Other(1), Other(2)], Found::Other(1)),
            (&[Whiteout, Other(1)], Found::Nothing),
            (&[Other(0), Directory(1)], Found::Other(0)),
            (&[Nothing, Whiteout, Directory(2)], Found::Nothing),
        ] {
            assert_eq!(found(sights), expected, "{sights:?}");
        }
    }

    #[test]
    fn directories_are_merged_until_something_hides_what_is_beneath() {
        use Sight::{Directory, Nothing, Opaque, Other, Whiteout};
        for (sights, expected) in [
            (&[Directory(0), Nothing, Directory(2)][..], vec![0, 2]),
            (&[Directory(0), Opaque(1), Directory(2)], vec![0, 1]),
            (&[Opaque(0), Directory(1)], vec![0]),
            (&[Directory(0), Other(1), Directory(2)], vec![0]),
            (&[Directory(0), Whiteout, Directory(2)], vec![0]),
        ] {
            assert_eq!(found(sights), Found::Directory(expected), "{sights:?}");
        }
    }
}
