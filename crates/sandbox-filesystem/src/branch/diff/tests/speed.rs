use super::world::{World, whiteout, write};
use std::time::Instant;
fn rss() -> String {
    let t = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = t.split(' ').collect();
    format!("cpu user {} sys {} ticks {}", f[13], f[14], mem())
}
fn mem() -> String {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    s.lines()
        .filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS"))
        .collect::<Vec<_>>()
        .join(" ")
}
#[test]
fn speed() {
    let Some(_) = std::env::var_os("SPEED") else {
        return;
    };
    let mut world = World::new();
    for d in 0..1000 {
        for f in 0..100 {
            let p = format!("d{}/e{}/file-number-{f}.txt", d / 50, d);
            write(world.base(&p), &format!("{p}\n").repeat(40));
            write(
                world.up(&p),
                &format!("{p}\n").repeat(40).replace("number", "nUmber"),
            );
        }
    }
    world.is_born();
    println!("made {}", rss());
    for _ in 0..3 {
        let t = Instant::now();
        let n = world.diff().len();
        println!("modified {n}: {:?} {}", t.elapsed(), rss());
    }
    let added = World::new();
    for d in 0..1000 {
        for f in 0..100 {
            let p = format!("d{}/e{}/file-number-{f}.txt", d / 50, d);
            write(added.up(&p), &format!("{p}\n").repeat(40));
        }
    }
    for _ in 0..3 {
        let t = Instant::now();
        let n = added.diff().len();
        println!("added {n}: {:?} {}", t.elapsed(), rss());
    }
    let moved = World::new();
    for d in 0..1000 {
        for f in 0..100 {
            let p = format!("d{}/e{}/file-number-{f}.txt", d / 50, d);
            write(moved.base(&p), &format!("{p}\n").repeat(40));
            write(moved.up(&format!("new/{p}")), &format!("{p}\n").repeat(40));
        }
    }
    for d in 0..20 {
        whiteout(moved.up(&format!("d{d}")));
    }
    for _ in 0..3 {
        let t = Instant::now();
        let c = moved.diff();
        let n = c.iter().filter(|c| c.change.letter() == 'R').count();
        println!("moved {} renames {n}: {:?} {}", c.len(), t.elapsed(), rss());
    }
}
