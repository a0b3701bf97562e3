//! `plan`: prints every step that `run` would take, per process, in order, and takes none.
//!
//! It shares everything with `run` up to the point where the id would be claimed, so what it prints is what would be done,
//! and what it refuses would be refused.

use std::path::Path;

use serde::Serialize;

use super::Outcome;
use crate::bundle;
use crate::cli::{Global, PlanArgs};
use crate::error::{At, Result};
use crate::host::Host;
use crate::log::{Journal, escape};
use crate::plan::{self, Request, Side, Step};
use crate::style::Style;

#[derive(Serialize)]
struct Line {
    phase: &'static str,
    process: &'static str,
    step: String,
    text: String,
}

/// Prints the plan of a bundle as text, or as a JSON array with `--json`.
pub fn run(global: &Global, args: &PlanArgs, journal: &mut Journal) -> Result<Outcome> {
    let bundle = bundle::load(args.create.bundle.as_deref().unwrap_or(Path::new(".")), journal.warnings())?;
    let host = Host::ask()?;
    let name = bundle.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let id = args.create.id.clone().unwrap_or(name);
    let state_dir = global.root.join(&id);
    let (driver, create) = (global.driver, &args.create);
    let request = Request {
        bundle: &bundle,
        host: &host,
        id: &id,
        name: global.name,
        state_dir,
        driver,
        tolerant: global.rootless.unwrap_or(host.rootless),
        args: create,
        starts: true,
        foreground: true,
        listen_fds: 0,
        notify: None,
    };
    let plan = plan::make(&request, journal.warnings())?;
    journal.refuse_warnings(global.strict)?;
    let lines = Step::ALL.into_iter().flat_map(|step| {
        let process = if step.side() == Side::Parent { "parent" } else { "init" };
        plan.describe(step).into_iter().map(move |text| Line { phase: step.phase(), process, step: format!("{step:?}"), text })
    });
    let lines: Vec<Line> = lines.collect();
    let text = match args.json {
        true => serde_json::to_string_pretty(&lines).map_err(std::io::Error::from).at(|| "write JSON")? + "\n",
        false => page(&lines, &global.looks.stdout()),
    };
    Ok(Outcome { text, ..Outcome::default() })
}

/// The lines under the headings of their phases. An engine puts the image's program and variables into the configuration: a
/// terminal would obey what they hold.
fn page(lines: &[Line], style: &Style) -> String {
    let mut text = String::new();
    for (i, line) in lines.iter().enumerate() {
        if i == 0 || lines[i - 1].phase != line.phase {
            let gap = if i == 0 { "" } else { "\n" };
            text.push_str(&format!("{gap}{}\n", line.phase));
        }
        let step = format!("{:3}  {:6}  {}", i + 1, line.process, escape(&line.text));
        text.push_str(&(style.hang(&step, &" ".repeat(15)) + "\n"));
    }
    text
}
