//! `lab`: small experiments, each with one switch. With it OFF an effect is seen, with it ON it is gone; or there is no switch,
//! and that is the lesson.
//!
//! A lab runs rrun itself, as a child, on a bundle that it makes and removes: what is shown is what the runtime does, not what
//! somebody said it does. `table` holds the labs, `trial` runs one side, `report` tells.

mod config;
mod needs;
mod patch;
mod place;
mod report;
pub mod table;
mod trial;
mod witness;

use serde_json::json;

use self::config::Names;
use self::place::Place;
use self::report::{CANNOT, Sides};
use self::table::{Lab, NO_FLAGS, Switch, lab, labs};
use self::trial::Interrupts;
use crate::cli::{LabArgs, LabDeed, LabRun, LabSides};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::style::{Looks, Style};
use crate::workshop::help::{Page, Shelf};
use crate::workshop::progress::Progress;

/// Their pages in `rrun help`.
pub const SHELF: Shelf = Shelf { kind: "lab", names: || labs().map(|lab| lab.name).collect(), page };

fn page(name: &str, style: &Style) -> Option<String> {
    let lab = lab(name)?;
    let mut page = Page::new(lab.name, lab.about);
    // The margin of a page.
    let narrow = Style { width: style.width.map(|width| width.saturating_sub(11)), ..*style };
    page.code("what", &report::flowing(lab.text, &narrow));
    page.code("inside", lab.inside.trim());
    page.code("outside", lab.outside.trim());
    page.code("run", &format!("rrun lab run {} --diff", lab.name));
    page.list("see", &[lab.refs.join(" · ")]);
    Some(page.show(style))
}

/// Runs the command: its exit status, and what it prints.
pub fn run(args: &LabArgs, looks: &Looks) -> Result<(i32, String)> {
    let style = &looks.stdout();
    let as_text = |value: serde_json::Value| format!("{value:#}\n");
    match &args.deed {
        LabDeed::List => Ok((0, if args.json { as_text(report::index_json(labs())) } else { report::index(labs(), style) })),
        LabDeed::Witness(deed, operand) => witness::run(deed, operand.as_deref()).map(|text| (0, text)),
        LabDeed::Run(wanted) => {
            let lab = lab(&wanted.name).ok_or_else(|| unknown(&wanted.name))?;
            match show(lab, wanted, looks)? {
                Seen::Both(sides, change) => {
                    let status = if report::holds(lab, &sides) { 0 } else { 1 };
                    Ok((
                        status,
                        if args.json {
                            as_text(report::json(lab, &sides, &change))
                        } else {
                            report::text(lab, &sides, (wanted.sides == LabSides::Diff).then_some(&change), style)
                        },
                    ))
                }
                Seen::Not(reason) if args.json => Ok((CANNOT, as_text(json!({"lab": lab.name, "cannot": reason})))),
                Seen::Not(reason) => Ok((CANNOT, report::cannot(lab, &reason, style))),
                // As a shell has it; who ended it knows why.
                Seen::Ended(signal) => Ok((128 + signal as i32, String::new())),
            }
        }
    }
}

fn unknown(name: &str) -> Error {
    let error = Error::new(format!("no lab is called {}", crate::log::value(name))).code("E-USAGE");
    match crate::suggest::closest(name, labs().map(|lab| lab.name)) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint("rrun lab list names them all"),
    }
}

/// How a lab ended.
enum Seen {
    /// What was seen, and the change between the sides.
    Both(Sides, serde_json::Value),
    /// Why this host cannot show it.
    Not(String),
    /// By this signal, when all was cleaned up.
    Ended(u32),
}

fn show(lab: &Lab, wanted: &LabRun, looks: &Looks) -> Result<Seen> {
    let host = Host::ask()?;
    if let Some(reason) = needs::lacking(lab, &host, wanted.lab_vm, &std::env::temp_dir()) {
        return Ok(Seen::Not(reason));
    }
    let busybox = match needs::busybox() {
        Ok(busybox) => busybox,
        Err(reason) => return Ok(Seen::Not(reason)),
    };
    let interrupts = Interrupts::hold()?;
    let place = Place::make(lab, &busybox)?;
    let id = format!("lab-{}-{}", lab.name, std::process::id());
    let names = Names { dir: place.dir.display().to_string(), rrun: place.rrun.display().to_string(), id };
    let [off, on] = config::both(lab, &names, host.cgroups.is_unified())?;
    let flags = match lab.switch {
        Switch::Flags { off, on } => [off, on],
        _ => [NO_FLAGS; 2],
    };
    let mut progress = Progress::begin(wanted.quiet, looks);
    let mut one = |side: &str, config, flags: table::Flags| {
        progress.step(format!("lab {}: {side}", lab.name));
        place.prepare(config, &off)?;
        let command = place.command(&names.id, [flags.global, &names.fill(flags.run)]);
        let shown = trial::run(command, &interrupts, &place.dir, &lab.effect, &mut progress);
        place.end_containers();
        shown
    };
    let mut sides: Sides = [None, None];
    for (n, (side, not, config)) in [("OFF", LabSides::On, &off), ("ON", LabSides::Off, &on)].into_iter().enumerate() {
        if wanted.sides != not {
            match one(side, config, flags[n])? {
                Ok(shown) => sides[n] = Some(shown),
                Err(signal) => return Ok(Seen::Ended(signal)),
            }
        }
    }
    Ok(Seen::Both(sides, config::switch(lab, &names)?))
}
