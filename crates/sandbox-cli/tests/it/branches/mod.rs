//! `sandbox run --branch`: writes stay on the branch, and what is seen there is what a plain directory would show.
//!
//! Every scenario runs in every mode that works here; what mode `kernel`, and less so mode `exact`, does differently is
//! in `differences`, and in docs/platform.md.
//!
//! Known defects of programs that do this job, and the tests of ours:
//!
//! | defect | tests |
//! |---|---|
//! | writes reach the real tree: fchmod, futimens, utime, setxattr, fchmodat2, creat, renameat, openat2, `O_TMPFILE` | `leaks` |
//! | append through a link loses the old content | `content::appending_through_a_link_…` |
//! | `RENAME_EXCHANGE`, `RENAME_NOREPLACE` ignored | `names::exchanging_…`, `names::renaming_without_replacing_…` |
//! | mkdir of what exists returns 0, parents appear, modes ignored | `names::a_directory_that_is_there_…`, `names::modes_…` |
//! | fstat of an unlinked open file fails | `content::an_open_file_outlives_its_name` |
//! | a crash or a remount brings deleted files back | `mounting::what_was_deleted_…`, `names::what_is_deleted_…` |
//! | a whiteout is lost by a rename over it | `names::what_is_renamed_to_where_something_was_deleted_…` |
//! | `O_TRUNC` copies first | `full::opening_with_truncation_…` |
//! | sparse files become dense | `content::a_sparse_file_stays_sparse`; committed: `apply` in sandbox-filesystem |
//! | mode and owner lost | `content::a_file_that_is_written_to_keeps_…` |
//! | hard links fall apart | `links`; in mode `kernel`, `differences::a_write_to_one_of_two_hard_links_…`: listed |
//! | a summary without deletions | `json`, `meanwhile::a_deletion_…`, `acceptance` |
//! | what others change meanwhile is overwritten unseen | `branch_review`; `diff` and `apply` in sandbox-filesystem |
//! | one upper mounted by two runs | `mounting::runs_on_one_branch_at_the_same_time_…` |
//! | an upper inside its lower | `mounting::branches_that_are_kept_inside_the_workspace_…` |
//! | a work directory that cannot be removed | `mounting::what_a_mount_has_left_…` |
//! | EXDEV for a directory, and nobody says why | `differences::a_directory_of_the_base_…`, `tools::git_says_…` |
//! | closing an empty branch waits for the disk | `mounting::an_overlay_is_mounted_volatile` |
//! | the whole upper is scanned at mount | no test; `cargo xtask bench branch` measures what a mount costs |
//! | `.git` merged file by file | `branch_review::a_branch_that_replaces_the_repository_…`, `acceptance`; `git` in sandbox-filesystem |
//! | a commit half done, its error lost | `full`, `interrupted`, `killed`; `apply` in sandbox-filesystem |
//! | no layer, and the command runs on the real directory | `bad_input`, `full::a_branch_that_there_is_no_room_for_…` |
//! | a denial that is void | `denied` |

mod fingerprint;
mod mounts;
mod plain;
mod project;

mod bad_input;
mod beside;
mod content;
mod denied;
mod differences;
mod exact;
mod full;
mod interrupted;
mod json;
mod killed;
mod laws;
mod leaks;
mod links;
mod meanwhile;
mod mounting;
mod moved;
mod names;
mod patches;
mod review;
mod submounts;
mod texts;
mod told;
mod tools;
mod unseen;
