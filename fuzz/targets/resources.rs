//! The resources of `update`, up to the writes that they become. The first byte chooses v1 or v2.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rrun::bundle;
use rrun::concepts::cgroups::{self, Record};
use rrun::error::Warnings;

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let Ok(resources) = bundle::load_resources(text, "stdin", &mut Warnings::default()) else { return };
    let names: &[&str] = match choice & 1 {
        0 => &["memory", "cpu", "pids", "devices", "cpuset", "blkio", "hugetlb", "net_cls", "net_prio"],
        _ => &[""],
    };
    let paths = names.iter().map(|n| ((*n).to_owned(), format!("/nowhere/{n}/box").into())).collect();
    let record = Record { paths, check_before_update: choice & 2 != 0, ..Record::default() };
    drop(cgroups::plan_update(&record, &resources, choice & 4 != 0, &mut Warnings::default()));
});
