//! Renames of files that were modified as well, where overlayfs has noted only that they were copied up.
//!
//! Two files are one when at least half of their bytes are in lines that both have, as git has it. Only files
//! that must come from somewhere are asked after, and only when they are few and small.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::DiffError;
use super::compare::Content;
use super::draft::Draft;
use super::finder::Tree;
use super::origin::{Source, Trail};
use super::rename::Renames;

const MOST_FILES: usize = 200;
const MOST_BYTES: u64 = 1 << 20;

/// How many bytes a file has in which line.
type Lines = HashMap<u64, u64>;

/// A pair that is similar enough.
struct Candidate {
    shared: u64,
    has_same_name: bool,
    added: usize,
    deleted: usize,
}

/// Pairs what is left.
pub(super) fn pair(renames: &mut Renames<'_>, trail: &Trail) -> Result<(), DiffError> {
    let is_small = |draft: &Draft| (1..=MOST_BYTES).contains(&draft.change.size);
    let is_wanted = |draft: &Draft| is_small(draft) && trail.resolve(&draft.source) == Source::Unknown;
    let added = renames.added().filter(|(_, draft)| is_wanted(draft));
    let added: Vec<usize> = added.map(|(index, _)| index).collect();
    if added.is_empty() || added.len() > MOST_FILES {
        return Ok(());
    }
    let deleted = renames.deleted().filter(|(_, draft)| is_small(draft));
    let deleted: Vec<usize> = deleted.map(|(index, _)| index).collect();
    if deleted.is_empty() || deleted.len() > MOST_FILES {
        return Ok(());
    }
    let now = lines_of(renames, Tree::View, &added)?;
    let before = lines_of(renames, Tree::Base, &deleted)?;
    for (added, deleted) in best(candidates(renames, &now, &before)) {
        renames.rename(added, deleted, Content::Different);
    }
    Ok(())
}

fn lines_of(
    renames: &mut Renames<'_>,
    tree: Tree,
    indices: &[usize],
) -> Result<Vec<(usize, Lines)>, DiffError> {
    let keys = renames.keys().clone();
    let mut files = Vec::new();
    for index in indices {
        let mut bytes = Vec::new();
        let mut take = |part: &[u8]| bytes.extend_from_slice(part);
        let is_read = renames.read(tree, *index, MOST_BYTES, &mut take)?;
        if is_read {
            files.push((*index, lines(&bytes, &keys)));
        }
    }
    Ok(files)
}

fn lines(bytes: &[u8], keys: &RandomState) -> Lines {
    let mut lines = Lines::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        *lines.entry(keys.hash_one(line)).or_default() += line.len() as u64;
    }
    lines
}

fn candidates(renames: &Renames<'_>, now: &[(usize, Lines)], before: &[(usize, Lines)]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (added, new) in now {
        for (deleted, old) in before {
            let length = |lines: &Lines| lines.values().sum::<u64>();
            let in_both = new
                .iter()
                .filter_map(|(line, length)| Some(length.min(old.get(line)?)));
            let shared = in_both.sum();
            if shared * 2 >= length(new).max(length(old)) {
                candidates.push(Candidate {
                    shared,
                    has_same_name: renames.have_same_name(*added, *deleted),
                    added: *added,
                    deleted: *deleted,
                });
            }
        }
    }
    candidates
}

/// The best pairs first, each file once.
fn best(mut candidates: Vec<Candidate>) -> Vec<(usize, usize)> {
    candidates.sort_by_key(|one| (!one.has_same_name, u64::MAX - one.shared, one.added, one.deleted));
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for one in candidates {
        let is_free = |(added, deleted): &(usize, usize)| *added != one.added && *deleted != one.deleted;
        if pairs.iter().all(is_free) {
            pairs.push((one.added, one.deleted));
        }
    }
    pairs
}
