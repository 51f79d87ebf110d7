//! `cargo xtask demo`: set-up, a release build, then the main job on a real directory.
//!
//! Every step is printed as it would be typed, with its real output and status; the demonstration
//! fails when a step does not do what it promises.

mod steps;

use std::{path::Path, time::Duration};

use crate::{
    artifact,
    cmd::{Cmd, cargo},
    error::{DemoFault, Error, Result},
    quote,
    scratch::{Scratch, copy_tree},
    setup::{self, Need},
    workspace,
};

use steps::{STEPS, Step};

/// No step takes a tenth of this.
const LIMIT: Duration = Duration::from_mins(1);

pub(crate) fn run() -> Result<()> {
    setup::ensure(&[Need::Build])?;
    let built = artifact::build(cargo().args(["build", "--release", "--package=sandbox-cli"]))?;
    let sandbox = &artifact::program(&built, "sandbox")?.executable;

    let scratch = Scratch::new(&std::env::temp_dir(), "sandbox-demo")?;
    let project = scratch.path().join("project");
    copy_tree(&workspace::root().join("xtask/demo/project"), &project)?;
    for step in STEPS {
        show(step, sandbox, &project)?;
    }
    println!("\nAll {} steps did what they promise.", STEPS.len());
    Ok(())
}

fn show(step: &Step, sandbox: &Path, project: &Path) -> Result<()> {
    let shown = quote::join(step.argv);
    println!("\n# {}\n$ {shown}", step.shows);
    let (program, args) = match step.argv {
        ["sandbox", args @ ..] => (sandbox, args),
        [program, args @ ..] => (Path::new(program), args),
        [] => return Ok(()),
    };
    let mut output = String::new();
    let status = Cmd::new(program)
        .args(args)
        .dir(project)
        .silent()
        .follow(LIMIT, &mut |line| {
            println!("{line}");
            output.push_str(line);
            output.push('\n');
        })?;
    let code = status.code();
    println!(
        "[exit {}]",
        code.map_or_else(|| status.to_string(), |code| code.to_string())
    );
    let fault = |what| Error::Demo {
        command: shown.clone(),
        what,
    };
    if !code.is_some_and(|code| step.exit.contains(&code)) {
        let expected: Vec<_> = step.exit.iter().map(i32::to_string).collect();
        let expected = expected.join(" or ");
        return Err(fault(DemoFault::Status {
            expected,
            actual: status.to_string(),
        }));
    }
    match step.says.iter().find(|text| !output.contains(**text)) {
        Some(text) => Err(fault(DemoFault::Output { text })),
        None => Ok(()),
    }
}
