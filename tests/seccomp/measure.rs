//! What a filter costs: how long it is, how many instructions a call takes, how long it takes to compile.
//!
//! The first two are the same on every machine, and so are tested. The time is printed:
//! `RRUN_MEASURE=1 cargo test --release --test blackbox -- seccomp::the_filter`

use std::io::Write;
use std::time::Instant;

use oci_spec::runtime::LinuxSeccomp;
use rrun::concepts::seccomp::{self, simulate::run};
use rrun::error::Warnings;

use super::profiles;

const X86_64: u32 = 0xc000_003e;

pub fn the_filter_of_an_engines_profile_is_small() {
    for (name, profile) in [("engine", Some(profiles::engine())), ("podman", profiles::podman())] {
        let Some(profile) = profile else { continue };
        let read: LinuxSeccomp = serde_json::from_value(profile).expect("a profile");
        let plan = || seccomp::plan(&read, &mut Warnings::default()).expect("a plan");
        let filter = plan().filter;
        // Every call of x86-64, with arguments that make the conditions be looked at to their end.
        let steps: Vec<usize> = (0..470).map(|number| run(&filter, X86_64, number, [40; 6]).steps).collect();
        let (most, mean) = (steps.iter().max().copied().unwrap_or(0), steps.iter().sum::<usize>() as f64 / 470.0);
        if std::env::var_os("RRUN_MEASURE").is_some() {
            let mut times: Vec<u128> = (0..200)
                .map(|_| {
                    let begun = Instant::now();
                    assert_eq!(plan().filter.len(), filter.len());
                    begun.elapsed().as_micros()
                })
                .collect();
            times.sort_unstable();
            let text = format!(
                "{name}: {} instructions, a call takes {mean:.1} of them, at most {most}; compiled in {} µs (median of 200)\n",
                filter.len(),
                times[100]
            );
            std::io::stderr().write_all(text.as_bytes()).expect("stderr");
        }
        // Three architectures. libseccomp's for the same profile is a list of some 1100 that is walked from its start.
        assert!(filter.len() < 500, "{name}: {}", filter.len());
        assert!(most <= 20 && mean < 12.0, "{name}: {most} {mean}");
    }
}
