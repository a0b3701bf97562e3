//! Profiles of system calls: what the compiled program says to a call is what the rules say when they are read one by one.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rrun::concepts::seccomp::{self, simulate::run};
use rrun::error::Warnings;
use serde_json::{Value, json};

const X86_64: u32 = 0xc000_003e;

macro_rules! calls {
    ($($name:ident $number:ident),* $(,)?) => { [$((stringify!($name), libc::$number as u32)),*] };
}

/// Calls beside and far from each other.
const CALLS: [(&str, u32); 20] = calls![
    read SYS_read, write SYS_write, open SYS_open, close SYS_close, stat SYS_stat, mkdir SYS_mkdir, rmdir SYS_rmdir,
    creat SYS_creat, link SYS_link, unlink SYS_unlink, clone SYS_clone, mount SYS_mount, ptrace SYS_ptrace, bpf SYS_bpf,
    execveat SYS_execveat, openat2 SYS_openat2, clone3 SYS_clone3, socket SYS_socket, personality SYS_personality,
    keyctl SYS_keyctl,
];

const OPERATORS: [&str; 7] = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
const ACTIONS: [(&str, u32); 6] = [
    ("KILL_PROCESS", libc::SECCOMP_RET_KILL_PROCESS),
    ("KILL_THREAD", libc::SECCOMP_RET_KILL_THREAD),
    ("TRAP", libc::SECCOMP_RET_TRAP),
    ("LOG", libc::SECCOMP_RET_LOG),
    ("ALLOW", libc::SECCOMP_RET_ALLOW),
    ("ERRNO", libc::SECCOMP_RET_ERRNO),
];

#[derive(Arbitrary, Debug)]
struct Action {
    kind: u8,
    errno: u16,
}

impl Action {
    fn name(&self) -> String {
        format!("SCMP_ACT_{}", ACTIONS[usize::from(self.kind) % ACTIONS.len()].0)
    }

    fn errno(&self) -> Option<u32> {
        (self.name() == "SCMP_ACT_ERRNO").then_some(u32::from(self.errno) % 4096)
    }

    fn verdict(&self) -> u32 {
        ACTIONS[usize::from(self.kind) % ACTIONS.len()].1 | self.errno().unwrap_or(0)
    }
}

#[derive(Arbitrary, Debug)]
struct Condition {
    index: u8,
    operator: u8,
    value: u64,
    second: u64,
}

impl Condition {
    fn index(&self) -> usize {
        usize::from(self.index % 6)
    }

    fn operator(&self) -> &'static str {
        OPERATORS[usize::from(self.operator) % OPERATORS.len()]
    }

    fn holds(&self, args: &[u64; 6]) -> bool {
        let arg = args[self.index()];
        match self.operator() {
            "NE" => arg != self.value,
            "LT" => arg < self.value,
            "LE" => arg <= self.value,
            "EQ" => arg == self.value,
            "GE" => arg >= self.value,
            "GT" => arg > self.value,
            _ => arg & self.value == self.second & self.value,
        }
    }

    fn json(&self) -> Value {
        let op = format!("SCMP_CMP_{}", self.operator());
        json!({"index": self.index(), "op": op, "value": self.value, "valueTwo": self.second})
    }
}

#[derive(Arbitrary, Debug)]
struct Rule {
    calls: [u8; 2],
    action: Action,
    conditions: Vec<Condition>,
}

impl Rule {
    fn names(&self) -> impl Iterator<Item = (&'static str, u32)> {
        self.calls.iter().map(|c| CALLS[usize::from(*c) % CALLS.len()])
    }

    /// Whether it is about every call with its number: a mask without bits asks nothing.
    fn always(&self) -> bool {
        let asks = |c: &&Condition| !(c.operator() == "MASKED_EQ" && c.value == 0);
        let alternatives = self.alternatives();
        if alternatives { self.conditions.iter().any(|c| !asks(&c)) } else { self.conditions.iter().filter(asks).count() == 0 }
    }

    /// Several conditions on one argument are alternatives.
    fn alternatives(&self) -> bool {
        let mut seen: Vec<usize> = self.conditions.iter().map(Condition::index).collect();
        seen.sort_unstable();
        seen.windows(2).any(|w| w[0] == w[1])
    }

    fn matches(&self, args: &[u64; 6]) -> bool {
        let mut each = self.conditions.iter().map(|c| c.holds(args));
        if self.alternatives() { each.any(|h| h) } else { each.all(|h| h) }
    }
}

#[derive(Arbitrary, Debug)]
struct Input {
    default: Action,
    rules: Vec<Rule>,
    args: [u64; 6],
}

/// Every verdict that the rules, read one by one, allow for a call. Where rules with different actions match at once, one of
/// theirs; the order among them is libseccomp's and has tests of its own.
fn expected(input: &Input, number: u32, args: &[u64; 6]) -> Vec<u32> {
    let default = input.default.verdict();
    let about = |r: &&Rule| r.names().any(|(_, n)| n == number) && r.action.verdict() != default;
    if let Some(rule) = input.rules.iter().filter(about).find(|r| r.always()) {
        return vec![rule.action.verdict()];
    }
    let matching: Vec<u32> = input.rules.iter().filter(about).filter(|r| r.matches(args)).map(|r| r.action.verdict()).collect();
    if !matching.is_empty() {
        return matching;
    }
    // Newer than the profile: it does not exist.
    let newest = input.rules.iter().flat_map(Rule::names).map(|(_, n)| n).max();
    let open = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"].contains(&input.default.name().as_str());
    match newest {
        Some(newest) if number > newest && !open => vec![libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32],
        _ => vec![default],
    }
}

fuzz_target!(|input: Input| {
    let rules: Vec<Value> = input
        .rules
        .iter()
        .map(|r| {
            let names: Vec<&str> = r.names().map(|(name, _)| name).collect();
            let args: Vec<Value> = r.conditions.iter().map(Condition::json).collect();
            json!({"names": names, "action": r.action.name(), "errnoRet": r.action.errno(), "args": args})
        })
        .collect();
    let document = json!({"defaultAction": input.default.name(), "defaultErrnoRet": input.default.errno(), "syscalls": rules});
    let profile = serde_json::from_value(document).expect("a profile");
    // Contradictions, and what does not fit the kernel's limit.
    let Ok(plan) = seccomp::plan(&profile, &mut Warnings::default()) else { return };
    let mut samples = vec![input.args, [0; 6], [u64::MAX; 6]];
    for value in input.rules.iter().flat_map(|r| &r.conditions).flat_map(|c| [c.value, c.second & c.value]).take(8) {
        for near in [value, value.wrapping_add(1), value.wrapping_sub(1), value ^ (1 << 32), value & 0xffff_ffff] {
            samples.push([near; 6]);
        }
    }
    for number in CALLS.iter().map(|(_, n)| *n).chain([7, 150, 500]) {
        for args in &samples {
            let said = run(&plan.filter, X86_64, number, *args).verdict.0;
            let expected = expected(&input, number, args);
            assert!(expected.contains(&said), "call {number} {args:x?}: {said:#x}, not {expected:x?}");
        }
    }
    // Neither another machine nor the x32 half is a door.
    for (arch, number) in [(0x4000_0003, 39), (0xc000_00b7, 83), (X86_64, 0x4000_0000 + 83)] {
        assert_eq!(run(&plan.filter, arch, number, [0; 6]).verdict.0, libc::SECCOMP_RET_KILL_THREAD);
    }
});
