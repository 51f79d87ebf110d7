//! How a change of names is made in one step that a crash cannot undo, decided from what is at the names.

/// What the writable layer has under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Upper {
    Nothing,
    Whiteout,
    Other,
    Directory,
}

/// How a name goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Removal {
    /// A whiteout takes a name that the upper does not have.
    AddWhiteout,
    /// A whiteout takes the place of what is no directory.
    ReplaceByWhiteout,
    /// A whiteout and the directory change places.
    ExchangeWithWhiteout,
    /// There is nothing beneath.
    Remove,
}

/// How a name goes that leads to something.
pub(in crate::backend) fn removal(upper: Upper, beneath: bool) -> Removal {
    match (upper, beneath) {
        (Upper::Nothing | Upper::Whiteout, _) => Removal::AddWhiteout,
        (_, false) => Removal::Remove,
        (Upper::Other, true) => Removal::ReplaceByWhiteout,
        (Upper::Directory, true) => Removal::ExchangeWithWhiteout,
    }
}

/// What a rename is about. The source is in the upper, and complete where it is a directory.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend) struct Rename {
    pub(in crate::backend) source_is_directory: bool,
    /// Whether layers have something under the old name.
    pub(in crate::backend) beneath_old: bool,
    pub(in crate::backend) target: Upper,
    /// Whether layers have something under the new name.
    pub(in crate::backend) beneath_new: bool,
}

/// How a rename is made: what is prepared, which changes nothing that can be seen, and the one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) struct RenamePlan {
    /// The directory that moves must hide what is beneath its new name.
    pub(in crate::backend) source_becomes_opaque: bool,
    /// So must the one that moves the other way.
    pub(in crate::backend) target_becomes_opaque: bool,
    /// The directory that is replaced must hold nothing, whiteouts neither.
    pub(in crate::backend) target_is_cleared: bool,
    pub(in crate::backend) step: Step,
    /// The whiteout that has come to the old name hides nothing.
    pub(in crate::backend) old_is_unlinked: bool,
}

/// The one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Step {
    Move,
    MoveAndLeaveWhiteout,
    Exchange,
}

/// A rename over whatever is at the new name, which may be replaced.
pub(in crate::backend) fn rename(facts: Rename) -> RenamePlan {
    // A directory can take the place of nothing but an empty one; a whiteout gives way by changing places.
    let exchange = facts.source_is_directory && facts.target == Upper::Whiteout;
    let step = match (exchange, facts.beneath_old) {
        (true, _) => Step::Exchange,
        (false, true) => Step::MoveAndLeaveWhiteout,
        (false, false) => Step::Move,
    };
    RenamePlan {
        source_becomes_opaque: facts.source_is_directory && facts.beneath_new,
        target_becomes_opaque: false,
        target_is_cleared: facts.target == Upper::Directory,
        step,
        old_is_unlinked: exchange && !facts.beneath_old,
    }
}

/// Both names swap what they lead to, which is in the upper and complete.
pub(in crate::backend) fn exchange(facts: Rename) -> RenamePlan {
    RenamePlan {
        source_becomes_opaque: facts.source_is_directory && facts.beneath_new,
        target_becomes_opaque: facts.target == Upper::Directory && facts.beneath_old,
        target_is_cleared: false,
        step: Step::Exchange,
        old_is_unlinked: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beneath_a_name_that_goes_is_hidden_in_the_same_step() {
        for (upper, beneath, expected) in [
            (Upper::Nothing, true, Removal::AddWhiteout),
            (Upper::Other, true, Removal::ReplaceByWhiteout),
            (Upper::Directory, true, Removal::ExchangeWithWhiteout),
            (Upper::Other, false, Removal::Remove),
            (Upper::Directory, false, Removal::Remove),
        ] {
            assert_eq!(removal(upper, beneath), expected);
        }
    }

    #[test]
    fn every_rename_leaves_a_whiteout_exactly_where_something_is_beneath() {
        for source_is_directory in [false, true] {
            for beneath_old in [false, true] {
                for beneath_new in [false, true] {
                    for target in [Upper::Nothing, Upper::Whiteout, Upper::Other, Upper::Directory] {
                        let plan = rename(Rename {
                            source_is_directory,
                            beneath_old,
                            target,
                            beneath_new,
                        });
                        let leaves = match plan.step {
                            Step::Move => false,
                            Step::MoveAndLeaveWhiteout => true,
                            Step::Exchange => target == Upper::Whiteout && !plan.old_is_unlinked,
                        };
                        assert_eq!(leaves, beneath_old, "{plan:?}");
                        assert_eq!(plan.source_becomes_opaque, source_is_directory && beneath_new);
                    }
                }
            }
        }
    }

    #[test]
    fn a_directory_takes_the_place_of_a_whiteout_by_exchange() {
        let plan = rename(Rename {
            source_is_directory: true,
            beneath_old: false,
            target: Upper::Whiteout,
            beneath_new: true,
        });
        assert_eq!((plan.step, plan.old_is_unlinked), (Step::Exchange, true));
    }
}
