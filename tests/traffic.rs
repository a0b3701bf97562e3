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
    // Beside it stand those that the kernel makes in each namespace (sit0).
    let own = listed.iter().find(|i| i["Name"] == pair.1).unwrap_or_else(|| panic!("{listed:?}"));
    for key in ["RxBytes", "RxPackets", "RxErrors", "RxDropped", "TxBytes", "TxPackets", "TxErrors", "TxDropped"] {
        assert!(own[key].is_u64(), "{key}");
    }
    assert!(listed.iter().all(|i| i["Name"] != "lo"), "{listed:?}");
    // The host's interfaces are none of the container's.
    let mut shared = Bundle::new(&["sleep", "100"]);
    let kinds = shared.config["linux"]["namespaces"].as_array_mut().expect("an array");
    kinds.retain(|n| n["type"] != "network");
    shared.run_detached();
    assert!(stats(&shared)["network_interfaces"].is_null());
}
