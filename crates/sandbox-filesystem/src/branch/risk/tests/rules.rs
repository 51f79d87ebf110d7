//! Rules themselves: extended, refused, accepted.

use super::*;

#[test]
fn rules_are_extended_replaced_and_switched_off() {
    let fixture = Fixture::new();
    for path in ["Makefile", ".envrc", ".npmrc", "deploy/run", "tools/x"] {
        fixture.in_branch(path, "", 0o644);
    }
    fixture.in_branch("tools/x", "", 0o755);
    let more = RiskRules {
        enable: vec!["build-scripts".to_owned()],
        disable: vec!["package-manager".to_owned()],
        allow: vec!["tools/".to_owned()],
        hold: vec![
            RuleSpec {
                name: "deploy".to_owned(),
                why: "it is deployed".to_owned(),
                paths: vec!["Deploy/**".to_owned()],
                ..RuleSpec::default()
            },
            RuleSpec {
                name: "directory-environment".to_owned(),
                paths: vec!["other".to_owned()],
                ..RuleSpec::default()
            },
        ],
    };
    let rules = Rules::extended(&more).unwrap();
    let rule = |path| fixture.rule_by(&rules, added(path));
    assert_eq!(rule("Makefile").as_deref(), Some("build-scripts"));
    assert_eq!(rule("deploy/run").as_deref(), Some("deploy"));
    assert_eq!(rule(".envrc"), None);
    assert_eq!(rule(".npmrc"), None);
    assert_eq!(rule("tools/x"), None);
}

#[test]
fn rules_that_make_no_sense_are_refused_with_their_name() {
    let with = |spec: RuleSpec| RiskRules {
        hold: vec![spec],
        ..RiskRules::default()
    };
    let named = RuleSpec {
        name: "x".to_owned(),
        ..RuleSpec::default()
    };
    let bad_glob = RuleSpec {
        paths: vec!["a[".to_owned()],
        ..named.clone()
    };
    let bad_expression = RuleSpec {
        gains: vec!["(".to_owned()],
        ..named.clone()
    };
    for (rules, message) in [
        (
            with(named),
            "rule \"x\" has no condition: it would hold everything",
        ),
        (with(bad_glob), "rule \"x\""),
        (
            with(bad_expression),
            "rule \"x\": gains and harmless are regular expressions",
        ),
        (
            RiskRules {
                enable: vec!["build-script".to_owned()],
                ..RiskRules::default()
            },
            "enable: no rule is of the group \"build-script\"",
        ),
        (
            RiskRules {
                disable: vec!["bytecod".to_owned()],
                ..RiskRules::default()
            },
            "disable: no rule is called \"bytecod\"",
        ),
    ] {
        let error = Rules::extended(&rules).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let unknown = RiskRules {
        enable: vec!["x".to_owned()],
        ..RiskRules::default()
    };
    let hint = Rules::extended(&unknown).unwrap_err().hint().unwrap();
    assert_eq!(hint, "there are: build-scripts");
}

#[test]
fn held_changes_are_accepted_by_path_by_rule_or_all() {
    let mut held = added(".git/hooks/pre-commit");
    held.hold = Some(Hold {
        rule: "git-hooks".to_owned(),
        why: String::new(),
    });
    for (texts, is_accepted) in [
        (&[][..], false),
        (&[".git/hooks/*"], true),
        (&[".GIT/hooks/*"], false),
        (&["hooks/*"], false),
        (&["other", "rule:git-hooks"], true),
        (&["rule:bytecode"], false),
        (&["pre-commit"], true),
    ] {
        assert_eq!(
            Acceptance::of(texts).unwrap().accepts(&held),
            is_accepted,
            "{texts:?}"
        );
    }
    assert!(Acceptance::All.accepts(&held));
    assert!(!Acceptance::none().accepts(&held));
    assert!(Acceptance::none().accepts(&added("a")));
}
