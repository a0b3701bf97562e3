//! Who the users of a container are outside of it (user_namespaces(7)).
//!
//! The one line that matters is the one of id 0: root inside that is root outside has the host's power over every file it reaches.

use serde_json::{Value, json};

use super::Seen;
use crate::style::{Paint, Style};
use crate::workshop::observed::maps::IdMap;

/// `uid 0..65535 → 100000..165535`, and what becomes of root.
pub fn text(seen: &Seen, style: &Style) -> String {
    let Some(init) = &seen.container.init else { return String::new() };
    let line = |kind: &str, map: Option<IdMap>| match map {
        Some(map) if map.is_identity() => format!("{kind}  every id is itself: no user namespace\n"),
        Some(map) => format!("{kind}  {}\n", map.to_string().replace('→', style.arrow())),
        None => format!("{kind}  -\n"),
    };
    let map = init.uid_map();
    let root = match map.as_ref().map(|map| (map.outside(0), map.inside(0))) {
        Some((Some(0), _)) => style.paint(Paint::Bad, "root inside is root outside").into_owned(),
        Some((Some(id), None)) => {
            format!("root inside is uid {id} outside; host id 0 is not mapped: nobody inside is root there")
        }
        Some((_, Some(id))) => style.paint(Paint::Bad, format!("uid {id} inside is root outside")).into_owned(),
        _ => "nobody is root inside; host id 0 is not mapped".into(),
    };
    line("uid", map) + &line("gid", init.gid_map()) + &style.wrap(&root, 0)
}

/// The maps, as lists of ranges.
pub fn json(seen: &Seen) -> Value {
    let ranges = |map: Option<IdMap>| {
        map.map(|map| map.0.iter().map(|r| json!({"inside": r.inside, "outside": r.outside, "size": r.size})).collect::<Vec<_>>())
    };
    let init = seen.container.init.as_ref();
    let map = init.and_then(|init| init.uid_map());
    let root = map.as_ref().and_then(|map| map.outside(0));
    json!({"uidMap": ranges(map), "gidMap": ranges(init.and_then(|init| init.gid_map())), "rootIs": root})
}
