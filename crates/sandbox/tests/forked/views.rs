//! What clones with branches of their own see, write and leave.

use std::fs::{read_to_string, write};
use std::io::Write;

use sandbox::branch::CommitOptions;
use sandbox::{Branches, Command, ForkOptions, ForkPool, Stdio};

use crate::scene::{fork, per_clone, printed, scenarios, scene};

scenarios! {
    each_clone_writes_to_a_branch_of_its_own_over_what_the_template_has_written
    a_clone_s_branch_is_committed_like_any_other_and_the_others_are_discarded
    branches_of_clones_are_merged
    clones_of_a_later_fork_start_where_the_template_stood
    a_clone_starts_in_its_own_view_where_the_template_was
    a_branch_is_in_use_while_its_clone_lives_and_free_when_it_has_been_waited_for
    a_hundred_clones_have_a_hundred_branches
    clones_of_a_pool_have_branches_and_those_that_were_not_handed_out_leave_none
    a_template_s_branch_that_is_read_only_can_be_written_again_when_clones_share_it
    commands_beside_the_clones_see_what_the_template_has_written
}

fn each_clone_writes_to_a_branch_of_its_own_over_what_the_template_has_written() {
    let scene = scene!();
    let init = || write("loaded", "once\n").expect("on the branch");
    let work = |id| {
        write("own", format!("{id}\n")).expect("its own branch");
        let mut old = std::fs::File::options()
            .append(true)
            .open("old")
            .expect("copied up");
        writeln!(old, "and clone {id}").expect("its own branch");
        let others = std::fs::read_dir(".").expect("there").count();
        print!(
            "{}{}{others}",
            read_to_string("loaded").expect("there"),
            read_to_string("old").expect("there")
        );
    };
    let mut template = scene.template(init, work);
    let mut clones = fork(&mut template, 3);
    for (id, clone) in clones.iter_mut().enumerate() {
        assert_eq!(printed(clone), format!("once\nfrom the base\nand clone {id}\n3"));
        let name = clone.branch().expect("it has one").clone();
        assert_eq!(name.as_str(), format!("base-{}", id + 1));
        assert_eq!(scene.changes(&name), "added loaded\nmodified old\nadded own\n");
    }
    assert_eq!(scene.read("old"), "from the base\n");
    drop((clones, template));
    assert_eq!(scene.changes(&"base".parse().expect("a name")), "added loaded\n");
}

fn a_clone_s_branch_is_committed_like_any_other_and_the_others_are_discarded() {
    let scene = scene!();
    let work = |id| write("answer", format!("{}\n", id * id)).expect("its own branch");
    let mut template = scene.template(|| {}, work);
    let mut clones = fork(&mut template, 4);
    let outputs: Vec<_> = clones.iter_mut().map(printed).collect();
    assert_eq!(outputs, ["", "", "", ""]);
    let names: Vec<_> = clones
        .iter()
        .map(|clone| clone.branch().expect("one").clone())
        .collect();
    drop((clones, template));
    let winner = scene.get(&names[3]).expect("there");
    winner.commit(&CommitOptions::default()).expect("it is free");
    assert_eq!(scene.read("answer"), "9\n");
    scene.workspace.discard_all(&names).expect("they are free");
    assert_eq!(
        scene.workspace.names().expect("there"),
        ["base".parse().expect("a name")]
    );
    assert_eq!(
        scene.workspace.collect_garbage().expect("it is free"),
        0,
        "nothing is left behind"
    );
}

fn branches_of_clones_are_merged() {
    let scene = scene!();
    let work = |id| write(format!("part-{id}"), "done").expect("its own branch");
    let mut template = scene.template(|| {}, work);
    let mut clones = fork(&mut template, 2);
    for clone in &mut clones {
        drop(printed(clone));
    }
    let names: Vec<_> = clones
        .iter()
        .map(|clone| clone.branch().expect("one").clone())
        .collect();
    let both = "both".parse().expect("a name");
    let merged = scene
        .workspace
        .merge(&names, &both, sandbox::ConflictPolicy::default());
    let report = merged.expect("both are free");
    assert!(report.conflicts.is_empty(), "{report:?}");
    assert_eq!(scene.changes(&both), "added part-0\nadded part-1\n");
}

fn clones_of_a_later_fork_start_where_the_template_stood() {
    let scene = scene!();
    let init = || write("loaded", "").expect("on the branch");
    let work = |_| {
        let mut names: Vec<_> = std::fs::read_dir(".")
            .expect("there")
            .map(|entry| entry.expect("there").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        print!("{names:?}");
        write("mess", "").expect("its own branch");
    };
    let mut template = scene.template(init, work);
    for _ in 0..3 {
        for mut clone in fork(&mut template, 2) {
            assert_eq!(printed(&mut clone), r#"["loaded", "old"]"#);
        }
    }
    assert_eq!(scene.workspace.names().expect("there").len(), 7);
}

fn a_clone_starts_in_its_own_view_where_the_template_was() {
    let scene = scene!();
    let init = || {
        std::fs::create_dir("deep").expect("on the branch");
        std::env::set_current_dir("deep").expect("just made");
    };
    let work = |_| {
        write("here", "").expect("its own branch");
        print!("{}", std::env::current_dir().expect("there").display());
    };
    let mut template = scene.template(init, work);
    let mut clone = fork(&mut template, 1).remove(0);
    assert_eq!(
        printed(&mut clone),
        scene.base().join("deep").display().to_string()
    );
    let changes = scene.changes(&clone.branch().expect("one").clone());
    assert_eq!(changes, "added deep\nadded deep/here\n");
}

fn a_branch_is_in_use_while_its_clone_lives_and_free_when_it_has_been_waited_for() {
    use sandbox::branch::Use;
    let scene = scene!();
    let work = |id| {
        if id == 0 {
            std::thread::sleep(std::time::Duration::from_secs(1000));
        }
    };
    let mut template = scene.template(|| {}, work);
    let mut clones = fork(&mut template, 2);
    let names: Vec<_> = clones
        .iter()
        .map(|clone| clone.branch().expect("one").clone())
        .collect();
    printed(&mut clones[1]);
    let use_of = |index: usize| {
        scene
            .get(&names[index])
            .expect("there")
            .in_use()
            .expect("its lock")
    };
    assert_eq!(use_of(1), Use::Free);
    assert!(matches!(use_of(0), Use::By(_)));
    assert!(scene.get(&names[0]).expect("there").discard().is_err());
    clones[0].kill().expect("it runs");
    assert_eq!(use_of(0), Use::Free);
    scene.workspace.discard_all(&names).expect("both are free");
}

fn a_hundred_clones_have_a_hundred_branches() {
    let scene = scene!();
    let mut template = scene.template(|| {}, |id| write("id", id.to_string()).expect("its own branch"));
    let mut clones = fork(&mut template, 100);
    for (id, clone) in clones.iter_mut().enumerate() {
        printed(clone);
        let branch = scene.get(clone.branch().expect("one")).expect("there");
        let upper = branch.diff().expect("it is free").changes;
        assert_eq!((upper.len(), upper[0].size), (1, id.to_string().len() as u64));
    }
}

fn clones_of_a_pool_have_branches_and_those_that_were_not_handed_out_leave_none() {
    let scene = scene!();
    let template = scene.template(|| {}, |id| write("id", id.to_string()).expect("its own branch"));
    let pool = ForkPool::new(template, 3, &per_clone()).expect("a pool");
    let mut clone = pool.take().expect("one is ready");
    printed(&mut clone);
    let name = clone.branch().expect("one").clone();
    drop(pool);
    assert_eq!(scene.changes(&name), "added id\n");
    assert_eq!(
        scene.workspace.names().expect("there"),
        ["base".parse().expect("a name"), name]
    );
}

fn a_template_s_branch_that_is_read_only_can_be_written_again_when_clones_share_it() {
    let scene = scene!();
    let work = |id| match write(format!("by-{id}"), "") {
        Ok(()) => print!("written"),
        Err(error) => print!("{:?}", error.kind()),
    };
    let mut template = scene.template(|| {}, work);
    let read_only = ForkOptions::default().branches(Branches::ReadOnly);
    let mut outputs = Vec::new();
    for options in [read_only, ForkOptions::default(), read_only] {
        outputs.push(printed(&mut template.fork_with(1, &options).expect("a clone")[0]));
    }
    assert_eq!(outputs, ["ReadOnlyFilesystem", "written", "ReadOnlyFilesystem"]);
    drop(template);
    assert_eq!(scene.changes(&"base".parse().expect("a name")), "added by-0\n");
}

fn commands_beside_the_clones_see_what_the_template_has_written() {
    let scene = scene!();
    let mut template = scene.template(|| write("loaded", "once\n").expect("on the branch"), |_| {});
    let run = |template: &mut sandbox::Sandbox| {
        let command = Command::new("sh").args(["-c", "cat loaded; touch x 2>/dev/null || echo refused; ls"]);
        let command = command
            .stdin(Stdio::Null)
            .stdout(Stdio::capture())
            .stderr(Stdio::capture());
        let result = template.spawn(command).expect("starts").wait().expect("ends");
        String::from_utf8_lossy(&result.stdout).into_owned()
    };
    fork(&mut template, 1);
    assert_eq!(run(&mut template), "once\nrefused\nloaded\nold\n");
}
