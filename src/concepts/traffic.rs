//! What went over the container's network interfaces (proc_pid_net(5), `dev`).
//!
//! The kernel's table is read through the host's procfs: no process of the container is asked, and no file of its root. Names in
//! it are the container's choice and may hold anything but blanks, slashes and colons; their number is its choice too.
//! A container that shares the host's network has no interfaces of its own: the host's traffic is not its affair.

use std::fs::File;
use std::io::Read;

use serde::Serialize;

use crate::error::{At, Result};

/// The kernel prints about 130 bytes for each interface. Nobody needs thousands, and a container may make them.
const LARGEST: u64 = 1 << 20;

/// The counters of one interface since it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "named by the format")]
pub struct Counters {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

/// The counters of all interfaces but the loopback in the network namespace of the process `pid`; `None` if it has none, is gone,
/// or shares rrun's network.
pub fn of(pid: i32) -> Result<Option<Vec<Counters>>> {
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let theirs = namespace(&pid.to_string());
    if theirs.is_none() || theirs == namespace("self") {
        return Ok(None);
    }
    let path = format!("/proc/{pid}/net/dev");
    let mut text = vec![];
    let read = File::open(&path).and_then(|file| file.take(LARGEST).read_to_end(&mut text));
    match read {
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ESRCH | libc::EINVAL)) => return Ok(None),
        read => read.at(|| format!("read {path}"))?,
    };
    let found = parse(&String::from_utf8_lossy(&text));
    Ok(Some(found).filter(|f| !f.is_empty()))
}

/// Two lines of header; then `name: ` and the counters, received before sent. A line that was cut off does not count.
pub fn parse(text: &str) -> Vec<Counters> {
    let line = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_whitespace().map_while(|n| n.parse().ok()).collect();
        let &[rx_bytes, rx_packets, rx_errors, rx_dropped, _, _, _, _, tx_bytes, tx_packets, tx_errors, tx_dropped, _, _, _, _] =
            numbers.as_slice()
        else {
            return None;
        };
        let name = name.trim_start().to_owned();
        Some(Counters { name, rx_bytes, rx_packets, rx_errors, rx_dropped, tx_bytes, tx_packets, tx_errors, tx_dropped })
    };
    text.lines().skip(2).filter_map(line).filter(|c| c.name != "lo").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table() {
        let text = "Inter-|   Receive                                                |  Transmit\n\
                    \x20face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n\
                    \x20   lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0\n\
                    \x20 eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
                    \x20 x\"y:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
                    \x20 cut: 1 2 3";
        let found = parse(text);
        assert_eq!(found.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["eth0", "x\"y"]);
        let json = serde_json::to_value(&found[0]).expect("JSON");
        let expected = serde_json::json!({"Name": "eth0", "RxBytes": 1, "RxPackets": 2, "RxErrors": 3, "RxDropped": 4,
                                          "TxBytes": 9, "TxPackets": 10, "TxErrors": 11, "TxDropped": 12});
        assert_eq!(json, expected);
    }

    #[test]
    fn the_network_of_rrun_itself_is_nobodys() {
        assert_eq!(of(std::process::id() as i32), Ok(None));
        assert_eq!(of(i32::MAX), Ok(None));
    }
}
