//! The counters of network interfaces, as `events` prints them.

use serde_json::json;

use crate::events::stats;
use crate::network::{Pair, host_lacks_veth};
use crate::support::*;

crate::tests![interfaces_are_the_containers_own if host_lacks_veth];

fn interfaces_are_the_containers_own() {
    let mut b = Bundle::new(&["sleep", "100"]);
    let pair = Pair::new().expect("a pair of devices");
    b.config["linux"]["netDevices"] = json!({&pair.1: {}});
    b.run_detached();
    let listed = stats(&b)["network_interfaces"].clone();
    let listed = listed.as_array().expect("an array");
    assert!(listed.len() == 1 && listed[0]["Name"] == pair.1, "{listed:?}");
    for key in ["RxBytes", "RxPackets", "RxErrors", "RxDropped", "TxBytes", "TxPackets", "TxErrors", "TxDropped"] {
        assert!(listed[0][key].is_u64(), "{key}");
    }
    // The host's interfaces are none of the container's.
    let mut shared = Bundle::new(&["sleep", "100"]);
    let kinds = shared.config["linux"]["namespaces"].as_array_mut().expect("an array");
    kinds.retain(|n| n["type"] != "network");
    shared.run_detached();
    assert!(stats(&shared)["network_interfaces"].is_null());
}
