//! config.json → plan: a bundle of any content is planned or refused. The first byte chooses the host and who makes the groups.
#![no_main]

mod host;

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use rrun::bundle::{self, Bundle};
use rrun::cli::CreateArgs;
use rrun::concepts::cgroups::Driver;
use rrun::error::Warnings;
use rrun::plan::{self, Request, Step};

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let Ok(spec) = bundle::parse_known(text) else { return };
    let host = host::host(choice & 1 != 0);
    let request = Request {
        bundle: &Bundle { path: PathBuf::from("/bundle"), spec, text: text.to_vec() },
        host: &host,
        id: "box",
        name: "rrun",
        state_dir: PathBuf::from("/state/box"),
        driver: if choice & 3 == 3 { Driver::Systemd } else { Driver::Cgroupfs },
        tolerant: choice & 4 != 0,
        args: &CreateArgs::default(),
        starts: choice & 8 != 0,
        foreground: false,
        listen_fds: 0,
        notify: None,
    };
    if let Ok(plan) = plan::make(&request, &mut Warnings::default()) {
        // What `rrun plan` prints must be printable of whatever could be planned.
        drop(Step::ALL.map(|step| plan.describe(step)));
    }
});
