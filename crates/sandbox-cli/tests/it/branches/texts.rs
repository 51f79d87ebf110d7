//! Lines that both the branch and others have changed: merged where it is known what they were.

use std::fs;

use super::project::{Project, modes, name_of_test};
use crate::harness::Ran;

const BEFORE: &str = "one\ntwo\nthree\nfour\nfive\n";

fn project() -> Project {
    let project = Project::new();
    project.place.write("work/text", BEFORE);
    project
}

impl Project {
    /// What somebody else writes.
    fn edit(&self, from: &str, to: &str) {
        let path = self.base().join("text");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn merged(&self, name: &str) -> Ran {
        let words = ["branch", "commit", name, "--on-conflict", "text"];
        self.place.sandbox(words)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.base().join("text")).unwrap()
    }
}

#[test]
fn what_others_change_after_a_run_is_merged_with_what_the_branch_has_changed() {
    for mode in modes(name_of_test!()) {
        let project = project();
        project.sh("x", mode, "sed -i s/one/ONE/ text").says(0, &[]);
        project.edit("five", "FIVE");
        let commit = project.place.sandbox(["branch", "commit", "x"]);
        commit.says(3, &["CONFLICT text", "--on-conflict"]);
        project.merged("x").says(0, &["committed"]);
        assert_eq!(project.text(), "ONE\ntwo\nthree\nfour\nFIVE\n", "{mode}");

        // What was committed is what the next change is made to.
        project
            .sh("x", mode, "sed -i s/four/FOUR/ text; grep -q FIVE text")
            .says(0, &[]);
        project.edit("two", "TWO");
        project.merged("x").says(0, &["committed"]);
        let text = project.text();
        assert!(
            text.contains("TWO") && text.contains("FOUR") && text.contains("ONE"),
            "{mode}: {text}"
        );
        assert!(!text.contains("<<<<"), "{mode}: {text}");
        project.place.sandbox(["branch", "undo"]).says(0, &[]);
    }
}

#[test]
fn lines_that_both_have_changed_are_between_markers() {
    for mode in modes(name_of_test!()) {
        let project = project();
        project.sh("x", mode, "sed -i s/one/ours/ text").says(0, &[]);
        project.edit("one", "theirs");
        project.merged("x").says(0, &["committed"]);
        let merged = "<<<<<<< x\nours\n=======\ntheirs\n>>>>>>> base\n";
        assert!(project.text().starts_with(merged), "{mode}: {}", project.text());
    }
}

#[test]
fn what_is_changed_during_a_run_has_no_ancestor_and_nothing_is_written() {
    for mode in modes(name_of_test!()) {
        let project = project();
        let text = project.base().join("text");
        // A branch whose base is changed before it is: nobody knows what it was.
        project.sh("x", mode, "true").says(0, &[]);
        fs::write(&text, BEFORE.replace("five", "FIVE")).unwrap();
        let script = "sed -i s/one/ONE/ text";
        project.sh("x", mode, script).says(0, &[]);
        let commit = project.merged("x");
        let is_known = commit.status == 0;
        // Overlayfs shows the file as it is now: then there is nothing to be merged but the branch's own lines.
        if is_known {
            assert!(project.text().contains("FIVE"), "{mode}: {commit:?}");
        } else {
            commit.says(3, &["the common ancestor is not known", "changed after the run"]);
            assert_eq!(fs::read_to_string(&text).unwrap(), BEFORE.replace("five", "FIVE"));
        }
    }
}

#[test]
fn a_branch_of_a_branch_knows_what_its_parents_base_was() {
    for mode in modes(name_of_test!()) {
        let project = project();
        project.sh("x", mode, "sed -i s/one/ONE/ text").says(0, &[]);
        let flags = ["--branch=y", "--from=x", "-q"];
        project.edit("five", "FIVE");
        project.place.sh(&flags, "true").says(0, &[]);
        project.merged("y").says(0, &["committed"]);
        assert_eq!(project.text(), "ONE\ntwo\nthree\nfour\nFIVE\n", "{mode}");
    }
}

#[test]
fn a_branch_that_is_imported_over_another_checkout_is_in_conflict_only_where_that_differs() {
    for mode in modes(name_of_test!()) {
        let (here, there) = (project(), project());
        let script = "sed -i s/one/ONE/ text; rm second dir/inner; echo ours > file; echo new > added";
        here.sh("x", mode, script).says(0, &[]);
        let archive = there.place.root().join("x.tar");
        let archive = archive.to_str().unwrap();
        here.place
            .sandbox(["branch", "export", "x", "-o", archive])
            .says(0, &[]);
        fs::write(there.base().join("file"), "theirs\n").unwrap();
        there.place.sandbox(["branch", "import", archive]).says(0, &[]);
        let commit = there.place.sandbox(["branch", "commit", "x"]);
        commit.says(3, &["CONFLICT file", "1 conflict in the way"]);
        assert_eq!(
            commit.stderr.matches("CONFLICT ").count(),
            1,
            "{mode}: {commit:?}"
        );
        there
            .place
            .sandbox(["branch", "commit", "x", "--on-conflict", "theirs"])
            .says(0, &["committed"]);
        assert!(there.text().starts_with("ONE\n"), "{mode}");
        for gone in ["second", "dir/inner"] {
            assert!(!there.base().join(gone).exists(), "{mode}: {gone}");
        }
        assert_eq!(fs::read(there.base().join("file")).unwrap(), b"theirs\n");
    }
}

#[test]
fn what_is_as_it_was_again_is_no_conflict() {
    for mode in modes(name_of_test!()) {
        let project = project();
        project.sh("x", mode, "sed -i s/one/ONE/ text").says(0, &[]);
        project.edit("five", "FIVE");
        project.edit("FIVE", "five");
        project
            .place
            .sandbox(["branch", "commit", "x"])
            .says(0, &["1 change"]);
        assert!(project.text().starts_with("ONE\n"), "{mode}");
    }
}

#[test]
fn a_file_that_others_have_replaced_was_changed_and_has_not_appeared() {
    for mode in modes(name_of_test!()) {
        let project = project();
        let replace = |text: &str| {
            let new = project.place.write("work/text.new", text);
            fs::rename(new, project.base().join("text")).unwrap();
        };
        let conflict = || project.place.sandbox(["branch", "diff", "x"]).stdout;
        project.sh("x", mode, "sed -i s/one/ONE/ text").says(0, &[]);
        replace(&BEFORE.replace("five", "FIVE"));
        assert_eq!(
            conflict(),
            "M text  CONFLICT changed in the workspace too\n",
            "{mode}"
        );
        project.merged("x").says(0, &["committed"]);
        replace("else\n");
        assert_eq!(
            conflict(),
            "M text  CONFLICT changed in the workspace too\n",
            "{mode}"
        );
    }
}
