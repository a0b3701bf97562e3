//! `stats`: what a container uses, against what it may use.
//!
//! The kernel counts per cgroup; nothing here asks the container. Counters only grow, so that a share (CPU %) needs two readings; a
//! limit that is hit shows in other counters: throttled periods, OOM kills. Memory is the difficult one: a page is charged to
//! whoever touched it first, and the page cache counts until somebody needs the room. A file that is not there is `-`, never 0:
//! "no throttling" and "nobody knows" are not the same.

pub mod docker;
mod reading;
pub mod show;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::cli::{StatsArgs, StatsView as View};
use crate::error::{Error, Result};
use crate::process::end::NOT_RUNNING;
use crate::state::{MISSING, Status};
use crate::style::Style;
use crate::workshop::observed::container::{self, Container};
pub use reading::{Reading, Sched};

/// A container with two readings of it.
#[derive(Debug)]
pub struct Pair {
    /// The container.
    pub container: Container,
    /// The earlier reading.
    pub before: Reading,
    /// The later one.
    pub now: Reading,
}

/// The containers to speak of: the one named, which must run, or all that run.
fn containers(root: &Path, id: Option<&str>) -> Result<Vec<Container>> {
    let runs = |c: &Container| c.init.is_some() && c.status != Status::Stopped;
    match id {
        None => Ok(container::all(root)?.into_iter().filter(runs).collect()),
        Some(id) => {
            let found = container::find(root, id)?;
            if runs(&found) { Ok(vec![found]) } else { Err(Error::new(NOT_RUNNING)) }
        }
    }
}

/// Two readings of each, `apart` from each other. One that ends in between is left out, unless it was asked for by name.
pub fn pairs(root: &Path, id: Option<&str>, apart: Duration) -> Result<Vec<Pair>> {
    let first: Vec<(Container, Reading)> =
        containers(root, id)?.into_iter().map(|c| (Reading::of(&c), c)).map(|(r, c)| (c, r)).collect();
    std::thread::sleep(apart);
    let pair = |(container, before): (Container, Reading)| {
        let now = Reading::of(&container);
        container.state.is_alive().unwrap_or(false).then_some(Pair { container, before, now })
    };
    let pairs: Vec<Pair> = first.into_iter().filter_map(pair).collect();
    if pairs.is_empty() && id.is_some() { Err(Error::new(NOT_RUNNING)) } else { Ok(pairs) }
}

impl Pair {
    /// Processor time in percent of one CPU.
    pub fn cpu_percent(&self) -> Option<f64> {
        let used = self.now.cpu?.saturating_sub(self.before.cpu?) as f64;
        let passed = self.now.at.duration_since(self.before.at).as_nanos() as f64;
        (passed > 0.0).then(|| used * 100.0 / passed)
    }
}

/// What is to be printed at last. What comes before it (`--follow`) goes to `tell`, which says whether anybody still reads.
pub fn run(root: &Path, args: &StatsArgs, style: &Style, tell: impl Fn(&str) -> Result<bool>) -> Result<String> {
    let mut text = shot(root, args, style)?;
    if !args.follow {
        return Ok(text);
    }
    while !text.is_empty() && tell(&text)? {
        text = match shot(root, args, style) {
            // It was there a moment ago: this is its end.
            Err(e) if e.op_text() == NOT_RUNNING || e.op_text() == MISSING => String::new(),
            shot => shot?,
        };
    }
    Ok(String::new())
}

fn shot(root: &Path, args: &StatsArgs, style: &Style) -> Result<String> {
    let id = args.id.as_deref();
    if args.view == View::Docker {
        let objects = docker::objects(containers(root, id)?, args.interval)?;
        return Ok(document(args, objects, |objects| Value::Object(objects.into_iter().collect())));
    }
    let pairs = pairs(root, id, args.interval)?;
    if args.follow && pairs.is_empty() {
        return Ok(String::new());
    }
    Ok(match args.view {
        View::Memory => show::breakdown(&pairs, style),
        View::Sched => show::sched(&pairs, style),
        View::Json | View::Docker => {
            let objects = pairs.iter().map(|pair| (pair.container.state.id.clone(), show::json(pair))).collect();
            document(args, objects, |objects| objects.into_iter().map(|(_, object)| object).collect())
        }
        View::Table => show::text(&pairs, style),
    })
}

/// The object of the container that was named, or all of them in one document. One line for each with `--follow`.
fn document(args: &StatsArgs, mut objects: Vec<(String, Value)>, all: impl Fn(Vec<(String, Value)>) -> Value) -> String {
    if args.follow {
        return objects.iter().map(|(_, object)| format!("{object}\n")).collect();
    }
    let one = if args.id.is_some() { objects.pop().map(|(_, object)| object) } else { None };
    serde_json::to_string_pretty(&one.unwrap_or_else(|| all(objects))).expect("JSON has a text") + "\n"
}
