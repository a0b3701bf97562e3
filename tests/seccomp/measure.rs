//! What a filter costs: how long it is, how many instructions a call takes, how long it takes to compile.
//!
//! The first two are the same on every machine, and so are tested. The time is printed:
//! `RRUN_MEASURE=1 cargo test --release --test blackbox -- seccomp::the_filter`

use std::io::Write;
use std::time::Instant;

use oci_spec::runtime::LinuxSeccomp;
use rrun::concepts::seccomp::{self, simulate::run};
use rrun::error::Warnings;

use super::{oracle, profiles};

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

/// Against libseccomp's binary tree (its optimisation level 2), which engines do not even ask for, for each call of x86-64.
pub fn a_call_costs_no_more_than_in_libseccomps_tree() {
    let profile = profiles::engine();
    let read: LinuxSeccomp = serde_json::from_value(profile.clone()).expect("a profile");
    let ours = seccomp::plan(&read, &mut Warnings::default()).expect("a plan").filter;
    let theirs = oracle::filter(&oracle::ask(&["compile"], &profile.to_string())[0]);
    let cost = |filter: &[libc::sock_filter]| {
        let steps: Vec<usize> = (0..470).map(|number| run(filter, X86_64, number, [40; 6]).steps).collect();
        (filter.len(), steps.iter().sum::<usize>(), steps.into_iter().max().unwrap_or(0))
    };
    let (ours, theirs) = (cost(&ours), cost(&theirs));
    if std::env::var_os("RRUN_MEASURE").is_some() {
        let line = |name, (length, sum, most): (usize, usize, usize)| {
            format!("{name}: {length} instructions, a call takes {:.1} of them, at most {most}\n", sum as f64 / 470.0)
        };
        let text = line("rrun", ours) + &line("libseccomp", theirs);
        std::io::stderr().write_all(text.as_bytes()).expect("stderr");
    }
    assert!(ours.0 <= theirs.0 && ours.1 <= theirs.1 && ours.2 <= theirs.2, "{ours:?} against {theirs:?}");
}
