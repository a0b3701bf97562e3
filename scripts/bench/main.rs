//! Times container runtimes beside each other and prints the tables of docs/performance.md: `bench table|scale ROUNDS DIR NAME=PATH…`.
//!
//! DIR holds the fixtures, and the state of each runtime in `state/NAME`. Rounds are interleaved (A B C A B C), so that a drift of the machine hits all alike; a cell gives
//! the median in milliseconds, and its ratio to that of the first runtime that is not rrun. CPU time is that of all processes
//! that were waited for. `floor` and `floor+` name the program that does the kernel's work alone (floor.c).

#![allow(clippy::print_stdout, reason = "its table is its output")]

mod scale;

use std::fs;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

/// One of the programs to compare.
struct Runtime {
    name: String,
    path: PathBuf,
    /// Its state root.
    root: PathBuf,
}

/// Where everything lies.
struct Bench {
    runtimes: Vec<Runtime>,
    /// The bundle that ends at once, and the one that stays.
    short: PathBuf,
    stays: PathBuf,
    rounds: usize,
}

/// Wall and CPU time of one call, in milliseconds.
#[derive(Clone, Copy)]
struct Sample {
    wall: f64,
    cpu: f64,
}

/// One of a sample's two times.
type Time = fn(&Sample) -> f64;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["peak", program, rest @ ..] => println!("{}", peak(program, rest)),
        ["table", rounds, dir, runtimes @ ..] => table(&Bench::new(rounds, dir, runtimes)),
        ["scale", rounds, dir, runtimes @ ..] => scale::report(&Bench::new(rounds, dir, runtimes)),
        _ => panic!("usage: bench table|scale ROUNDS DIR NAME=PATH…"),
    }
}

fn table(bench: &Bench) {
    line("", bench.runtimes.iter().map(|r| r.name.clone()));
    line("---", bench.runtimes.iter().map(|_| "---".to_owned()));
    bench.compare("`run`", bench.rounds, Bench::run);
    bench.compare("create, start, delete", bench.rounds, |b, r| if r.is_floor() { None } else { b.cycle(r) });
    for runtime in bench.runtimes.iter().filter(|r| !r.is_floor()) {
        runtime.call(&["run", "--detach", "--bundle", text(&bench.stays), &runtime.stays()]);
    }
    bench.compare("`exec`", bench.rounds, |_, r| if r.is_floor() { None } else { Some(r.call(&["exec", &r.stays(), "true"])) });
    for runtime in bench.runtimes.iter().filter(|r| !r.is_floor()) {
        runtime.call(&["delete", "--force", &runtime.stays()]);
    }
    let few = bench.rounds.div_ceil(8).max(3);
    bench.compare("32 runs, 4 at a time", few, |b, r| if r.is_floor() { None } else { Some(b.parallel(r)) });
    let each = |what: &str, of: &dyn Fn(&Runtime) -> String| line(what, bench.runtimes.iter().map(of));
    each("system calls of one `run`, all processes", &|r| bench.system_calls(r).map_or(String::new(), |n| n.to_string()));
    each("peak resident size, KiB", &|r| bench.peak_of(r));
    // User-mode Linux 7.2 itself ends ("Kernel panic") when a start is killed for lack of memory.
    if !fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("User Mode Linux")) {
        each("smallest memory limit that suffices, KiB", &|r| bench.least_memory(r));
    }
    each("binary without its libraries, KiB", &|r| fs::metadata(&r.path).map_or(0, |m| m.len() / 1024).to_string());
}

/// A line of a table in Markdown.
fn line(what: &str, cells: impl Iterator<Item = String>) {
    println!("| {what} | {} |", cells.collect::<Vec<_>>().join(" | "));
}

impl Bench {
    fn new(rounds: &str, dir: &str, runtimes: &[&str]) -> Self {
        let dir = Path::new(dir);
        let short = dir.join("engine");
        let stays = variant(&short, &dir.join("stays"), |config| config["process"]["args"] = json!(["sleep", "100000"]));
        // A tmpfs, by scripts/bench.sh, which also removes what is left in it, however we end.
        let state = dir.join("state");
        let runtimes = runtimes.iter().map(|named| {
            let (name, path) = named.split_once('=').expect("NAME=PATH");
            Runtime { name: name.to_owned(), path: path.into(), root: state.join(name) }
        });
        let mut bench = Self { runtimes: runtimes.collect(), short, stays, rounds: rounds.parse().expect("a number of rounds") };
        // A first run warms the caches, and shows who can run here at all.
        bench.runtimes.retain(|runtime| {
            let able = Bench::try_run(&bench.short, runtime);
            if !able {
                println!("left out, as it cannot run here: {}", runtime.name);
            }
            able
        });
        bench
    }

    fn try_run(bundle: &Path, runtime: &Runtime) -> bool {
        runtime.command(&runtime.run_args(bundle)).stderr(Stdio::inherit()).status().expect("start it").success()
    }

    /// Prints two lines, of wall and of CPU time. `None`: it has no part in this.
    fn compare(&self, workload: &str, rounds: usize, act: impl Fn(&Self, &Runtime) -> Option<Sample>) {
        let mut rows: Vec<Vec<Sample>> = self.runtimes.iter().map(|_| vec![]).collect();
        for _ in 0..rounds {
            for (runtime, row) in self.runtimes.iter().zip(&mut rows) {
                row.extend(act(self, runtime));
            }
        }
        let base = (0..rows.len()).find(|i| !self.runtimes[*i].is_ours() && !rows[*i].is_empty()).map(|i| &rows[i]);
        let times: [(&str, Time); 2] = [("wall", |s| s.wall), ("CPU", |s| s.cpu)];
        for (name, of) in times {
            let cell = |row: &Vec<Sample>| match (row.is_empty(), base) {
                (true, _) => String::new(),
                (false, None) => format!("{:.2}", median(row, of)),
                (false, Some(base)) => format!("{:.2} = {:.2}", median(row, of), median(row, of) / median(base, of)),
            };
            line(&format!("{workload}, {name}, ms"), rows.iter().map(cell));
        }
    }

    fn run(&self, runtime: &Runtime) -> Option<Sample> {
        Some(runtime.call(&runtime.run_args(&self.short)))
    }

    /// create, start, the program's end, delete; the waiting for the end is not counted.
    fn cycle(&self, runtime: &Runtime) -> Option<Sample> {
        let made = runtime.call(&["create", "--bundle", text(&self.short), "bench"]);
        let started = runtime.call(&["start", "bench"]);
        let end = Instant::now() + Duration::from_secs(10);
        while !runtime.output(&["state", "bench"]).contains("stopped") && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        let deleted = runtime.call(&["delete", "bench"]);
        Some(Sample { wall: made.wall + started.wall + deleted.wall, cpu: made.cpu + started.cpu + deleted.cpu })
    }

    /// 32 runs, four at a time.
    fn parallel(&self, runtime: &Runtime) -> Sample {
        timed(|| {
            std::thread::scope(|scope| {
                for lane in 0..4 {
                    scope.spawn(move || {
                        for n in 0..8 {
                            runtime.checked(&["run", "--bundle", text(&self.short), &format!("bench{lane}x{n}")]);
                        }
                    });
                }
            });
        })
    }

    /// All processes of one `run`, the container's own program included.
    fn system_calls(&self, runtime: &Runtime) -> Option<usize> {
        let trace = self.short.with_file_name("trace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-c", "-U", "calls,name", "-o"]).arg(&trace).arg(&runtime.path);
        strace.args(runtime.prefix()).args(runtime.run_args(&self.short));
        strace.stdout(Stdio::null()).stderr(Stdio::null()).status().ok().filter(|s| s.success())?;
        let text = fs::read_to_string(&trace).ok()?;
        text.lines().rfind(|l| l.ends_with("total"))?.split_whitespace().next()?.parse().ok()
    }

    /// By a small program of its own: what this one has grown to would count as what it starts.
    fn peak_of(&self, runtime: &Runtime) -> String {
        let mut own = Command::new(std::env::current_exe().expect("our own path"));
        own.arg("peak").arg(&runtime.path).args(runtime.prefix()).args(runtime.run_args(&self.short));
        String::from_utf8_lossy(&own.output().expect("start ourselves").stdout).trim().to_owned()
    }

    /// The smallest memory limit under which the program runs, three times in a row.
    fn least_memory(&self, runtime: &Runtime) -> String {
        let mut tried = (64..512).step_by(8).chain([512, 768, 1024, 2048, 3072, 4096, 8192, 16384]);
        let runs = |kib: &u64| {
            let limit = json!({"limit": kib * 1024});
            let change = |config: &mut Value| config["linux"]["resources"]["memory"] = limit;
            let little = variant(&self.short, &self.short.with_file_name("little"), change);
            // The floor reads no config, and looks for the root in the bundle.
            let bundle = if runtime.is_floor() { &self.short } else { &little };
            (0..3).all(|_| {
                let mut within = Command::new("timeout");
                within.args(["-s", "KILL", "20"]).arg(&runtime.path).args(runtime.prefix()).args(runtime.run_args(bundle));
                within.env("LIMIT", (kib * 1024).to_string());
                let done = within.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
                let done = done.expect("start timeout").success();
                if !done && !runtime.is_floor() {
                    runtime.command(&["delete", "--force", "bench"]).status().expect("start it");
                }
                done
            })
        };
        tried.find(runs).map_or("more".to_owned(), |kib| kib.to_string())
    }
}

impl Runtime {
    fn is_floor(&self) -> bool {
        matches!(self.name.as_str(), "floor" | "floor+")
    }

    fn is_ours(&self) -> bool {
        self.name.starts_with("rrun") || self.is_floor()
    }

    /// The id of its container that stays. Two of one name would share their control groups.
    fn stays(&self) -> String {
        format!("stays-{}", self.name)
    }

    /// What stands before the verb.
    fn prefix(&self) -> Vec<&str> {
        if self.is_floor() { vec![] } else { vec!["--root", text(&self.root)] }
    }

    fn run_args<'a>(&self, bundle: &'a Path) -> Vec<&'a str> {
        // It takes the root itself.
        match self.name.as_str() {
            "floor" => vec![text(bundle)],
            "floor+" => vec![text(bundle), "+"],
            _ => vec!["run", "--bundle", text(bundle), "bench"],
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(self.prefix()).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn checked(&self, args: &[&str]) {
        // What it says goes to memory: a pipe would be held open by a container that stays.
        let mut said: fs::File = memfd_create("stderr", MFdFlags::MFD_CLOEXEC).expect("memfd_create").into();
        let own = said.try_clone().expect("duplicate a descriptor");
        let status = self.command(args).stderr(own).status().expect("start it");
        if !status.success() {
            let mut text = String::new();
            said.rewind().and_then(|()| said.read_to_string(&mut text)).expect("read what it said");
            panic!("{} {} failed: {status}\n{text}", self.name, args.join(" "));
        }
    }

    fn call(&self, args: &[&str]) -> Sample {
        timed(|| self.checked(args))
    }

    fn output(&self, args: &[&str]) -> String {
        let out = self.command(args).stdout(Stdio::piped()).output().expect("start it");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

/// A bundle like `from`, with another config: its root is that of `from`.
fn variant(from: &Path, to: &Path, change: impl FnOnce(&mut Value)) -> PathBuf {
    let config = fs::read(from.join("config.json")).expect("config.json");
    let mut config: Value = serde_json::from_slice(&config).expect("JSON");
    config["root"]["path"] = json!(from.join("rootfs"));
    change(&mut config);
    fs::create_dir_all(to).expect("a directory");
    fs::write(to.join("config.json"), config.to_string()).expect("write config.json");
    to.to_owned()
}

/// The peak resident size of a program and what it started, in KiB.
fn peak(program: &str, args: &[&str]) -> i64 {
    Command::new(program).args(args).stdout(Stdio::null()).status().expect("start it");
    getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage").max_rss()
}

fn timed(act: impl FnOnce()) -> Sample {
    let cpu = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage");
        let ms = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
        ms(usage.user_time()) + ms(usage.system_time())
    };
    let (start, before) = (Instant::now(), cpu());
    act();
    Sample { wall: start.elapsed().as_secs_f64() * 1e3, cpu: cpu() - before }
}

fn median(row: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = row.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
