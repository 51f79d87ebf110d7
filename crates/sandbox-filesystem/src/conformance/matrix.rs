//! Renames of everything over everything, with every flag.

use super::script::{Case, parse};

/// What may be at a name, and how it is made there.
const KINDS: [(&str, &str); 7] = [
    ("nothing", ""),
    ("a file", "open f NAME rw create\nwrite f 0 NAME 3\nclose f"),
    ("an empty directory", "mkdir NAME"),
    ("a directory that is not empty", "mkdir NAME\nmkdir NAME/sub"),
    ("a link", "symlink NAME target"),
    ("a fifo", "mknod NAME fifo"),
    ("a whiteout", "mknod NAME whiteout"),
];

const FLAGS: [&str; 6] = [
    "",
    "noreplace",
    "exchange",
    "whiteout",
    "noreplace whiteout",
    "exchange noreplace",
];

/// Within one directory, and from one to another.
const PLACES: [(&str, &str); 2] = [("old", "new"), ("one/old", "two/new")];

/// Every kind over every kind with every flag, in one directory and between two.
pub fn rename_matrix() -> Vec<Case> {
    let mut cases = Vec::new();
    for (old, make_old) in KINDS {
        for (new, make_new) in KINDS {
            for flags in FLAGS {
                for (from, to) in PLACES {
                    let text = case(
                        &format!("{old} over {new} [{flags}] from {from}"),
                        from,
                        to,
                        flags,
                        make_old,
                        make_new,
                    );
                    cases.extend(parse(&text).unwrap_or_default());
                }
            }
        }
    }
    cases
}

fn case(title: &str, from: &str, to: &str, flags: &str, make_old: &str, make_new: &str) -> String {
    let make_old = make_old.replace("NAME", from);
    let make_new = make_new.replace("NAME", to);
    let stats = [
        "stat old",
        "stat new",
        "stat one/old",
        "stat two/new",
        "stat one",
        "stat two",
        "stat .",
    ];
    let parent = if from.contains('/') { "one" } else { "." };
    // What a refused rename that would have left a whiteout does to times is not the same on all hosts.
    let changed = if flags.contains("whiteout") {
        String::new()
    } else {
        format!("changed {parent}")
    };
    format!(
        "== {title}\nmkdir one\nmkdir two\n{make_old}\n{make_new}\nmark {parent}\nrename {from} {to} {flags}\n\
         list .\nlist one\nlist two\n{}\n{changed}\n",
        stats.join("\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_the_table_is_read() {
        let cases = rename_matrix();
        assert_eq!(
            cases.len(),
            KINDS.len() * KINDS.len() * FLAGS.len() * PLACES.len()
        );
        assert!(cases.iter().all(|case| case.steps.len() >= 13));
    }
}
