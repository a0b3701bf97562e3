//! `tree`: which containers are here, in which namespaces, with which processes, and what they share (namespaces(7)).
//!
//! Two processes share a namespace exactly if its number is equal, so the whole picture is numbers compared: with the host's, and
//! with those of the other containers. SHARED stands there as a word. A process has a pid in each pid namespace from its own
//! outwards; both ends are shown, `6522=1`: the host's name for it, and its own.

mod between;
mod draw;
mod host;
mod mounts;
mod nested;
mod network;
mod processes;
mod users;

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::{TreeArgs, TreeView as View};
use crate::error::{Error, Result};
use crate::process::end::NOT_RUNNING;
use crate::style::Style;
use crate::workshop::explain::{self, Exposure};
use crate::workshop::observed::container::{self, Container};
use crate::workshop::observed::namespaces::{HostNamespaces, Kind, Namespaces};

/// The containers that are looked at, and the host that they are compared with.
struct Scene {
    host: HostNamespaces,
    seen: Vec<Seen>,
}

/// A container, the namespaces of its first process (none when that has ended), and how open it is, if that is known.
struct Seen {
    container: Container,
    namespaces: Namespaces,
    exposure: Exposure,
}

/// Whom a container shares a namespace with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Share {
    /// With the host.
    Host,
    /// With this container, which stands before it.
    Other(String),
    /// With nobody here.
    Nobody,
    /// It cannot be read.
    Unknown,
}

impl Seen {
    fn id(&self) -> &str {
        &self.container.state.id
    }

    /// The id as it may be shown.
    fn name(&self) -> String {
        crate::log::value(self.id())
    }
}

impl Scene {
    fn of(root: &Path, id: Option<&str>) -> Result<Self> {
        let found = match id {
            Some(id) => vec![container::find(root, id)?],
            None => container::all(root)?,
        };
        let seen = |container: Container| {
            let namespaces = container.init.as_ref().map(|init| init.namespaces()).unwrap_or_default();
            let exposure = explain::exposure(&container, root);
            Seen { container, namespaces, exposure }
        };
        Ok(Self { host: HostNamespaces::ask(), seen: found.into_iter().map(seen).collect() })
    }

    /// The container `at`'s namespace of this kind: whom it is shared with.
    fn share(&self, at: usize, kind: Kind) -> Share {
        let own = &self.seen[at].namespaces;
        match own.get(kind) {
            None => Share::Unknown,
            Some(_) if self.host.share(own, kind) => Share::Host,
            Some(_) => {
                let other = self.seen[..at].iter().find(|other| other.namespaces.share(own, kind));
                other.map_or(Share::Nobody, |other| Share::Other(other.id().to_owned()))
            }
        }
    }
}

/// What is to be printed.
pub fn run(root: &Path, args: &TreeArgs, style: &Style) -> Result<String> {
    if args.view == View::Host {
        return Ok(host::show(&container::all(root)?, args.json, style));
    }
    if let View::Between([one, other]) = &args.view {
        let pair = [container::find(root, one)?, container::find(root, other)?];
        return between::show(&pair, args.json, style);
    }
    let scene = Scene::of(root, args.id.as_deref())?;
    if args.id.is_some() && args.view != View::Tree && scene.seen.iter().any(|seen| seen.container.init.is_none()) {
        return Err(Error::new(NOT_RUNNING));
    }
    Ok(match (&args.view, args.json) {
        (View::Nested, json) => nested::show(&scene, json, style),
        (_, true) => serde_json::to_string_pretty(&scene.json()).expect("JSON has a text") + "\n",
        (View::Mounts, false) => scene.sections(style, |seen| mounts::text(seen, style)),
        (View::Network, false) => scene.sections(style, |seen| network::text(seen, &scene.host, style)),
        (View::Users, false) => scene.sections(style, |seen| users::text(seen, style)),
        _ => draw::text(&scene, style),
    })
}

impl Scene {
    /// One part for each container that runs, under its name if there are several.
    fn sections(&self, style: &Style, part: impl Fn(&Seen) -> String) -> String {
        let running = self.seen.iter().filter(|seen| seen.container.init.is_some());
        let title = |seen: &Seen| format!("{}\n", style.paint(crate::style::Paint::Strong, seen.name()));
        running.map(|seen| title(seen) + &part(seen)).collect::<Vec<_>>().join("\n")
    }

    /// Everything but the relations of `--nested`, `--between` and `--host`.
    fn json(&self) -> Value {
        let namespaces = |at: usize| {
            let kind = |kind: Kind| {
                let share = self.share(at, kind);
                let same = if let Share::Other(id) = &share { Some(id.clone()) } else { None };
                let of =
                    json!({"id": self.seen[at].namespaces.get(kind), "sharedWithHost": share == Share::Host, "sameAs": same});
                (kind.name().to_owned(), of)
            };
            Kind::ALL.into_iter().map(kind).collect::<serde_json::Map<_, _>>()
        };
        let container = |(at, seen): (usize, &Seen)| {
            let state = &seen.container.state;
            let mut document = json!({"id": state.id, "status": seen.container.status.name(), "bundle": state.bundle});
            if let Some((score, level)) = seen.exposure {
                document["exposure"] = json!({"score": f64::from(score) / 10.0, "level": level});
            }
            if let Some(init) = &seen.container.init {
                document["pid"] = json!(init.pid);
                document["namespaces"] = json!(namespaces(at));
                document["processes"] = processes::json(&seen.container);
                document["users"] = users::json(seen);
                document["network"] = network::json(seen);
                document["mounts"] = mounts::json(seen);
            }
            document
        };
        let host = Kind::ALL.into_iter().map(|kind| (kind.name().to_owned(), json!(self.host.get(kind))));
        json!({"host": host.collect::<serde_json::Map<_, _>>(), "containers": self.seen.iter().enumerate().map(container).collect::<Vec<_>>()})
    }
}
