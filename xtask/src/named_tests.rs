//! Tests that the documentation names: tables whose last column is "test" say what shows something, and each name there has to
//! be that of a test.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    workspace,
};

/// Every name that no test has is printed.
pub(crate) fn check() -> Result<()> {
    let root = workspace::root();
    let mut tests = BTreeSet::new();
    for directory in ["crates", "xtask"] {
        collect(&root.join(directory), &mut tests)?;
    }
    let mut missing = Vec::new();
    for document in files(&root.join("docs"), "md")? {
        let text = fs::read_to_string(&document).map_err(Error::io(&document))?;
        let unknown = named(&text).into_iter().filter(|name| !tests.contains(name));
        missing.extend(unknown.map(|name| format!("{}: {name}", document.display())));
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::NamedTests { missing })
}

/// The names of tests in a source file's tree.
fn collect(directory: &Path, tests: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(directory).map_err(Error::io(directory))? {
        let path = entry.map_err(Error::io(directory))?.path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, tests)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
            tests.extend(defined(&text));
        }
    }
    Ok(())
}

fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(Error::io(directory))? {
        let path = entry.map_err(Error::io(directory))?.path();
        if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Functions that follow `#[test]`, and those of proptest's blocks, which take arguments.
fn defined(source: &str) -> Vec<String> {
    let mut is_test = false;
    let mut names = Vec::new();
    for line in source.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let (true, Some(rest)) = (is_test, line.strip_prefix("fn ")) {
            names.extend(rest.split('(').next().map(str::to_owned));
            is_test = false;
        }
    }
    names
}

/// What stands in backquotes in the last column of tables that are about tests.
fn named(document: &str) -> Vec<String> {
    let mut is_about_tests = false;
    let mut names = Vec::new();
    for line in document.lines() {
        let Some(row) = line
            .strip_prefix('|')
            .and_then(|row| row.trim_end().strip_suffix('|'))
        else {
            is_about_tests = false;
            continue;
        };
        let last = row.rsplit('|').next().unwrap_or_default().trim();
        if last == "test" {
            is_about_tests = true;
        } else if is_about_tests {
            names.extend(last.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_last_column_of_tables_about_tests_are_found() {
        let document = "| what | test |\n|---|---|\n| `x` | `one`, `two` |\n\n| what | else |\n|---|---|\n| a | `no` |\n";
        assert_eq!(named(document), ["one", "two"]);
    }

    #[test]
    fn only_tests_are_names_of_tests() {
        let source = "fn helper() {}\n#[test]\nfn one() {\n}\n    #[test]\n    fn two(bytes in any()) {\n";
        assert_eq!(defined(source), ["one", "two"]);
    }
}
