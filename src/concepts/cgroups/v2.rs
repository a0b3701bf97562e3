//! The values of cgroup v2: one directory, one file per limit (admin-guide/cgroup-v2.rst).
//!
//! The config still speaks the language of v1. What v2 has under another name or scale is converted; what it does not have at all is an
//! error, never dropped. `unified` names v2's own files and comes last, so that it wins.

use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::values::{Current, Occasion, Otherwise, Writes, max, refuse, set};
use crate::error::Result;

/// What the kernel assumes for a period that was never given, in microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

/// There are no files; packets are told apart by the group itself (a match of nftables, a BPF program).
pub(super) fn network(r: &LinuxResources) -> Result<()> {
    let Some(n) = r.network() else { return Ok(()) };
    absent(set(n.class_id()).is_some(), "network.classID")?;
    absent(n.priorities().as_ref().is_some_and(|p| !p.is_empty()), "network.priorities")
}

/// Limits of v1 that v2 has no file for.
fn absent(given: bool, field: &str) -> Result<()> {
    if given { refuse(field, format!("cannot set linux.resources.{field}: cgroup v2 has no such limit")) } else { Ok(()) }
}

/// memory, in the order in which the kernel accepts it.
pub(super) fn memory(out: &mut Writes, m: &LinuxMemory, occasion: Occasion) -> Result<()> {
    absent(m.disable_oom_killer() == Some(true), "memory.disableOOMKiller")?;
    absent(set(m.kernel_tcp()).is_some(), "memory.kernelTCP")?;
    // It always is.
    absent(m.use_hierarchy() == Some(false), "memory.useHierarchy")?;
    absent(m.swappiness().is_some_and(|s| s != u64::MAX), "memory.swappiness")?;
    let (limit, total) = (set(m.limit()).unwrap_or(0), set(m.swap()).unwrap_or(0));
    if let Occasion::Update(now) = occasion {
        check_usage(m, limit, total, now)?;
    }
    if let Some(swap) = swap_alone(limit, total, occasion)? {
        let write = out.put("memory", "memory.swap.max", max(swap), "memory.swap")?;
        // Without swap accounting there is nothing to be had, nor to be denied.
        if swap <= 0 {
            write.otherwise = Otherwise::Skip;
        }
    }
    if limit != 0 {
        out.put("memory", "memory.max", max(limit), "memory.limit")?;
    }
    if let Some(reservation) = set(m.reservation()) {
        out.put("memory", "memory.low", max(reservation), "memory.reservation")?;
    }
    Ok(())
}

/// `checkBeforeUpdate`: v2 would kill processes to reach a limit below the usage; v1 refuses such a limit by itself.
fn check_usage(m: &LinuxMemory, limit: i64, total: i64, now: &Current) -> Result<()> {
    if !m.check_before_update().unwrap_or(now.check) {
        return Ok(());
    }
    if total > 0 && total <= now.usage {
        return refuse("memory.swap", format!("rejecting memory+swap limit {total} <= usage {}", now.usage));
    }
    if limit > 0 && limit <= now.usage {
        return refuse("memory.limit", format!("rejecting memory limit {limit} <= usage {}", now.usage));
    }
    Ok(())
}

/// The config's swap is memory and swap together, v2's is swap alone. -1 is unlimited, `None` leaves it as it is.
fn swap_alone(limit: i64, total: i64, occasion: Occasion) -> Result<Option<i64>> {
    let (limit, total) = match occasion {
        // A new sum needs the limit that it contains; a new limit alone leaves what may be swapped, as with other runtimes.
        Occasion::Update(now) if limit == 0 && total > 0 => (now.memory, total),
        _ => (limit, total),
    };
    match (limit, total) {
        (-1, 0) => Ok(Some(-1)),
        (_, 0) => Ok(None),
        (_, ..=-1) => Ok(Some(-1)),
        (..=0, _) => refuse("memory.swap", "unable to set swap limit without memory limit"),
        (limit, total) if total < limit => refuse("memory.swap", "memory+swap limit should be >= memory limit"),
        (limit, total) => Ok(Some(total - limit)),
    }
}

/// cpu, in the order in which the kernel accepts it.
pub(super) fn cpu(out: &mut Writes, c: &LinuxCpu, occasion: Occasion) -> Result<()> {
    absent(set(c.realtime_runtime()).is_some(), "cpu.realtimeRuntime")?;
    absent(set(c.realtime_period()).is_some(), "cpu.realtimePeriod")?;
    // An idle group refuses a weight: it stops being idle before, or becomes so after.
    if c.idle() == Some(0) {
        out.put("cpu", "cpu.idle", 0, "cpu.idle")?.otherwise = Otherwise::Skip;
    }
    if let Some(shares) = set(c.shares()) {
        out.put("cpu", "cpu.weight", weight(shares), "cpu.shares")?;
    }
    if let Some(idle) = set(c.idle()) {
        out.put("cpu", "cpu.idle", idle, "cpu.idle")?;
    }
    let (quota, period) = (set(c.quota()), set(c.period()));
    if quota.is_some() || period.is_some() {
        let (quota, field) = match (quota, occasion) {
            (Some(quota), _) => (quota, "cpu.quota"),
            (None, Occasion::Update(now)) if now.quota > 0 => (now.quota, "cpu.period"),
            (None, _) => (-1, "cpu.period"),
        };
        let text = match (period, occasion) {
            (Some(period), _) => format!("{} {period}", max(quota)),
            // A number alone leaves the period as it is.
            (None, Occasion::Update(_)) => max(quota),
            (None, Occasion::Create) => format!("{} {DEFAULT_PERIOD}", max(quota)),
        };
        out.put("cpu", "cpu.max", text, field)?.retry = true;
    }
    match c.burst() {
        Some(0) => out.put("cpu", "cpu.max.burst", 0, "cpu.burst")?.otherwise = Otherwise::Skip,
        Some(burst) => drop(out.put("cpu", "cpu.max.burst", burst, "cpu.burst")?),
        None => {}
    }
    Ok(())
}

/// cpu.shares (2 to 262144, 1024 by default) as cpu.weight (1 to 10000, 100 by default): a parabola through the logarithms of both ends
/// and both defaults, so that a default stays one.
pub(super) fn weight(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

/// io.
pub(super) fn block_io(out: &mut Writes, io: &LinuxBlockIo) -> Result<()> {
    absent(set(io.leaf_weight()).is_some(), "blockIO.leafWeight")?;
    // Which of the two counts is up to the scheduler of each disk: BFQ has its own, the cost model (io.cost.qos) the other. Both
    // are set, as far as this kernel has them.
    if let Some(weight) = set(io.weight()) {
        let other = io_weight(weight, "blockIO.weight")?.to_string();
        out.put("io", "io.bfq.weight", weight, "blockIO.weight")?.otherwise = Otherwise::Use("io.weight".into(), other.clone());
        out.put("io", "io.weight", other, "blockIO.weight")?.otherwise = Otherwise::Skip;
    }
    for (i, device) in io.weight_device().iter().flatten().enumerate() {
        let field = format!("blockIO.weightDevice[{i}]");
        absent(set(device.leaf_weight()).is_some(), &format!("{field}.leafWeight"))?;
        if let Some(weight) = set(device.weight()) {
            let number = format!("{}:{}", device.major(), device.minor());
            let other = format!("{number} {}", io_weight(weight, &field)?);
            out.put("io", "io.bfq.weight", format!("{number} {weight}"), &field)?.otherwise =
                Otherwise::Use("io.weight".into(), other.clone());
            out.put("io", "io.weight", other, &field)?.otherwise = Otherwise::Skip;
        }
    }
    let limits = [
        (io.throttle_read_bps_device(), "rbps", "throttleReadBpsDevice"),
        (io.throttle_write_bps_device(), "wbps", "throttleWriteBpsDevice"),
        (io.throttle_read_iops_device(), "riops", "throttleReadIOPSDevice"),
        (io.throttle_write_iops_device(), "wiops", "throttleWriteIOPSDevice"),
    ];
    for (devices, key, name) in limits {
        for (i, limit) in devices.iter().flatten().enumerate() {
            let rate = set(Some(limit.rate())).map_or("max".to_owned(), |r| r.to_string());
            out.put(
                "io",
                "io.max",
                format!("{}:{} {key}={rate}", limit.major(), limit.minor()),
                &format!("blockIO.{name}[{i}]"),
            )?;
        }
    }
    Ok(())
}

/// blkio.weight (10 to 1000) as io.weight (1 to 10000).
fn io_weight(weight: u16, field: &str) -> Result<u64> {
    match u64::from(weight) {
        weight @ 10..=1000 => Ok(1 + (weight - 10) * 9999 / 990),
        other => refuse(field, format!("invalid weight {other} (valid range is 10-1000)")),
    }
}

/// The files of v2 by their own names.
pub(super) fn unified(out: &mut Writes, r: &LinuxResources) -> Result<()> {
    let sorted: BTreeMap<&String, &String> = r.unified().iter().flatten().collect();
    for (file, value) in sorted {
        let field = format!("unified[{file:?}]");
        if file.contains('/') || !file.contains('.') || file.starts_with('.') {
            return refuse(&field, format!("unified resource {file:?} must be a file name (no slashes)"));
        }
        let controller = file.split('.').next().unwrap_or_default();
        // Files with a line per device take one line per write. Nothing is a value too (of cpuset.cpus), but no write(2).
        let lines: Vec<&str> = if value.trim().is_empty() { vec!["\n"] } else { value.lines().collect() };
        for line in lines {
            out.put(controller, file, line, &field)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::paths::{Group, cgroupfs, tests::unified};
    use super::super::values::tests::{lines, lines_on};
    use super::*;
    use serde_json::{Value, json};

    fn groups() -> Vec<Group> {
        cgroupfs(&unified(), None, "web").expect("groups")
    }

    fn create(json: Value) -> Vec<String> {
        lines(&groups(), json).expect("plan")
    }

    fn update(json: Value, now: Current) -> Result<Vec<String>> {
        lines_on(&groups(), json, Occasion::Update(&now))
    }

    #[test]
    fn the_default_share_is_the_default_weight() {
        assert_eq!([0, 2, 3, 1024, 262_143, 262_144, u64::MAX].map(weight), [1, 1, 2, 100, 10_000, 10_000, 10_000]);
        assert!((2..262_144).step_by(97).all(|s| weight(s) <= weight(s + 97)), "more shares never weigh less");
    }

    #[test]
    fn swap_is_what_exceeds_memory() {
        assert_eq!(create(json!({"memory": {"limit": 10, "swap": 30}})), ["memory.swap.max 20", "memory.max 10"]);
        assert_eq!(create(json!({"memory": {"limit": 10, "swap": 10}})), ["memory.swap.max 0", "memory.max 10"]);
        assert_eq!(create(json!({"memory": {"limit": 10, "swap": -1}})), ["memory.swap.max max", "memory.max 10"]);
        assert_eq!(create(json!({"memory": {"limit": -1}})), ["memory.swap.max max", "memory.max max"]);
        assert_eq!(create(json!({"memory": {"limit": 10}})), ["memory.max 10"]);
        for bad in [json!({"limit": 10, "swap": 9}), json!({"swap": 9}), json!({"limit": -1, "swap": 9})] {
            let e = lines(&groups(), json!({"memory": bad})).expect_err("refused");
            assert_eq!(e.config_text(), Some("linux.resources.memory.swap"));
        }
    }

    #[test]
    fn an_update_of_half_a_pair_keeps_the_other_half() {
        let now = Current { memory: 100, quota: 5000, usage: 0, check: false };
        assert_eq!(update(json!({"memory": {"limit": 250}}), now).expect("plan"), ["memory.max 250"]);
        assert_eq!(update(json!({"memory": {"swap": 300}}), now).expect("plan"), ["memory.swap.max 200"]);
        assert_eq!(update(json!({"cpu": {"period": 7000}}), now).expect("plan"), ["cpu.max 5000 7000"]);
        assert_eq!(update(json!({"cpu": {"quota": 7000}}), now).expect("plan"), ["cpu.max 7000"]);
    }

    #[test]
    fn check_before_update_refuses_what_would_kill() {
        let now = Current { usage: 50, check: true, ..Current::default() };
        assert_eq!(
            update(json!({"memory": {"limit": 50}}), now).expect_err("refused").to_string(),
            "rejecting memory limit 50 <= usage 50"
        );
        assert!(update(json!({"memory": {"limit": 51}}), now).is_ok());
        assert!(update(json!({"memory": {"limit": 50, "checkBeforeUpdate": false}}), now).is_ok());
    }

    #[test]
    fn cpu_values() {
        assert_eq!(create(json!({"cpu": {"quota": 5000}})), ["cpu.max 5000 100000"]);
        assert_eq!(create(json!({"cpu": {"period": 5000}})), ["cpu.max max 5000"]);
        assert_eq!(create(json!({"cpu": {"quota": -1, "period": 9, "burst": 4}})), ["cpu.max max 9", "cpu.max.burst 4"]);
        assert_eq!(create(json!({"cpu": {"shares": 1024, "idle": 1}})), ["cpu.weight 100", "cpu.idle 1"]);
        assert_eq!(create(json!({"cpu": {"shares": 1024, "idle": 0}})), ["cpu.idle 0", "cpu.weight 100"]);
        assert_eq!(create(json!({"cpu": {"cpus": "0-1", "mems": "0"}})), ["cpuset.cpus 0-1", "cpuset.mems 0"]);
    }

    #[test]
    fn block_io_values() {
        let texts = create(json!({"blockIO": {"weight": 100, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}],
                                              "throttleWriteIOPSDevice": [{"major": 8, "minor": 1, "rate": 2}]}}));
        assert_eq!(texts, ["io.bfq.weight 100", "io.weight 910", "io.max 8:0 rbps=max", "io.max 8:1 wiops=2"]);
        assert_eq!([10, 500, 1000].map(|w| io_weight(w, "x").expect("valid")), [1, 4950, 10_000]);
        assert!(io_weight(9, "x").is_err());
    }

    #[test]
    fn what_v2_lacks_is_an_error() {
        for (bad, field) in [
            (json!({"memory": {"disableOOMKiller": true}}), "memory.disableOOMKiller"),
            (json!({"memory": {"swappiness": 0}}), "memory.swappiness"),
            (json!({"memory": {"kernelTCP": 1}}), "memory.kernelTCP"),
            (json!({"cpu": {"realtimeRuntime": 1}}), "cpu.realtimeRuntime"),
            (json!({"blockIO": {"leafWeight": 100}}), "blockIO.leafWeight"),
            (json!({"network": {"classID": 1}}), "network.classID"),
            (json!({"network": {"priorities": [{"name": "eth0", "priority": 1}]}}), "network.priorities"),
        ] {
            let e = lines(&groups(), bad).expect_err(field);
            assert_eq!(e.config_text(), Some(format!("linux.resources.{field}").as_str()));
        }
        assert_eq!(
            create(json!({"memory": {"disableOOMKiller": false, "swappiness": u64::MAX}, "cpu": {"realtimeRuntime": 0}})),
            [""; 0]
        );
    }

    #[test]
    fn unified_comes_last_sorted_and_line_by_line() {
        let texts = create(json!({"unified": {"memory.high": "5", "io.max": "8:0 rbps=1\n8:1 rbps=2\n"}, "pids": {"limit": 3}}));
        assert_eq!(texts, ["pids.max 3", "io.max 8:0 rbps=1", "io.max 8:1 rbps=2", "memory.high 5"]);
        for bad in ["../x.y", "a/b.c", "", ".x", "x"] {
            let mut map = serde_json::Map::new();
            map.insert(bad.into(), "1".into());
            assert!(lines(&groups(), json!({"unified": map})).is_err(), "{bad}");
        }
    }
}
