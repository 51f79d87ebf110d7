use sandbox_confine::*;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let n: usize = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let policy = Policy::default();
    let t = std::time::Instant::now();
    let prepared = Sandbox::prepare(&policy).unwrap();
    eprintln!("prepare {:?}", t.elapsed());
    if n == 1 {
        let r = prepared
            .command(&args[0])
            .args(&args[1..])
            .stdin(Stdio::Inherit)
            .stdout(Stdio::Inherit)
            .stderr(Stdio::Inherit)
            .spawn();
        match r {
            Ok(p) => {
                let r = p.wait();
                println!("{:?}", r.map(|r| (r.outcome, r.usage, r.report.full)));
            }
            Err(e) => {
                println!("ERR {e} {:?} {}", e.hint(), e.exit_status())
            }
        }
        if std::env::var("PLAN").is_ok() {
            for s in &prepared.plan().steps {
                println!("{s}");
            }
        }
        return;
    }
    let mut v: Vec<f64> = (0..n)
        .map(|_| {
            let t = std::time::Instant::now();
            let r = prepared.command(&args[0]).args(&args[1..]).output().unwrap();
            assert!(r.outcome.success());
            t.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    v.sort_by(f64::total_cmp);
    println!("median {:.3} min {:.3} max {:.3}", v[n / 2], v[0], v[n - 1]);
}
