//! What only /proc tells (proc(5)). Each answer is `null` where the file cannot be read.

use std::fs;

use serde_json::{Map, Value, json};

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The text of a file of one line.
pub fn line(path: &str) -> Value {
    read(path).map_or(Value::Null, |text| json!(text.trim_end_matches(['\n', '\0'])))
}

/// What /proc/self/attr says of the label, past and to come: `{"current": …, "exec": …, …}`.
pub fn attributes() -> Value {
    let names = ["current", "exec", "fscreate", "keycreate", "prev", "sockcreate"];
    Value::Object(names.iter().map(|n| ((*n).to_owned(), line(&format!("/proc/self/attr/{n}")))).collect())
}

/// A file that holds one number.
pub fn number(path: &str) -> Value {
    read(path).and_then(|text| text.trim().parse::<i64>().ok()).map_or(Value::Null, |n| json!(n))
}

/// The value of one line of /proc/self/status.
fn status(key: &str) -> Option<String> {
    let text = read("/proc/self/status")?;
    text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':')).map(|v| v.trim().to_owned())
}

/// A decimal value of /proc/self/status.
pub fn status_number(key: &str) -> Value {
    status(key).and_then(|v| v.parse::<i64>().ok()).map_or(Value::Null, |n| json!(n))
}

fn hex_values(keys: &[(&str, &str)]) -> Value {
    if read("/proc/self/status").is_none() {
        return Value::Null;
    }
    Value::Object(keys.iter().map(|(name, key)| ((*name).to_owned(), json!(status(key)))).collect())
}

/// The five sets, each as 16 hexadecimal digits.
pub fn capabilities() -> Value {
    hex_values(&[
        ("bounding", "CapBnd"),
        ("effective", "CapEff"),
        ("permitted", "CapPrm"),
        ("inheritable", "CapInh"),
        ("ambient", "CapAmb"),
    ])
}

/// The signal masks that a program inherits, each as 16 hexadecimal digits.
pub fn signals() -> Value {
    hex_values(&[("blocked", "SigBlk"), ("ignored", "SigIgn")])
}

/// `{"pid": "pid:[4026531836]", …}`: two processes share a namespace if these texts are equal.
pub fn namespaces() -> Value {
    let Ok(entries) = fs::read_dir("/proc/self/ns") else { return Value::Null };
    let target = |e: fs::DirEntry| {
        let link = fs::read_link(e.path()).ok()?;
        Some((e.file_name().to_string_lossy().into_owned(), json!(link.to_string_lossy())))
    };
    Value::Object(entries.flatten().filter_map(target).collect())
}

/// `[[inside, outside, length], …]`.
pub fn id_map(path: &str) -> Value {
    let row = |l: &str| l.split_whitespace().filter_map(|n| n.parse::<u64>().ok()).collect::<Vec<_>>();
    read(path).map_or(Value::Null, |text| text.lines().map(row).collect())
}

/// `{"monotonic": [seconds, nanoseconds], "boottime": […]}`.
pub fn time_offsets() -> Value {
    let Some(text) = read("/proc/self/timens_offsets") else { return Value::Null };
    let mut offsets = Map::new();
    for words in text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>()) {
        if let [clock, seconds, nanoseconds] = words[..] {
            offsets.insert(clock.to_owned(), json!([seconds.parse::<i64>().ok(), nanoseconds.parse::<i64>().ok()]));
        }
    }
    Value::Object(offsets)
}

/// The lines of /proc/self/cgroup.
pub fn cgroup() -> Value {
    read("/proc/self/cgroup").map_or(Value::Null, |text| text.lines().collect())
}

/// The rows of /proc/self/mountinfo.
pub fn mounts() -> Value {
    read("/proc/self/mountinfo").map_or(Value::Null, |text| text.lines().filter_map(mount).collect())
}

fn mount(line: &str) -> Option<Value> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mount: Vec<&str> = mount.split(' ').collect();
    let filesystem: Vec<&str> = filesystem.split(' ').collect();
    let ([id, parent, dev, root, point, options, optional @ ..], [fstype, source, superblock]) = (&mount[..], &filesystem[..])
    else {
        return None;
    };
    let list = |text: &str| text.split(',').map(unescape).collect::<Vec<_>>();
    Some(json!({
        "id": id.parse::<u64>().ok(), "parent": parent.parse::<u64>().ok(), "dev": dev, "root": unescape(root),
        "point": unescape(point), "options": list(options), "optional": optional,
        "fstype": fstype, "source": unescape(source), "super": list(superblock),
    }))
}

/// The kernel writes blanks and backslashes as three octal digits: `\040`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code =
            tail.get(..3).filter(|_| *first == b'\\').and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `[{"fd": 0, "target": "/dev/null"}, …]`, without the descriptor that reads the directory.
pub fn fds() -> Value {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Value::Null };
    let numbers: Vec<i32> = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    let mut open: Vec<(i32, String)> = numbers
        .into_iter()
        // The directory's own descriptor is closed by now, so its link is gone.
        .filter_map(|fd| Some((fd, fs::read_link(format!("/proc/self/fd/{fd}")).ok()?.to_string_lossy().into_owned())))
        .collect();
    open.sort_unstable();
    open.iter().map(|(fd, target)| json!({ "fd": fd, "target": target })).collect()
}
