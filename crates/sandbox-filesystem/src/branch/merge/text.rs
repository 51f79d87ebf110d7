//! Merging texts line by line.

use sandbox_types::Unsettled;
use similar::{TextMerge, TextMergeConfig};

/// Longer files are not merged.
pub(crate) const LIMIT: u64 = 4 << 20;

/// As far as git looks for a NUL byte, which no text has.
const LOOKED_AT: usize = 8000;

/// What somebody has made of a text, after the label that is to stand at it.
pub(crate) type Version = (String, Vec<u8>);

/// How a merge has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merged {
    /// Nobody has changed what somebody else has.
    Clean,
    /// Such lines are in it twice, between markers.
    WithMarkers,
}

/// Merges `versions` of `ancestor`, each with the label that stands at its lines.
///
/// More than two are merged one after the other, and only as long as there is nothing to mark.
pub(crate) fn merge(ancestor: &[u8], versions: Vec<Version>) -> Result<(Vec<u8>, Merged), Unsettled> {
    let texts = versions.iter().map(|(_, text)| text.as_slice());
    if texts.chain([ancestor]).any(is_binary) {
        return Err(Unsettled::Binary);
    }
    let mut versions = versions.into_iter();
    let Some((mut label, mut text)) = versions.next() else {
        return Ok((ancestor.to_vec(), Merged::Clean));
    };
    let mut state = Merged::Clean;
    for (other, version) in versions {
        if state == Merged::WithMarkers {
            return Err(Unsettled::TooMany);
        }
        (text, state) = merge_two(ancestor, (&label, &text), (&other, &version));
        label = format!("{label}+{other}");
    }
    Ok((text, state))
}

fn merge_two(ancestor: &[u8], ours: (&str, &[u8]), theirs: (&str, &[u8])) -> (Vec<u8>, Merged) {
    let mut merge: TextMerge<'_, '_, '_, [u8]> =
        TextMergeConfig::new().merge_lines(ancestor, ours.1, theirs.1);
    merge.labels("base", ours.0, theirs.0);
    let mut text = Vec::with_capacity(ours.1.len().max(theirs.1.len()));
    let written = merge.to_writer(&mut text);
    debug_assert!(written.is_ok(), "writing to memory does not fail");
    let state = if merge.is_conflicted() {
        Merged::WithMarkers
    } else {
        Merged::Clean
    };
    (text, state)
}

pub(crate) fn is_binary(text: &[u8]) -> bool {
    text.iter().take(LOOKED_AT).any(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(ancestor: &str, versions: &[&str]) -> Result<(String, Merged), Unsettled> {
        let versions = versions
            .iter()
            .enumerate()
            .map(|(index, text)| (format!("try-{}", index + 1), text.as_bytes().to_vec()));
        let (text, state) = merge(ancestor.as_bytes(), versions.collect())?;
        Ok((String::from_utf8(text).unwrap(), state))
    }

    #[test]
    fn changes_of_different_lines_are_all_taken() {
        let (text, state) = merged(
            "a\nb\nc\nd\ne\n",
            &["A\nb\nc\nd\ne\n", "a\nb\nC\nd\ne\n", "a\nb\nc\nd\nE\n"],
        )
        .unwrap();
        assert_eq!((text.as_str(), state), ("A\nb\nC\nd\nE\n", Merged::Clean));
    }

    #[test]
    fn changes_of_the_same_lines_are_marked_with_whose_they_are() {
        let (text, state) = merged("a\nb\n", &["x\nb\n", "y\nb\n"]).unwrap();
        let marked = "<<<<<<< try-1\nx\n=======\ny\n>>>>>>> try-2\nb\n";
        assert_eq!((text.as_str(), state), (marked, Merged::WithMarkers));
    }

    #[test]
    fn markers_stand_on_lines_of_their_own() {
        let (text, _) = merged("a", &["x", "y"]).unwrap();
        assert_eq!(text, "<<<<<<< try-1\nx\n=======\ny\n>>>>>>> try-2\n");
        let (text, _) = merged("", &["x\r\n", "y\r\n"]).unwrap();
        assert!(text.contains("x\r\n=======\n"), "{text:?}");
    }

    #[test]
    fn what_is_not_text_is_not_merged() {
        assert_eq!(merged("a\0", &["x", "y"]), Err(Unsettled::Binary));
        assert_eq!(merged("a", &["x\0", "y"]), Err(Unsettled::Binary));
    }

    #[test]
    fn a_third_version_of_marked_lines_is_too_many() {
        assert_eq!(merged("a\n", &["x\n", "y\n", "z\n"]), Err(Unsettled::TooMany));
    }

    /// Texts of few different lines, so that there is much to be confused.
    fn texts() -> impl proptest::strategy::Strategy<Value = String> {
        proptest::collection::vec(proptest::sample::select(vec!["a\n", "b\n", "c\n", "\n"]), 0..12)
            .prop_map(|lines| lines.concat())
    }

    use proptest::strategy::Strategy;

    proptest::proptest! {
        #[test]
        fn a_side_that_changed_nothing_changes_nothing(ancestor in texts(), other in texts()) {
            let expect = Ok((other.clone(), Merged::Clean));
            proptest::prop_assert_eq!(merged(&ancestor, &[&ancestor, &other]), expect.clone());
            proptest::prop_assert_eq!(merged(&ancestor, &[&other, &ancestor]), expect.clone());
            proptest::prop_assert_eq!(merged(&ancestor, &[&other, &other]), expect);
        }

        #[test]
        fn the_order_decides_about_nothing_but_the_order_of_what_is_marked(
            ancestor in texts(), ours in texts(), theirs in texts()
        ) {
            let (text, state) = merged(&ancestor, &[&ours, &theirs]).unwrap();
            let (swapped, swapped_state) = merged(&ancestor, &[&theirs, &ours]).unwrap();
            proptest::prop_assert_eq!(state, swapped_state);
            if state == Merged::Clean {
                proptest::prop_assert_eq!(text, swapped);
            }
        }

        #[test]
        fn lines_that_somebody_has_are_never_lost(ancestor in texts(), added in "[x-z]{1,3}", theirs in texts()) {
            let ours = format!("{ancestor}{added}\n");
            let (text, _) = merged(&ancestor, &[&ours, &theirs]).unwrap();
            proptest::prop_assert!(text.contains(&added));
        }
    }
}
