//! What the state will keep of a plan (runtime-spec, runtime.md, State).
//!
//! It is written before anything is made, so that after a kill at any instant `delete --force` knows what there may be to
//! undo: groups, layers, and later the process.

use super::{Plan, Request};
use crate::concepts::mounts;
use crate::concepts::namespaces::flag_and_name;
use crate::concepts::users::Maps;
use crate::state::State;
use oci_spec::runtime::Spec;

/// The circumstances of the making, which no plan decides.
pub struct Birth {
    /// RFC 3339, UTC, nanoseconds.
    pub created: String,
    /// /proc/sys/kernel/random/boot_id.
    pub boot_id: String,
    /// The name of the user.
    pub owner: String,
}

/// The state of a container that is about to be made: no process yet.
pub fn state(request: &Request, plan: &Plan, birth: Birth) -> State {
    let spec = &request.bundle.spec;
    let namespaces = spec.linux().as_ref().and_then(|l| l.namespaces().as_ref()).into_iter().flatten();
    State {
        id: plan.id.clone(),
        oci_version: spec.version().clone(),
        pid: 0,
        start_time: 0,
        boot_id: birth.boot_id,
        created: birth.created,
        bundle: plan.bundle.clone(),
        rootfs: plan.rootfs.path.clone(),
        owner: birth.owner,
        rootless: request.host.rootless,
        annotations: spec.annotations().clone().unwrap_or_default(),
        cgroups: plan.cgroups.record(),
        rdt: plan.rdt.as_ref().map(|r| r.record()),
        layers: plan.layers.as_ref().map(|l| l.record()),
        id_maps: plan.layers.as_ref().filter(|_| request.host.rootless).and_then(|_| id_maps(spec, plan)),
        namespaces: namespaces.map(|n| (flag_and_name(n.typ()).1.to_owned(), n.path().clone())).collect(),
        mounts: mounts::record(spec, &request.bundle.path),
        hooks: spec.hooks().clone(),
        no_new_keyring: request.args.no_new_keyring,
    }
}

/// The maps of the container's user namespace: of the config, else of the namespace that it joins.
fn id_maps(spec: &Spec, plan: &Plan) -> Option<Maps> {
    let joined = plan.namespaces.user.as_ref().and_then(|user| crate::host::id_maps(&user.path)).map(Maps::parse);
    joined.or_else(|| Some(Maps::of(spec)).filter(|maps| !maps.uid.is_empty()))
}
