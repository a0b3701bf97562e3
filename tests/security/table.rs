//! Which tests answer which published hole: one row per CVE. docs/security.md says of each how it worked and what stops it
//! here; tests/house.rs compares the two.

/// (CVE, names of black-box tests).
pub const ATTACKS: &[(&str, &[&str])] = &[
    (
        "CVE-2014-8989",
        &["identity::groups_that_cannot_be_dropped_are_kept", "rootless::life::groups_cannot_be_had_without_the_tools"],
    ),
    ("CVE-2016-3697", &["identity::a_number_is_never_looked_up_as_a_name"]),
    (
        "CVE-2016-9962",
        &[
            "security::joining::nothing_is_stolen_from_exec",
            "security::joining::nothing_is_stolen_from_a_container_that_joins",
            "security::joining::a_created_container_holds_no_directory_of_the_host",
        ],
    ),
    (
        "CVE-2017-5226",
        &[
            "security::terminals::nothing_can_be_typed_into_the_callers_terminal",
            "security::terminals::a_terminal_handed_over_when_detached_cannot_be_typed_into",
        ],
    ),
    ("CVE-2019-5736", &["security::binary::a_program_that_becomes_rrun_cannot_write_to_it"]),
    ("CVE-2019-16884", &["lsm::a_fake_proc_takes_no_profile", "mounts::places::nothing_but_procfs_stands_on_proc"]),
    ("CVE-2019-18837", &["security::links::links_to_the_host_lead_nowhere"]),
    (
        "CVE-2019-19921",
        &[
            "security::races::two_containers_on_one_volume",
            "security::races::proc",
            "security::links::a_link_in_place_of_a_kernel_view_is_refused",
        ],
    ),
    ("CVE-2020-15257", &["security::kernel::abstract_sockets_of_the_host_are_out_of_reach"]),
    ("CVE-2021-30465", &["security::races::mount_destinations", "security::links::links_to_the_host_lead_nowhere"]),
    (
        "CVE-2021-43784",
        &[
            "security::messages::long_documents_reach_hooks_whole",
            "security::messages::long_texts_reach_the_program_whole",
            "security::messages::an_error_about_a_long_text_is_still_an_error",
            "security::messages::many_id_maps_are_all_written_or_refused",
        ],
    ),
    (
        "CVE-2022-0492",
        &["security::kernel::no_hierarchy_of_groups_is_writable", "security::kernel::a_writable_hierarchy_has_no_release_agent"],
    ),
    ("CVE-2022-27650", &["capabilities::nothing_is_inheritable_unasked", "exec::capabilities_are_added_but_never_inherited"]),
    ("CVE-2022-29162", &["exec::capabilities_are_added_but_never_inherited", "security::audit::exec_passes_on_nothing"]),
    (
        "CVE-2023-25809",
        &["security::kernel::no_hierarchy_of_groups_is_writable", "security::kernel::without_a_cgroup_namespace_neither"],
    ),
    ("CVE-2023-27561", &["security::links::a_link_in_place_of_a_kernel_view_is_refused"]),
    ("CVE-2023-28642", &["security::links::a_link_in_place_of_a_kernel_view_is_refused"]),
    (
        "CVE-2024-21626",
        &[
            "security::descriptors::no_leaked_descriptor_is_a_working_directory",
            "security::descriptors::no_leaked_descriptor_leads_to_a_program",
            "security::descriptors::no_leaked_descriptor_survives_a_sealed_start",
            "identity::no_descriptor_is_a_working_directory",
            "stdio::what_the_caller_left_open_does_not_leak",
        ],
    ),
    ("CVE-2024-45310", &["security::races::directories_on_the_way"]),
    ("CVE-2025-24965", &["security::links::nothing_of_rruns_own_is_written_into_the_root"]),
    ("CVE-2025-27612", &["exec::capabilities_are_added_but_never_inherited"]),
    (
        "CVE-2025-31133",
        &[
            "masks::a_link_in_place_of_the_null_device_is_no_mask",
            "security::races::masked_and_read_only_paths",
            "security::races::proc",
        ],
    ),
    ("CVE-2025-52565", &["security::races::the_console", "devices::a_link_at_console_is_covered"]),
    (
        "CVE-2025-52881",
        &["sysctl::the_images_proc_is_not_written_to", "lsm::a_fake_proc_takes_no_profile", "security::races::proc"],
    ),
    ("CVE-2025-54867", &["security::links::a_link_in_place_of_a_kernel_view_is_refused"]),
    ("CVE-2025-62161", &["security::races::masked_and_read_only_paths"]),
    ("CVE-2025-62596", &["lsm::a_fake_proc_takes_no_profile", "mounts::places::nothing_but_procfs_stands_on_proc"]),
    ("CVE-2026-1386", &["security::races::the_working_directory", "security::races::directories_on_the_way"]),
    ("CVE-2026-30892", &["exec::users_are_numbers"]),
    ("CVE-2026-41579", &["security::links::links_at_dev_lead_nowhere", "security::races::dev"]),
    ("CVE-2026-47766", &["security::links::links_at_dev_lead_nowhere", "security::races::dev"]),
    ("CVE-2026-55686", &["security::races::the_working_directory", "identity::a_working_directory_stays_in_the_root"]),
    ("CVE-2026-84042", &["badinput::wrong_types_and_unknown_names"]),
    ("CVE-2026-88264", &["security::links::links_at_dev_lead_nowhere"]),
    ("CVE-2026-88265", &["security::links::links_at_dev_lead_nowhere"]),
];
