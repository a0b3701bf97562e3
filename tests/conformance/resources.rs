//! Who proves what of linux.resources of config.json.

use super::Row;

pub const ROWS: &[Row] = &[
    ("linux.resources.devices[].allow", &["cgroups::devices::rules_are_read_in_order"]),
    ("linux.resources.devices[].type", &["cgroups::devices::rules_are_read_in_order"]),
    ("linux.resources.devices[].major", &["cgroups::devices::rules_are_read_in_order"]),
    ("linux.resources.devices[].minor", &["cgroups::devices::rules_are_read_in_order"]),
    ("linux.resources.devices[].access", &["cgroups::devices::rules_are_read_in_order"]),
    ("linux.resources.memory.limit", &["cgroups::limits::a_process_over_its_memory_limit_is_killed"]),
    (
        "linux.resources.memory.reservation",
        &[
            "cgroups::unified::what_v1_calls_otherwise_is_converted",
            "cgroups::memory::reservation_swappiness_and_tcp_memory_are_set",
        ],
    ),
    (
        "linux.resources.memory.swap",
        &["cgroups::memory::swap_is_what_exceeds_memory", "cgroups::limits::a_process_over_its_memory_limit_is_killed"],
    ),
    ("linux.resources.memory.kernel", &["cgroups::memory::a_limit_of_kernel_memory_is_a_warning"]),
    (
        "linux.resources.memory.kernelTCP",
        &["cgroups::memory::reservation_swappiness_and_tcp_memory_are_set", "!cgroups::unified::what_v2_lacks_is_an_error"],
    ),
    (
        "linux.resources.memory.swappiness",
        &["cgroups::memory::reservation_swappiness_and_tcp_memory_are_set", "!cgroups::unified::what_v2_lacks_is_an_error"],
    ),
    (
        "linux.resources.memory.disableOOMKiller",
        &["cgroups::memory::without_the_killer_a_process_waits", "!cgroups::unified::what_v2_lacks_is_an_error"],
    ),
    ("linux.resources.memory.useHierarchy", &["cgroups::memory::hierarchical_accounting_cannot_be_switched_off"]),
    ("linux.resources.memory.checkBeforeUpdate", &["update::refusals::a_limit_below_what_is_used_is_refused_when_asked"]),
    (
        "linux.resources.cpu.shares",
        &["cgroups::cpu::shares_divide_a_cpu", "cgroups::unified::what_v1_calls_otherwise_is_converted"],
    ),
    ("linux.resources.cpu.quota", &["cgroups::limits::the_quota_throttles"]),
    ("linux.resources.cpu.period", &["cgroups::limits::the_quota_throttles"]),
    ("linux.resources.cpu.burst", &["cgroups::cpu::a_burst_spends_what_was_saved"]),
    (
        "linux.resources.cpu.realtimeRuntime",
        &["cgroups::cpu::realtime_needs_time_of_its_own", "!cgroups::unified::what_v2_lacks_is_an_error"],
    ),
    (
        "linux.resources.cpu.realtimePeriod",
        &["cgroups::cpu::realtime_needs_time_of_its_own", "!cgroups::unified::what_v2_lacks_is_an_error"],
    ),
    ("linux.resources.cpu.cpus", &["cgroups::limits::cpus_are_pinned"]),
    ("linux.resources.cpu.mems", &["cgroups::cpu::memory_comes_from_the_nodes_allowed"]),
    ("linux.resources.cpu.idle", &["cgroups::cpu::an_idle_group_yields"]),
    ("linux.resources.pids.limit", &["cgroups::limits::the_process_limit_refuses_forks"]),
    (
        "linux.resources.blockIO.weight",
        &["cgroups::devices::weights_reach_the_kernel", "!cgroups::devices::weights_that_the_kernel_lacks_are_an_error"],
    ),
    ("linux.resources.blockIO.leafWeight", &["!cgroups::devices::weights_of_leaves_are_an_error"]),
    ("linux.resources.blockIO.weightDevice[].major", &["!cgroups::devices::weights_of_disks_that_know_none_are_an_error"]),
    ("linux.resources.blockIO.weightDevice[].minor", &["!cgroups::devices::weights_of_disks_that_know_none_are_an_error"]),
    ("linux.resources.blockIO.weightDevice[].weight", &["!cgroups::devices::weights_of_disks_that_know_none_are_an_error"]),
    ("linux.resources.blockIO.weightDevice[].leafWeight", &["!cgroups::devices::weights_of_leaves_are_an_error"]),
    ("linux.resources.blockIO.throttleReadBpsDevice[].major", &["cgroups::devices::every_rate_reaches_the_kernel"]),
    ("linux.resources.blockIO.throttleReadBpsDevice[].minor", &["cgroups::devices::every_rate_reaches_the_kernel"]),
    ("linux.resources.blockIO.throttleReadBpsDevice[].rate", &["cgroups::devices::every_rate_reaches_the_kernel"]),
    (
        "linux.resources.blockIO.throttleWriteBpsDevice[].major",
        &["cgroups::devices::every_rate_reaches_the_kernel", "cgroups::devices::a_slow_device_stays_slow"],
    ),
    (
        "linux.resources.blockIO.throttleWriteBpsDevice[].minor",
        &["cgroups::devices::every_rate_reaches_the_kernel", "cgroups::devices::a_slow_device_stays_slow"],
    ),
    (
        "linux.resources.blockIO.throttleWriteBpsDevice[].rate",
        &["cgroups::devices::every_rate_reaches_the_kernel", "cgroups::devices::a_slow_device_stays_slow"],
    ),
    ("linux.resources.blockIO.throttleReadIOPSDevice[].major", &["cgroups::devices::every_rate_reaches_the_kernel"]),
    ("linux.resources.blockIO.throttleReadIOPSDevice[].minor", &["cgroups::devices::every_rate_reaches_the_kernel"]),
    ("linux.resources.blockIO.throttleReadIOPSDevice[].rate", &["cgroups::devices::every_rate_reaches_the_kernel"]),
    ("linux.resources.blockIO.throttleWriteIOPSDevice[].major", &["cgroups::devices::every_rate_reaches_the_kernel"]),
    ("linux.resources.blockIO.throttleWriteIOPSDevice[].minor", &["cgroups::devices::every_rate_reaches_the_kernel"]),
    ("linux.resources.blockIO.throttleWriteIOPSDevice[].rate", &["cgroups::devices::every_rate_reaches_the_kernel"]),
    ("linux.resources.hugepageLimits[].pageSize", &["cgroups::hugepages::mapping_more_than_the_limit_is_refused"]),
    ("linux.resources.hugepageLimits[].limit", &["cgroups::hugepages::mapping_more_than_the_limit_is_refused"]),
    (
        "linux.resources.network.classID",
        &["!cgroups::limits::a_limit_without_its_controller_is_an_error", "!cgroups::unified::what_v2_lacks_is_an_error"],
    ),
    (
        "linux.resources.network.priorities[].name",
        &["!cgroups::limits::a_limit_without_its_controller_is_an_error", "!cgroups::unified::what_v2_lacks_is_an_error"],
    ),
    (
        "linux.resources.network.priorities[].priority",
        &["!cgroups::limits::a_limit_without_its_controller_is_an_error", "!cgroups::unified::what_v2_lacks_is_an_error"],
    ),
    (
        "linux.resources.rdma.*.hcaHandles",
        &["cgroups::rdma::handles_above_the_limit_are_refused", "!cgroups::limits::a_limit_without_its_controller_is_an_error"],
    ),
    (
        "linux.resources.rdma.*.hcaObjects",
        &["cgroups::rdma::objects_above_the_limit_are_refused", "!cgroups::limits::a_limit_without_its_controller_is_an_error"],
    ),
    (
        "linux.resources.unified",
        &[
            "cgroups::unified::what_v1_calls_otherwise_is_converted",
            "cgroups::unified::what_unified_names_is_a_limit",
            "cgroups::memory::a_group_can_die_as_one",
            "!cgroups::limits::nonsense_is_refused_before_anything_is_made",
        ],
    ),
];
