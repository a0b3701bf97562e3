//! `run --net-of ID`: a container in the network namespace of another, as the containers of one pod or task are.
//!
//! Short for a path in `linux.namespaces`. It fills in what the bundle leaves open and overrules nothing: a bundle that asks for
//! the host's network, or for another namespace, means something else.

use std::path::PathBuf;

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::error::{Error, Result};
use crate::state::State;

/// Puts the path of `other`'s network namespace into the bundle's list. `other` must be alive.
pub fn join_network(spec: &mut Spec, other: &State) -> Result<()> {
    let refused = |text: String, hint: String| {
        Err(Error::new(format!("--net-of {}: {text}", other.id)).config("linux.namespaces").hint(hint))
    };
    if !other.namespaces.iter().any(|(kind, _)| kind == "network") {
        let hint = "the host's network is shared without --net-of; leave network out of linux.namespaces".to_owned();
        return refused("that container has no network of its own, it shares the host's".into(), hint);
    }
    let namespaces = spec.linux_mut().get_or_insert_default().namespaces_mut().get_or_insert_default();
    let Some(own) = namespaces.iter_mut().find(|n| n.typ() == LinuxNamespaceType::Network) else {
        return refused("the bundle asks for the host's network".into(), "add {\"type\":\"network\"} to linux.namespaces".into());
    };
    if let Some(path) = own.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
        let text = format!("the bundle joins another network namespace, {}", crate::log::value(&path.to_string_lossy()));
        return refused(text, "remove the path from linux.namespaces, or leave out --net-of".into());
    }
    own.set_path(Some(PathBuf::from(format!("/proc/{}/ns/net", other.pid))));
    Ok(())
}
