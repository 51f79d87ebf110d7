//! What others have written is not overwritten unseen, whatever was done to the branch in between.

use std::fs;

use super::project::{Project, modes, name_of_test};

#[test]
fn what_a_commit_has_overwritten_is_a_conflict_again_when_it_was_undone() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        let branch = |args: &[&str]| project.place.sandbox([&["branch"], args].concat());
        project.sh("c", mode, "echo mine > file").says(0, &[]);
        fs::write(project.base().join("file"), "yours\n").unwrap();
        branch(&["commit", "c"]).says(3, &["file"]);
        branch(&["commit", "c", "--on-conflict", "ours"]).says(0, &[]);
        branch(&["undo"]).says(0, &[]);
        let diff = branch(&["diff", "c"]);
        assert!(diff.stdout.contains("CONFLICT"), "{mode}: {diff:?}");
        branch(&["commit", "c"]).says(3, &["file"]);
        assert_eq!(
            fs::read_to_string(project.base().join("file")).unwrap(),
            "yours\n"
        );
    }
}

#[test]
fn what_was_changed_between_an_export_and_an_import_is_a_conflict() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        let archive = project.place.root().join("branch.tar");
        let archive = archive.to_str().unwrap();
        let branch = |args: &[&str]| project.place.sandbox([&["branch"], args].concat());
        project.sh("s", mode, "rm file; echo new > new").says(0, &[]);
        branch(&["export", "s", "-o", archive]).says(0, &[]);
        branch(&["discard", "s"]).says(0, &[]);
        fs::write(project.base().join("file"), "precious\n").unwrap();
        branch(&["import", archive]).says(0, &[]);
        branch(&["commit", "s"]).says(3, &["file"]);
        assert_eq!(
            fs::read_to_string(project.base().join("file")).unwrap(),
            "precious\n"
        );
        assert!(!project.base().join("new").exists());
    }
}
