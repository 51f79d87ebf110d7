//! Examples at the end of the help text. The integration tests run every one of them.

const EXAMPLES: &[(&str, &str)] = &[
    (
        "Everything visible is read-only; the home is private, the network absent",
        "sandbox run -- python3 x.py",
    ),
    ("A build writes here and nowhere else", "sandbox run -w . -- make"),
    (
        "Data from elsewhere, without a part of it",
        "sandbox run -r ~/data --deny ~/data/private -- ls -R ~/data",
    ),
    (
        "An untrusted program and one test; the verdict is JSON on standard error",
        "sandbox run --profile judge --cpu-time 1s --memory 256M --json -- ./a.out < t1.in",
    ),
    (
        "A server on the host's network, on one port",
        "sandbox run --net host --bind-port 8080 -- ./server",
    ),
    (
        "A variable, a niceness and two minutes",
        "sandbox run --env TOKEN --nice 10 --wall-time 2m -- ./agent.sh",
    ),
    (
        "What would be done and enforced",
        "sandbox run --explain -w . -- make",
    ),
];

const STATUSES: &str = "\
Exit status:
  the command's own; 128+N when signal N ended it; 124 after --wall-time or --cpu-time,
  137 after --memory or --processes, 153 after --output-limit or --file-size;
  125 when the sandbox failed before the command; 126 when the command cannot be executed,
  127 when it is not found. --json tells them apart.
";

/// The text.
pub(crate) fn text() -> String {
    let mut text = String::from("Examples:\n");
    for (about, command) in EXAMPLES {
        text.push_str(&format!("  # {about}\n  $ {command}\n"));
    }
    text.push('\n');
    text.push_str(STATUSES);
    text
}
