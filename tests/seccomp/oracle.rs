//! libseccomp as oracle: for the same profile, its filter and rrun's give the same verdict to every number and to arguments
//! around those of the profile's conditions. Both are run by rrun's interpreter; the black-box tests check that against
//! the kernel.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use libc::sock_filter;
use oci_spec::runtime::LinuxSeccomp;
use rrun::concepts::seccomp::simulate::{Run, run};
use rrun::error::Warnings;
use serde_json::{Value, json};

/// The script beside this file's directory, which talks to libseccomp.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/seccomp_oracle.py");
const PYTHON: &str = "/usr/bin/python3";
const X32_BIT: u32 = 0x4000_0000;

/// Asked before the tests that need it.
pub fn lacks_libseccomp() -> Option<&'static str> {
    let found = Command::new(PYTHON).args(["-c", "import seccomp"]).stderr(Stdio::null()).status();
    if found.is_ok_and(|s| s.success()) { None } else { Some("python3-seccomp is not installed") }
}

pub fn ask(args: &[&str], input: &str) -> Vec<Value> {
    let mut child = Command::new(PYTHON)
        .arg(SCRIPT)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the oracle");
    child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("ask the oracle");
    let out = child.wait_with_output().expect("the oracle's answer");
    assert!(out.status.success(), "the oracle failed");
    String::from_utf8(out.stdout).expect("UTF-8").lines().map(|l| serde_json::from_str(l).expect("JSON")).collect()
}

pub fn filter(answer: &Value) -> Vec<sock_filter> {
    let hex = answer["filter"].as_str().expect("hex");
    let bytes: Vec<u8> = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex")).collect();
    let instruction = |c: &[u8]| {
        let (code, k) = ([c[0], c[1]], [c[4], c[5], c[6], c[7]]);
        if answer["little"] == true {
            return sock_filter { code: u16::from_le_bytes(code), jt: c[2], jf: c[3], k: u32::from_le_bytes(k) };
        }
        let (code, k) = (u16::from_be_bytes(code), u32::from_be_bytes(k));
        // Made on a machine of the other byte order, returns that libseccomp copies to shorten jumps are swapped twice.
        let known = k == 0 || [0x8000, 3, 5, 0x7fc0, 0x7ff0, 0x7ffc, 0x7fff].contains(&(k >> 16));
        let swapped = u32::from(code) == libc::BPF_RET && !known;
        sock_filter { code, jt: c[2], jf: c[3], k: if swapped { k.swap_bytes() } else { k } }
    };
    bytes.chunks(8).map(instruction).collect()
}

/// Name, audit architecture, first number.
const ARCHITECTURES: [(&str, u32, u32); 19] = [
    ("X86_64", 0xc000_003e, 0),
    ("X32", 0xc000_003e, X32_BIT),
    ("X86", 0x4000_0003, 0),
    ("AARCH64", 0xc000_00b7, 0),
    ("ARM", 0x4000_0028, 0),
    ("RISCV64", 0xc000_00f3, 0),
    ("PPC64LE", 0xc000_0015, 0),
    ("MIPSEL", 0x4000_0008, 4000),
    ("MIPSEL64", 0xc000_0008, 5000),
    ("MIPSEL64N32", 0xe000_0008, 6000),
    ("PPC64", 0x8000_0015, 0),
    ("PPC", 0x14, 0),
    ("S390X", 0x8000_0016, 0),
    ("S390", 0x16, 0),
    ("MIPS", 8, 4000),
    ("MIPS64", 0x8000_0008, 5000),
    ("MIPS64N32", 0xa000_0008, 6000),
    ("PARISC", 0xf, 0),
    ("PARISC64", 0x8000_000f, 0),
];

/// Arguments worth trying: around each value of each condition of the profile, in each half.
fn samples(profile: &Value) -> Vec<[u64; 6]> {
    let mut values: BTreeSet<u64> = [0, 1, u64::MAX].into();
    for rule in profile["syscalls"].as_array().into_iter().flatten() {
        for arg in rule["args"].as_array().into_iter().flatten() {
            for value in ["value", "valueTwo"].iter().filter_map(|k| arg[k].as_u64()) {
                values.extend([
                    value,
                    value.wrapping_sub(1),
                    value.wrapping_add(1),
                    value ^ (1 << 32),
                    value & 0xffff_ffff,
                    value | 1 << 63,
                ]);
            }
        }
    }
    // socketcall and ipc.
    values.extend(1..25);
    let values: Vec<u64> = values.into_iter().collect();
    let mut found: Vec<[u64; 6]> = values.iter().map(|v| [*v; 6]).collect();
    // A small generator with a fixed start: the same samples on every run.
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        values[(state % values.len() as u64) as usize]
    };
    found.extend((0..300).map(|_| std::array::from_fn(|_| next())));
    found
}

/// Walks libseccomp's picture of one call.
fn decide(level: &Value, args: &[u64; 6]) -> Option<u32> {
    level.as_array().expect("a level").iter().find_map(|node| {
        let number = |at: usize| node[at].as_u64().expect("a number");
        let word = (args[number(0) as usize] >> if node[1] == true { 32 } else { 0 }) & number(2) & 0xffff_ffff;
        let holds = match node[3].as_str() {
            Some(">") => word > number(4),
            Some(">=") => word >= number(4),
            _ => word == number(4),
        };
        let next = if holds { &node[5] } else { &node[6] };
        match next {
            Value::Null => None,
            Value::Number(action) => action.as_u64().map(|a| a as u32),
            level => decide(level, args),
        }
    })
}

/// What a difference is: None if the filters agree.
fn difference(answer: &Value) -> Option<String> {
    let profile = &answer["profile"];
    let mut document = profile.clone();
    document["listenerPath"] = json!("/agent");
    let read: LinuxSeccomp = serde_json::from_value(document).expect("a profile");
    let ours = rrun::concepts::seccomp::plan(&read, &mut Warnings::default());
    let ours = match (ours, answer["error"].as_str()) {
        (Err(_), Some(_)) => return None,
        (Ok(_), Some(error)) => return Some(format!("libseccomp refuses it: {error}")),
        (Err(error), None) => return Some(format!("rrun refuses it: {error}")),
        (Ok(plan), None) => plan.filter,
    };
    let theirs = filter(answer);
    let samples = samples(profile);
    let open = ["ALLOW", "LOG", "TRACE"].iter().any(|a| profile["defaultAction"] == format!("SCMP_ACT_{a}"));
    let listed: Vec<&str> = answer["archs"].as_array().expect("archs").iter().filter_map(Value::as_str).collect();
    // No profile names this number, and it is not x32's.
    let token = ARCHITECTURES.iter().find(|a| a.0 == listed[0]).expect("known").1;
    let default = run(&theirs, token, 0x3fff_ffff, [0; 6]).verdict.0;
    for (name, token, base) in ARCHITECTURES {
        // Without the native architecture, libseccomp's filter kills it, while ours always has it.
        if name.starts_with('X') && !listed.contains(&"X86_64") {
            continue;
        }
        let end = answer["ends"][name].as_u64().unwrap_or(0) as u32;
        let numbers = (0..1100).chain([4094, 0xf_0000, 0xf_0001, 0xf_0002, 0xf_0005, 0x3fff_fff0]);
        // Far away from the table as well: a bit more in the number must not be another door to a call.
        let far = (11..32).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 59]).filter(|n| *n > base + 1100);
        // Those with the x32 bit are x32's, whichever way the rows name the machine.
        let far = far.filter(|n| name != "X86_64" || *n < X32_BIT);
        for number in numbers.map(|n| n + base).chain(far).chain([u32::MAX]) {
            let stub = !open && listed.contains(&name) && end > 0 && number > end && !is_special(name, number);
            let zero = name.starts_with("S390") && !open && end > 0 && number == 0;
            let picture = &answer["decisions"][name][number.to_string()];
            let expected = |mut theirs: Run, args: &[u64; 6]| {
                if stub || zero {
                    theirs.verdict.0 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
                } else if !picture.is_null() {
                    theirs.verdict.0 = decide(picture, args).unwrap_or(default);
                }
                theirs
            };
            for args in &samples {
                let (a, b) = (run(&ours, token, number, *args), expected(run(&theirs, token, number, *args), args));
                if a.verdict != b.verdict {
                    return Some(format!("{name} {number:#x} {args:x?}: rrun {}, libseccomp {}", a.verdict, b.verdict));
                }
                if !a.read_arguments && !b.read_arguments {
                    break;
                }
            }
        }
    }
    None
}

/// Numbers above the table that are no newer calls: a call that a tracer skips, ARM's private ones, the x32 half.
fn is_special(name: &str, number: u32) -> bool {
    number == u32::MAX && name.starts_with('X') && name != "X86"
        || name == "ARM" && number >= 0xf_0000
        || name == "X86_64" && number >= X32_BIT
}

#[track_caller]
fn agree(answers: &[Value]) {
    let mut wrong = Vec::new();
    for answer in answers {
        if let Some(text) = difference(answer) {
            wrong.push(format!(
                "{text}\n  {}",
                answer["profile"]["syscalls"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|r| !r["args"].is_null())
                    .map(|r| format!("{r}\n  "))
                    .collect::<String>()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), answers.len(), wrong.join("\n"));
}

/// Random profiles for the three tables of this machine.
pub fn random_profiles_decide_as_libseccomp_does() {
    agree(&ask(&["random", "1", "250"], ""));
}

/// Random profiles for machines that rrun does not run on here: other tables, other word orders.
pub fn other_architectures_decide_as_libseccomp_does() {
    for archs in [
        "AARCH64 ARM",
        "RISCV64",
        "PPC64LE",
        "MIPSEL MIPSEL64 MIPSEL64N32",
        "S390X S390",
        "PPC64 PPC",
        "MIPS MIPS64 MIPS64N32",
        "PARISC PARISC64",
    ] {
        let args: Vec<&str> = ["random", "2", "12"].into_iter().chain(archs.split(' ')).collect();
        agree(&ask(&args, ""));
    }
}

/// These profiles.
#[track_caller]
pub fn agree_on(profiles: &[Value]) {
    let lines: String = profiles.iter().map(|p| format!("{p}\n")).collect();
    let answers = ask(&["compile"], &lines);
    assert!(answers.len() == profiles.len() && answers.iter().all(|a| a["error"].is_null()), "libseccomp refuses one");
    agree(&answers);
}
