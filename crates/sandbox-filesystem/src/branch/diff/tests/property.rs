//! Random edits of random trees: a diff finds what a plain comparison of two whole trees finds.

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::super::super::base::BaseKnowledge;
use super::super::super::copied::CopyIndex;
use super::super::super::stack::LayerFormat;
use super::edits::{Edit, making, working, working_in_copy, working_without_links};
use super::inside::Job;
use super::naive;
use super::world::{World, in_namespace};

const CASES: u32 = 24;

fn runner() -> TestRunner {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
        config.cases
    } else {
        CASES
    };
    TestRunner::new(Config { cases, ..config })
}

/// Does `edits` to trees of `world`.
fn edit(world: &World, roots: &[&str], edits: &[Edit], start: i64) -> String {
    let roots = roots.iter().map(|root| world.path(root)).collect();
    let job = Job::Edit {
        roots,
        edits: edits.to_vec(),
        start,
    };
    job.script(&world.path(&format!("job-{start}")))
}

fn compare(world: &World, old: &str, new: &str) -> (String, PathBuf) {
    let to = world.path("result");
    let job = Job::Compare {
        old: world.path(old),
        new: world.path(new),
        to: to.clone(),
    };
    (job.script(&world.path("job-compare")), to)
}

/// A base made by `edits`, and a copy of it; `false` where that cannot be done.
fn make_base(world: &World, test: &str, edits: &[Edit]) -> bool {
    let script = edit(world, &["base"], edits, 0);
    let base = world.path("base");
    let script = format!(
        "{script} cp -a '{}' '{}'",
        base.display(),
        world.path("plain").display()
    );
    in_namespace(test, &script)
}

fn check(world: &World, result: &std::path::Path) -> Result<(), TestCaseError> {
    let changes = world.diff();
    prop_assert!(changes.is_sorted_by(|one, other| one.path < other.path));
    let conflicts: Vec<_> = changes
        .iter()
        .filter(|change| change.conflict.is_some())
        .collect();
    prop_assert!(conflicts.is_empty(), "{conflicts:#?}");
    let found = naive::lines_of(&changes, &world.path("base"));
    let expected = Job::result(result);
    prop_assert_eq!(found, expected);
    Ok(())
}

#[test]
fn an_overlay_differs_as_a_plain_copy_does() {
    let test = "an_overlay_differs_as_a_plain_copy_does";
    let property = |(base, edits): (Vec<Edit>, Vec<Edit>)| {
        let mut world = World::new();
        if !make_base(&world, test, &base) {
            return Ok(());
        }
        world.is_born();
        let work = edit(&world, &["merged", "plain"], &edits, 1000);
        let (comparison, result) = compare(&world, "base", "plain");
        prop_assert!(world.in_view(test, &(work + &comparison)));
        check(&world, &result)
    };
    runner().run(&(making(), working()), property).unwrap();
}

#[test]
fn an_overlay_upon_an_overlay_differs_as_a_plain_copy_does() {
    let test = "an_overlay_upon_an_overlay_differs_as_a_plain_copy_does";
    let property = |(base, first, second): (Vec<Edit>, Vec<Edit>, Vec<Edit>)| {
        let mut world = World::new();
        if !make_base(&world, test, &base) {
            return Ok(());
        }
        world.is_born();
        let work = edit(&world, &["merged", "plain"], &first, 1000);
        prop_assert!(world.in_view(test, &work));
        std::fs::create_dir(world.path("second")).unwrap();
        world
            .layers
            .insert(0, (world.path("second"), LayerFormat::Overlay));
        let work = edit(&world, &["merged", "plain"], &second, 2000);
        let (comparison, result) = compare(&world, "base", "plain");
        world.renew_work();
        prop_assert!(world.in_view(test, &(work + &comparison)));
        check(&world, &result)
    };
    let strategy = (making(), working_without_links(), working());
    runner().run(&strategy, property).unwrap();
}

#[cfg(feature = "fuse")]
#[test]
fn an_overlay_of_our_own_differs_as_a_plain_copy_does_hard_links_too() {
    let test = "an_overlay_of_our_own_differs_as_a_plain_copy_does_hard_links_too";
    let property = |(base, first, second): (Vec<Edit>, Vec<Edit>, Vec<Edit>)| {
        let mut world = World::new();
        if !make_base(&world, test, &base) {
            return Ok(());
        }
        world.is_born();
        let work = edit(&world, &["merged", "plain"], &first, 1000);
        if !world.in_exact_view(test, &work) {
            return Ok(());
        }
        std::fs::create_dir(world.path("second")).unwrap();
        let above = (world.path("second"), LayerFormat::Overlay);
        world.layers.insert(0, above);
        let work = edit(&world, &["merged", "plain"], &second, 2000);
        let (comparison, result) = compare(&world, "base", "plain");
        prop_assert!(world.in_exact_view(test, &(work + &comparison)));
        check(&world, &result)
    };
    let strategy = (super::edits::making_links(), working(), working());
    runner().run(&strategy, property).unwrap();
}

#[test]
fn a_whole_copy_differs_as_a_plain_copy_does_whatever_is_known_of_it() {
    let test = "a_whole_copy_differs_as_a_plain_copy_does_whatever_is_known_of_it";
    let property = |(base, edits): (Vec<Edit>, Vec<Edit>)| {
        let mut world = World::new();
        if !make_base(&world, test, &base) {
            return Ok(());
        }
        let tree = world.path("plain");
        world.layers = vec![(tree.clone(), LayerFormat::Complete)];
        let birth = world.stamp();
        let index = CopyIndex::of(&tree).unwrap();
        let copied_at = world.stamp();
        let work = edit(&world, &["plain"], &edits, 1000);
        let (comparison, result) = compare(&world, "base", "plain");
        prop_assert!(in_namespace(test, &(work + &comparison)));
        for (copied_at, copied) in [
            (None, None),
            (Some(copied_at), None),
            (Some(copied_at), Some(index)),
        ] {
            world.knowledge = BaseKnowledge {
                birth,
                copied_at,
                copied,
                ..BaseKnowledge::default()
            };
            check(&world, &result)?;
        }
        Ok(())
    };
    runner().run(&(making(), working_in_copy()), property).unwrap();
}
