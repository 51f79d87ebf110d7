//! What links lead to from the places of rules.

use super::*;

/// What is in the home of the user who reviews.
fn home(fixture: &Fixture) -> PathBuf {
    let home = fixture.base.parent().unwrap().join("home");
    fs::create_dir_all(&home).unwrap();
    home.canonicalize().unwrap()
}

fn link_in(root: &Path, at: &str, target: impl AsRef<Path>) {
    let at = root.join(at);
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    symlink(target, at).unwrap();
}

/// With what the links of base and home lead to.
fn rules(fixture: &Fixture) -> Rules {
    let rules = Rules::builtin().unwrap();
    let base = fixture.base.canonicalize().unwrap();
    let links = Links::find(&rules, &base, Some(&home(fixture)));
    assert!(links.is_complete);
    rules.with_links(links)
}

#[track_caller]
fn holds(fixture: &Fixture, expected: &[(Change, Option<&str>)]) {
    let rules = rules(fixture);
    for (change, rule) in expected {
        let path = change.path.clone();
        assert_eq!(
            fixture.rule_by(&rules, change.clone()).as_deref(),
            *rule,
            "{path}"
        );
    }
}

#[test]
fn a_file_that_a_link_of_the_base_leads_to_is_held_as_if_it_were_at_the_link() {
    let fixture = Fixture::new();
    link_in(&fixture.base, ".envrc", "dev/environment");
    link_in(&fixture.base, "packages/a/.npmrc", "../../shared/npmrc");
    link_in(&fixture.base, "plain", "notes");
    link_in(&fixture.base, ".gitattributes", "dev/attributes");
    for path in ["dev/environment", "dev/other", "shared/npmrc", "notes"] {
        fixture.in_branch(path, "x", 0o644);
    }
    fixture.in_branch("dev/attributes", "*.txt text\n", 0o644);
    holds(
        &fixture,
        &[
            (added("dev/environment"), Some("directory-environment")),
            (
                modified("dev/environment", true, &[]),
                Some("directory-environment"),
            ),
            (added("DEV/Environment"), Some("directory-environment")),
            (added("dev/environment/x"), None),
            (added("dev/other"), None),
            (added("shared/npmrc"), Some("package-manager")),
            (added("notes"), None),
            // A rule that looks for lines looks for them there, too.
            (added("dev/attributes"), None),
        ],
    );
    fixture.in_branch("dev/attributes", "* filter=evil\n", 0o644);
    holds(&fixture, &[(added("dev/attributes"), Some("git-attributes"))]);
}

#[test]
fn what_is_in_a_directory_that_a_link_leads_to_is_held_by_its_name_there() {
    let fixture = Fixture::new();
    link_in(&fixture.base, ".vscode", "config/editor");
    link_in(&fixture.base, ".github", "ci");
    for path in [
        "config/editor/tasks.json",
        "config/editor/x.txt",
        "ci/workflows/a.yml",
    ] {
        fixture.in_branch(path, "x", 0o644);
    }
    holds(
        &fixture,
        &[
            (added("config/editor/tasks.json"), Some("editor")),
            (added("config/editor/x.txt"), None),
            (added("config/tasks.json"), None),
            (added("ci/workflows/a.yml"), Some("ci")),
        ],
    );
}

#[test]
fn every_link_of_a_chain_counts_and_a_link_in_the_place_of_a_directory_on_the_way() {
    let fixture = Fixture::new();
    link_in(&fixture.base, ".envrc", "dev/here");
    link_in(&fixture.base, "dev/here", "../real/environment");
    link_in(&fixture.base, ".bashrc", "nowhere/yet");
    for path in ["real/environment", "nowhere/yet"] {
        fixture.in_branch(path, "x", 0o644);
    }
    let link = |path| change(path, NodeKind::Symlink, ChangeKind::Added);
    fixture.link("dev", "elsewhere");
    fixture.link("real/environmen", "x");
    holds(
        &fixture,
        &[
            (added("real/environment"), Some("directory-environment")),
            (link("dev"), Some("directory-environment")),
            (link("dev/here"), Some("directory-environment")),
            (link("real"), Some("directory-environment")),
            (link("real/environmen"), None),
            (added("nowhere/yet"), Some("shell-startup")),
        ],
    );
}

#[test]
fn a_link_at_the_users_home_that_leads_into_the_workspace_counts() {
    let fixture = Fixture::new();
    let base = fixture.base.canonicalize().unwrap();
    let home = home(&fixture);
    link_in(&home, ".bashrc", base.join("bashrc"));
    link_in(&home, ".config/fish/conf.d/x.fish", base.join("fish/x.fish"));
    link_in(&home, ".config/fish/functions", base.join("fish/functions"));
    link_in(&home, "work", &base);
    for path in ["bashrc", "fish/x.fish", "fish/functions/a.fish", "zshrc"] {
        fixture.in_branch(path, "x", 0o644);
    }
    holds(
        &fixture,
        &[
            (added("bashrc"), Some("shell-startup")),
            (added("fish/x.fish"), Some("shell-startup")),
            (added("fish/functions/a.fish"), Some("shell-startup")),
            (added("zshrc"), None),
        ],
    );
}

#[test]
fn the_link_is_named() {
    let fixture = Fixture::new();
    link_in(&fixture.base, "sub/.envrc", "../dev/environment");
    fixture.in_branch("dev/environment", "x", 0o644);
    let mut changes = [added("dev/environment")];
    rules(&fixture).mark(&fixture.stack(), &mut changes).unwrap();
    let why = changes[0].hold.take().unwrap().why;
    assert!(why.ends_with("; sub/.envrc leads to it"), "{why}");
}

#[test]
fn what_is_allowed_stays_allowed_where_a_link_leads_to_it() {
    let fixture = Fixture::new();
    link_in(&fixture.base, ".envrc", "dev/environment");
    fixture.in_branch("dev/environment", "x", 0o644);
    let more = RiskRules {
        allow: vec!["dev/environment".to_owned()],
        ..RiskRules::default()
    };
    let base = fixture.base.canonicalize().unwrap();
    let rules = Rules::extended(&more).unwrap();
    let links = Links::find(&rules, &base, None);
    let rules = rules.with_links(links);
    assert_eq!(fixture.rule_by(&rules, added("dev/environment")), None);
}
