//! Problems of a policy in the words of the command line.

use sandbox::PolicyError;

/// Keys of a policy, and the flags that set them.
const FLAGS: &[(&str, &str)] = &[
    ("filesystem.read", "--read"),
    ("filesystem.write", "--write"),
    ("filesystem.deny", "--deny"),
    ("filesystem.mounts.at", "--bind or --tmpfs"),
    ("filesystem.mounts.source.tmpfs.size", "--tmpfs"),
    ("filesystem.mounts.source", "--bind"),
    ("filesystem.scratch", "--tmp-size"),
    ("network.bind_ports", "--bind-port"),
    ("network.connect_ports", "--connect-port"),
    ("limits.memory", "--memory"),
    ("limits.processes", "--processes"),
    ("limits.wall_time", "--wall-time"),
    ("limits.cpu_time", "--cpu-time"),
    ("limits.output", "--output-limit"),
    ("limits.open_files", "--open-files"),
    ("limits.file_size", "--file-size"),
    ("process.env", "--env"),
    ("process.pass_env", "--env"),
    ("process.cwd", "--cwd"),
    ("process.hostname", "--hostname"),
    ("process.identity", "--user"),
    ("process.umask", "--umask"),
    ("process.nice", "--nice"),
];

/// Every problem on a line of its own, with flags for keys. A profile that was read is valid by itself, so
/// a problem that comes later comes from a flag.
pub(crate) fn problems(error: &PolicyError) -> String {
    let lines: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| in_flags(&problem.to_string()))
        .collect();
    lines.join("\n")
}

fn in_flags(problem: &str) -> String {
    match problem
        .split_once(": ")
        .map(|(key, rest)| (FLAGS.iter().find(|(known, _)| *known == key), rest))
    {
        Some((Some((_, flag)), rest)) => format!("{flag}: {rest}"),
        _ => problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox::{Policy, SizeExt};

    #[test]
    fn a_problem_names_the_flag() {
        let error = Policy::builder()
            .memory(0.bytes())
            .umask(0o7777)
            .build()
            .expect_err("two problems");
        let text = problems(&error);
        assert!(text.starts_with("--memory: 0 lets nothing run"), "{text}");
        assert!(text.contains("\n--umask: 7777"), "{text}");
    }
}
