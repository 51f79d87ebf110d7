//! `expect.tsv`: what every attempt must come to.

/// Where an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The default policy, behind every wall.
    Namespaces,
    /// On a host without namespaces.
    InPlace,
    /// In a sandbox inside a sandbox, which has no namespaces either.
    Nested,
    /// On the host's network with rules on ports.
    Ports,
}

impl Mode {
    /// Its name in the table.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::InPlace | Self::Nested => "in-place",
            Self::Ports => "ports",
        }
    }
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    program: &'static str,
    pub(crate) attempt: &'static str,
    guarantee: &'static str,
    modes: &'static str,
    refusals: &'static str,
}

impl Row {
    /// Whether it must be denied there.
    pub(crate) fn counts_in(&self, mode: Mode) -> bool {
        self.modes.split(',').any(|name| name == mode.column())
    }

    /// The guarantee that it tests: a rule on ports makes that of no network moot and takes over its attempts.
    pub(crate) fn guarantee(&self, mode: Mode) -> &'static str {
        match (mode, self.guarantee) {
            (Mode::Ports, "network_none") => "network_ports",
            (_, guarantee) => guarantee,
        }
    }

    /// Whether a refusal came in one of the ways expected. A detail that names no errno or signal needs no more.
    pub(crate) fn accepts(&self, detail: &str) -> bool {
        let named = detail.split_whitespace().find_map(|word| {
            word.strip_prefix("errno=")
                .or_else(|| word.strip_prefix("signal="))
        });
        named.is_none_or(|named| self.refusals.split(',').any(|refusal| refusal == named))
    }
}

/// The rows of one program.
pub(crate) fn rows(program: &str) -> Vec<Row> {
    let lines = include_str!("../../escape/expect.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1);
    let rows = lines.map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        let &[program, attempt, guarantee, modes, refusals, _control] = &fields[..] else {
            panic!("six fields in {line:?}");
        };
        Row {
            program,
            attempt,
            guarantee,
            modes,
            refusals,
        }
    });
    rows.filter(|row| row.program == program).collect()
}

#[test]
fn every_attempt_is_in_the_table_and_every_row_is_an_attempt() {
    if !crate::harness::has("cc") {
        skip!("escape", "no C compiler");
    }
    for program in super::PROGRAMS {
        let path = super::programs::program(&format!("escape-{program}"));
        let listed = std::process::Command::new(path)
            .arg("--list")
            .output()
            .expect("it runs")
            .stdout;
        let listed = String::from_utf8(listed).expect("names");
        let rows = rows(program);
        assert!(listed.lines().eq(rows.iter().map(|row| row.attempt)), "{program}");
    }
}
