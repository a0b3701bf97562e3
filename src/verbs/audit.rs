//! The events of the verbs for the audit log (src/audit): which verb is one, and what is known of it.
//!
//! What starts a program is logged before the program runs, the rest when its result is known. The end of a container is seen by
//! whoever is there first: `run` in the foreground, `state`, or `delete`.

use serde_json::{Value, json};

use super::Outcome;
use crate::audit::{Audit, Event};
#[cfg(feature = "workshop")]
use crate::cli::Understand;
use crate::cli::{ExecArgs, Global, Verb};
use crate::concepts::cgroups;
use crate::error::Result;
use crate::log::Journal;
use crate::state::{State, StateDir};

/// In the state directory: the end was logged.
const MARK: &str = "exit.audited";

/// Runs a verb; logs it if it is an event, and has not been logged on the way.
pub fn around(
    global: &Global,
    verb: &Verb,
    journal: &mut Journal,
    run: impl FnOnce(&mut Journal) -> Result<Outcome>,
) -> Result<Outcome> {
    let Some((name, id, details)) = of(verb) else { return run(journal) };
    journal.keep_audit(Audit::open(&global.audit)?);
    if !journal.audits() {
        return run(journal);
    }
    // Now, as `delete` leaves nothing to read.
    let subject = Event { details, ..event(global, id, name) };
    match run(journal) {
        done if name == "state" => done,
        Ok(outcome) if ["create", "start", "exec"].contains(&name) => Ok(outcome),
        Ok(outcome) => journal.audit(|| subject, None).map(|()| outcome),
        Err(error) => {
            // The error of the verb is the one to report.
            journal.audit(|| subject, Some(&error)).ok();
            Err(error)
        }
    }
}

/// The event that a verb is, its container, and what it was told beside.
fn of(verb: &Verb) -> Option<(&'static str, &str, Value)> {
    Some(match verb {
        Verb::Create(args) => ("create", args.id.as_deref().unwrap_or_default(), Value::Null),
        Verb::Run(args) => ("start", args.create.id.as_deref().unwrap_or_default(), Value::Null),
        Verb::Exec(args) => ("exec", &args.id, Value::Null),
        Verb::Start { id } => ("start", id, Value::Null),
        // No events of their own, but others happen in them.
        Verb::State { id } => ("state", id, Value::Null),
        Verb::Kill(args) => ("kill", &args.id, json!({"signal": args.signal.as_deref().unwrap_or("SIGTERM")})),
        Verb::Delete(args) => ("delete", &args.id, json!({"force": args.force})),
        Verb::Pause { id } => ("pause", id, Value::Null),
        Verb::Resume { id } => ("resume", id, Value::Null),
        Verb::Update(args) => ("update", &args.id, Value::Null),
        #[cfg(feature = "workshop")]
        Verb::Understand(Understand::Trace(_)) => ("state", "", Value::Null),
        _ => return None,
    })
}

/// An event of a container, with what its state directory tells.
pub fn event(global: &Global, id: &str, name: &'static str) -> Event {
    let dir = if id.is_empty() { None } else { StateDir::read(&global.root, id).ok() };
    let state = dir.as_ref().and_then(|dir| dir.load().ok());
    let config = dir.as_ref().and_then(|dir| dir.config().ok());
    let read: Value = config.as_deref().and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default();
    let args = read.pointer("/process/args").and_then(Value::as_array);
    let argv = args.into_iter().flatten().filter_map(|arg| arg.as_str().map(str::to_owned)).collect();
    let kills = state.as_ref().filter(|_| name == "start").map(|state| json!({"oomKills": cgroups::oom_kills(&state.cgroups)}));
    Event { name, id: id.to_owned(), bundle: state.map(|state| state.bundle), config, argv, details: kills.unwrap_or_default() }
}

/// The event of `exec`.
pub fn exec(global: &Global, args: &ExecArgs) -> Event {
    let details =
        args.process.as_ref().map_or(Value::Null, |file| json!({"process": crate::log::value(&file.to_string_lossy())}));
    Event { argv: args.args.clone(), details, ..event(global, &args.id, "exec") }
}

/// Logs the end of a container that was started, once. `status` is its program's, if it is known.
pub fn exit(dir: Option<&StateDir>, state: &State, status: Option<i32>, journal: &mut Journal) -> Result<()> {
    let known = |name| dir.is_some_and(|dir| dir.has(name));
    if !journal.audits() || state.pid == 0 || known(MARK) || known("exec.fifo") {
        return Ok(());
    }
    if let Some(dir) = dir {
        dir.mark(MARK)?;
    }
    let kills = cgroups::oom_kills(&state.cgroups);
    let signal = status.filter(|status| *status > 128).and_then(|status| nix::sys::signal::Signal::try_from(status - 128).ok());
    let cause = (kills > 0 && status.is_none_or(|status| status == 137)).then_some("memory limit");
    let details = json!({"status": status, "signal": signal.map(|s| s.as_str()), "cause": cause, "oomKills": kills});
    let event = || Event { name: "exit", id: state.id.clone(), bundle: Some(state.bundle.clone()), details, ..Event::default() };
    journal.audit(event, None)
}
