use sandbox_confine::*;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let n: usize = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut policy = Policy::default();
    if std::env::var("MIN").is_ok() {
        policy.filesystem.toolchains = false;
    }
    if std::env::var("HOST").is_ok() {
        policy.network.mode = sandbox_types::policy::NetworkMode::Host;
    }
    if std::env::var("NOSYS").is_ok() {
        policy.filesystem.system = false;
        policy.filesystem.read.push("/usr".into());
        policy.filesystem.read.push("/lib/x86_64-linux-gnu".into());
    }
    if std::env::var("ONCE").is_ok() {
        let t = std::time::Instant::now();
        let r = Sandbox::command(&policy, &args[0])
            .args(&args[1..])
            .output()
            .unwrap();
        println!("once {:?} {:?}", t.elapsed(), r.outcome);
        return;
    }
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
    let mut v = vec![];
    let mut w = vec![];
    let mut x = vec![];
    for _ in 0..n {
        let t = std::time::Instant::now();
        let p = prepared
            .command(&args[0])
            .args(&args[1..])
            .stdin(Stdio::Null)
            .stdout(Stdio::capture())
            .stderr(Stdio::capture())
            .spawn()
            .unwrap();
        let a = t.elapsed().as_secs_f64() * 1e3;
        let r = p.wait().unwrap();
        assert!(r.outcome.success());
        v.push(t.elapsed().as_secs_f64() * 1e3);
        w.push(a);
        x.push(r.usage.wall_us as f64 / 1e3);
    }
    for (name, mut v) in [("total", v), ("started", w), ("wall", x)] {
        v.sort_by(f64::total_cmp);
        println!(
            "{name} median {:.3} min {:.3} max {:.3}",
            v[n / 2],
            v[0],
            v[n - 1]
        );
    }
}
