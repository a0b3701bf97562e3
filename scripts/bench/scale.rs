//! What grows: the same calls with little and with much of one thing.
//!
//! A row gives the median before and after, and how often the one goes into the other. Much is what large hosts and large
//! configs have: a thousand containers, ten thousand mounts, two hundred layers, a config of five megabytes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Bench, Runtime, Sample, median, text, timed, variant};

/// Containers that stay.
const ALIVE: usize = 1000;
/// Doublings of a tree of mounts, beginning with ten.
const DOUBLINGS: usize = 10;
const LAYERS: usize = 200;

/// Prints all rows.
pub fn report(bench: &Bench) {
    println!("| | | before, ms | after, ms | growth |\n|---|---|---|---|---|");
    let beside = |name: &str| bench.short.with_file_name(name);
    let many = variant(&bench.short, &beside("many"), |config| {
        let args: Vec<String> = (0..2000).map(|n| format!("argument-{n}")).collect();
        config["process"]["args"] = json!([vec!["true".to_owned()], args].concat());
        let env = config["process"]["env"].as_array_mut().expect("an environment");
        env.extend((0..1000).map(|n| json!(format!("VARIABLE_{n}={}", "x".repeat(85)))));
    });
    bench.grows("2000 arguments, 100 kB env", |b, r| run(b, r, &b.short), |b, r| run(b, r, &many));
    let large = variant(&bench.short, &beside("large"), |config| {
        let notes = (0..50_000).map(|n| (format!("note.{n}"), json!("x".repeat(85))));
        config["annotations"] = Value::Object(notes.collect());
    });
    bench.grows("config.json of 5 MB", |b, r| run(b, r, &b.short), |b, r| run(b, r, &large));
    layers(bench, &beside("layers"));
    mounts(bench, &beside("mounts"));
    alive(bench);
}

fn run(_: &Bench, runtime: &Runtime, bundle: &Path) -> Sample {
    runtime.call(&["run", "--bundle", text(bundle), "bench"])
}

impl Bench {
    fn peers(&self) -> impl Iterator<Item = &Runtime> {
        self.runtimes.iter().filter(|r| !r.is_floor())
    }

    /// A row for each runtime, both states at hand at once.
    fn grows(&self, what: &str, before: impl Fn(&Self, &Runtime) -> Sample, after: impl Fn(&Self, &Runtime) -> Sample) {
        for runtime in self.peers() {
            let pairs: Vec<_> = (0..self.rounds).map(|_| (before(self, runtime), after(self, runtime))).collect();
            let (before, after): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            row(what, runtime, &before, &after);
        }
    }

    fn runs(&self) -> Vec<Vec<Sample>> {
        let mut rows: Vec<Vec<Sample>> = self.peers().map(|_| vec![]).collect();
        for _ in 0..self.rounds {
            self.peers().zip(&mut rows).for_each(|(runtime, row)| row.push(run(self, runtime, &self.short)));
        }
        rows
    }
}

fn row(what: &str, runtime: &Runtime, before: &[Sample], after: &[Sample]) {
    let (before, after) = (median(before, |s| s.wall), median(after, |s| s.wall));
    println!("| {what} | {} | {before:.2} | {after:.2} | {:.2} |", runtime.name, after / before);
}

/// Layers are rrun's own.
fn layers(bench: &Bench, dir: &Path) {
    let Some(rrun) = bench.peers().find(|r| r.is_ours()) else { return };
    let layers: Vec<PathBuf> = (0..LAYERS).map(|n| dir.join(n.to_string())).collect();
    for layer in &layers {
        std::fs::create_dir_all(layer).expect("a layer");
    }
    let with = |count: usize| {
        let mut args = vec!["run", "--bundle", text(&bench.short)];
        for layer in layers.iter().take(count) {
            args.extend(["--layer", text(layer)]);
        }
        let base = bench.short.join("rootfs");
        args.extend(["--layer", text(&base), "bench"]);
        rrun.call(&args)
    };
    let pairs: Vec<_> = (0..bench.rounds).map(|_| (with(2), with(LAYERS))).collect();
    let (few, all): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    row("200 layers instead of 2", rrun, &few, &all);
}

/// The mounts are made in the mount namespace that scripts/bench.sh gave us, and end with it.
fn mounts(bench: &Bench, dir: &Path) {
    let few = bench.runs();
    let mount = |args: &[&str]| {
        let done = Command::new("mount").args(args).status().expect("start mount");
        assert!(done.success(), "mount {} failed", args.join(" "));
    };
    std::fs::create_dir_all(dir).expect("a directory");
    mount(&["-t", "tmpfs", "many", text(dir)]);
    mount(&["--make-private", text(dir)]);
    for n in 0..10 {
        let place = dir.join("0").join(n.to_string());
        std::fs::create_dir_all(&place).expect("a directory");
        mount(&["-t", "tmpfs", "one", text(&place)]);
    }
    mount(&["--bind", text(&dir.join("0")), text(&dir.join("0"))]);
    for n in 1..=DOUBLINGS {
        let place = dir.join(n.to_string());
        std::fs::create_dir_all(&place).expect("a directory");
        // All that was made so far, once more.
        let all = dir.with_file_name("all");
        std::fs::create_dir_all(&all).expect("a directory");
        mount(&["--rbind", text(dir), text(&all)]);
        mount(&["--make-rprivate", text(&all)]);
        mount(&["--move", text(&all), text(&place)]);
    }
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let many = bench.runs();
    let what = format!("{} mounts on the host", table.lines().count());
    bench.peers().zip(few.iter().zip(&many)).for_each(|(runtime, (few, many))| row(&what, runtime, few, many));
    let done = Command::new("umount").args(["-l", text(dir)]).status().expect("start umount");
    assert!(done.success(), "umount failed");
}

/// All containers are rrun's; a peer is timed on the same busy host.
fn alive(bench: &Bench) {
    let Some(rrun) = bench.peers().find(|r| r.is_ours()) else { return };
    let few = bench.runs();
    let ids: Vec<String> = (0..ALIVE).map(|n| format!("alive{n}")).collect();
    for id in &ids {
        rrun.call(&["run", "--detach", "--bundle", text(&bench.stays), id]);
    }
    let many = bench.runs();
    bench.peers().zip(few.iter().zip(&many)).for_each(|(r, (few, many))| row("1000 containers alive", r, few, many));
    let calls: [(&str, &[&str]); 4] = [
        ("state", &["state", "alive500"]),
        ("kill", &["kill", "alive500", "0"]),
        ("list", &["list"]),
        ("list --quiet", &["list", "-q"]),
    ];
    for (what, args) in calls {
        let times: Vec<Sample> = (0..bench.rounds).map(|_| rrun.call(args)).collect();
        println!("| `{what}` among them | {} | | {:.2} | |", rrun.name, median(&times, |s| s.wall));
    }
    let gone = timed(|| ids.iter().for_each(|id| rrun.checked(&["delete", "--force", id])));
    println!("| `delete --force`, each | {} | | {:.2} | |", rrun.name, gone.wall / ALIVE as f64);
}
