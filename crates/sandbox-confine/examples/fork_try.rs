//! try
use sandbox_confine::{CloneOutput, ForkOptions, Policy, Sandbox};
fn main() {
    let n: u32 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(10);
    let mut t = Sandbox::new_with_fns(
        &Policy::default(),
        || {
            eprintln!(
                "init pid {} uid {}",
                std::process::id(),
                std::fs::read_to_string("/proc/self/status")
                    .unwrap()
                    .lines()
                    .filter(|l| l.starts_with("Cap")
                        || l.starts_with("NSpid")
                        || l.starts_with("Uid")
                        || l.starts_with("Seccomp"))
                    .collect::<Vec<_>>()
                    .join(" | ")
            )
        },
        |id| {
            if id < 3 {
                println!(
                    "clone {id} pid {} env {:?} {}",
                    std::process::id(),
                    std::env::var("CLONE_ID"),
                    std::fs::read_to_string("/proc/self/status")
                        .unwrap()
                        .lines()
                        .filter(|l| l.starts_with("Cap")
                            || l.starts_with("NSpid")
                            || l.starts_with("Uid")
                            || l.starts_with("Seccomp"))
                        .collect::<Vec<_>>()
                        .join(" | ")
                );
            }
        },
    )
    .unwrap_or_else(|e| {
        eprintln!("{e} {e:?}");
        std::process::exit(1)
    });
    for round in 0..3 {
        let s = std::time::Instant::now();
        let mut clones = t
            .fork_with(n, &ForkOptions::default().stderr(CloneOutput::Inherit))
            .unwrap_or_else(|e| {
                eprintln!("{e} {e:?}");
                std::process::exit(1)
            });
        let e = s.elapsed();
        eprintln!(
            "round {round} forked {n} in {e:?}: {:.0}/s",
            f64::from(n) / e.as_secs_f64()
        );
        if round == 0 {
            eprintln!("{:?} {:?}", clones[0].pid(), clones[0].status());
        }
        for c in &mut clones {
            let r = c.wait().unwrap();
            if !r.stdout.is_empty() || !r.outcome.success() {
                eprintln!(
                    "{:?} {:?} {}",
                    r.outcome,
                    r.usage,
                    String::from_utf8_lossy(&r.stdout)
                );
            }
        }
        let e = s.elapsed();
        eprintln!("done in {e:?}: {:.0}/s", f64::from(n) / e.as_secs_f64());
    }
}
