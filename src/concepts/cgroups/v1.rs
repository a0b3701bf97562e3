//! The values of cgroup v1: each controller has a directory of its own, and files of its own names (admin-guide/cgroup-v1).
//!
//! The kernel bends some values in silence and refuses others until a related one is written. So bounds are checked here, and the order of
//! the list matters: a limit that came out other than asked would be a promise not kept.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice};

use super::values::{Occasion, Otherwise, Writes, refuse, set};
use crate::error::{Error, Result};

/// The kernel's bounds of cpu.shares; values beyond are bent to them in silence.
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// Keys of v2 mean nothing here.
pub(super) fn no_unified(r: &LinuxResources) -> Result<()> {
    if r.unified().as_ref().is_some_and(|u| !u.is_empty()) {
        return Err(Error::new("invalid configuration: cannot use unified on cgroup v1").config("linux.resources.unified"));
    }
    Ok(())
}

/// net_cls and net_prio.
pub(super) fn network(out: &mut Writes, r: &LinuxResources) -> Result<()> {
    let Some(n) = r.network() else { return Ok(()) };
    if let Some(class) = set(n.class_id()) {
        out.put("net_cls", "net_cls.classid", class, "network.classID")?;
    }
    for (i, priority) in n.priorities().iter().flatten().enumerate() {
        let line = format!("{} {}", priority.name(), priority.priority());
        out.put("net_prio", "net_prio.ifpriomap", line, &format!("network.priorities[{i}]"))?;
    }
    Ok(())
}

/// memory, in the order in which the kernel accepts it.
pub(super) fn memory(out: &mut Writes, m: &LinuxMemory, occasion: Occasion) -> Result<()> {
    // First, while nothing is below. Since Linux 5.11 it is always so: the kernel refuses 0, and nothing else is lost.
    if let Some(hierarchy) = m.use_hierarchy() {
        out.put("memory", "memory.use_hierarchy", u8::from(hierarchy), "memory.useHierarchy")?;
    }
    let (limit, swap) = (set(m.limit()), set(m.swap()));
    if let (Some(limit @ 1..), Some(swap @ 0..)) = (limit, swap)
        && swap < limit
    {
        return refuse("memory.swap", "memory+swap limit should be >= memory limit");
    }
    if swap.is_some_and(|s| s > 0) && limit.is_none_or(|l| l < 0) && occasion == Occasion::Create {
        return refuse("memory.swap", "unable to set swap limit without memory limit");
    }
    // memory may never exceed memory+swap: unlimited swap goes first. Of two numbers, the order depends on what holds now;
    // the first is refused if it comes too early, and comes again at the end.
    if swap == Some(-1) {
        // Without swap accounting there is nothing to be had.
        out.put("memory", "memory.memsw.limit_in_bytes", -1, "memory.swap")?.otherwise = Otherwise::Skip;
    } else if limit == Some(-1) && swap.is_none() {
        out.put("memory", "memory.memsw.limit_in_bytes", -1, "memory.limit")?.otherwise = Otherwise::Skip;
    }
    if let Some(limit) = limit {
        out.put("memory", "memory.limit_in_bytes", limit, "memory.limit")?.retry = true;
    }
    if let Some(swap) = swap.filter(|s| *s != -1) {
        out.put("memory", "memory.memsw.limit_in_bytes", swap, "memory.swap")?;
    }
    if let Some(reservation) = set(m.reservation()) {
        out.put("memory", "memory.soft_limit_in_bytes", reservation, "memory.reservation")?;
    }
    if let Some(tcp) = set(m.kernel_tcp()) {
        out.put("memory", "memory.kmem.tcp.limit_in_bytes", tcp, "memory.kernelTCP")?;
    }
    if m.disable_oom_killer() == Some(true) {
        out.put("memory", "memory.oom_control", 1, "memory.disableOOMKiller")?;
    }
    // All bits set is Docker's -1: not given.
    match m.swappiness() {
        None | Some(u64::MAX) => {}
        Some(value @ 0..=100) => drop(out.put("memory", "memory.swappiness", value, "memory.swappiness")?),
        Some(value) => {
            return refuse("memory.swappiness", format!("invalid memory swappiness value: {value} (valid range is 0-100)"));
        }
    }
    Ok(())
}

/// cpu, in the order in which the kernel accepts it.
pub(super) fn cpu(out: &mut Writes, c: &LinuxCpu) -> Result<()> {
    // Realtime first: without time of its own, the group refuses processes that are SCHED_FIFO or SCHED_RR.
    if let Some(period) = set(c.realtime_period()) {
        out.put("cpu", "cpu.rt_period_us", period, "cpu.realtimePeriod")?.retry = true;
    }
    if let Some(runtime) = set(c.realtime_runtime()) {
        out.put("cpu", "cpu.rt_runtime_us", runtime, "cpu.realtimeRuntime")?;
    }
    // An idle group refuses shares: it stops being idle before, or becomes so after.
    if c.idle() == Some(0) {
        out.put("cpu", "cpu.idle", 0, "cpu.idle")?.otherwise = Otherwise::Skip;
    }
    if let Some(shares) = set(c.shares()) {
        if shares < *SHARES.start() {
            return refuse("cpu.shares", format!("the minimum allowed cpu-shares is {}", SHARES.start()));
        }
        if shares > *SHARES.end() {
            return refuse("cpu.shares", format!("the maximum allowed cpu-shares is {}", SHARES.end()));
        }
        out.put("cpu", "cpu.shares", shares, "cpu.shares")?;
    }
    if let Some(idle) = set(c.idle()) {
        out.put("cpu", "cpu.idle", idle, "cpu.idle")?;
    }
    // A new period with the old quota may exceed what the parent has, a burst the old quota.
    if let Some(period) = set(c.period()) {
        out.put("cpu", "cpu.cfs_period_us", period, "cpu.period")?.retry = true;
    }
    if let Some(quota) = set(c.quota()) {
        out.put("cpu", "cpu.cfs_quota_us", quota, "cpu.quota")?.retry = true;
    }
    match c.burst() {
        Some(0) => out.put("cpu", "cpu.cfs_burst_us", 0, "cpu.burst")?.otherwise = Otherwise::Skip,
        Some(burst) => drop(out.put("cpu", "cpu.cfs_burst_us", burst, "cpu.burst")?),
        None => {}
    }
    Ok(())
}

/// blkio.
pub(super) fn block_io(out: &mut Writes, io: &LinuxBlockIo) -> Result<()> {
    // The files of the CFQ scheduler went with it (Linux 5.0); those of BFQ have its name in theirs.
    if let Some(weight) = set(io.weight()) {
        out.put("blkio", "blkio.bfq.weight", weight, "blockIO.weight")?.otherwise =
            Otherwise::Use("blkio.weight".into(), weight.to_string());
    }
    if let Some(weight) = set(io.leaf_weight()) {
        out.put("blkio", "blkio.leaf_weight", weight, "blockIO.leafWeight")?;
    }
    for (i, device) in io.weight_device().iter().flatten().enumerate() {
        let field = format!("blockIO.weightDevice[{i}]");
        let number = format!("{}:{}", device.major(), device.minor());
        if let Some(weight) = set(device.weight()) {
            let line = format!("{number} {weight}");
            let write = out.put("blkio", "blkio.bfq.weight_device", &line, &field)?;
            write.otherwise = Otherwise::Use("blkio.weight_device".into(), line);
        }
        if let Some(weight) = set(device.leaf_weight()) {
            out.put("blkio", "blkio.leaf_weight_device", format!("{number} {weight}"), &field)?;
        }
    }
    for (limits, file, name) in throttles(io) {
        for (i, limit) in limits.iter().flatten().enumerate() {
            let line = format!("{}:{} {}", limit.major(), limit.minor(), limit.rate());
            out.put("blkio", format!("blkio.throttle.{file}"), line, &format!("blockIO.{name}[{i}]"))?;
        }
    }
    Ok(())
}

type Throttle<'a> = (&'a Option<Vec<LinuxThrottleDevice>>, &'static str, &'static str);

/// The four lists of limits: (limits, file, field).
fn throttles(io: &LinuxBlockIo) -> [Throttle<'_>; 4] {
    [
        (io.throttle_read_bps_device(), "read_bps_device", "throttleReadBpsDevice"),
        (io.throttle_write_bps_device(), "write_bps_device", "throttleWriteBpsDevice"),
        (io.throttle_read_iops_device(), "read_iops_device", "throttleReadIOPSDevice"),
        (io.throttle_write_iops_device(), "write_iops_device", "throttleWriteIOPSDevice"),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::paths::{Group, cgroupfs, tests::hybrid};
    use super::super::values::tests::{lines, lines_on};
    use super::super::values::{Current, Occasion};
    use serde_json::json;

    fn groups() -> Vec<Group> {
        let mut groups = cgroupfs(&hybrid(), None, "web").expect("groups");
        for controller in ["blkio", "hugetlb", "net_cls", "net_prio", "rdma"] {
            groups.push(Group { mountpoint: "/c/x".into(), dir: "/c/x/web".into(), controllers: vec![controller.into()] });
        }
        groups
    }

    #[test]
    fn zeros_are_unset() {
        let zeros = json!({
            "memory": {"limit": 0, "swap": 0, "reservation": 0, "kernel": 0, "kernelTCP": 0, "disableOOMKiller": false},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "realtimePeriod": 0, "cpus": "", "mems": ""},
            "blockIO": {"weight": 0, "leafWeight": 0}, "network": {"classID": 0}, "unified": {},
        });
        assert_eq!(lines(&groups(), zeros).expect("plan"), [""; 0]);
    }

    #[test]
    fn memory_before_memory_and_swap_unless_unlimited() {
        let both = lines(&groups(), json!({"memory": {"limit": 10, "swap": 20}})).expect("plan");
        assert_eq!(both, ["memory.limit_in_bytes 10", "memory.memsw.limit_in_bytes 20"]);
        let unlimited = lines(&groups(), json!({"memory": {"limit": 10, "swap": -1}})).expect("plan");
        assert_eq!(unlimited, ["memory.memsw.limit_in_bytes -1", "memory.limit_in_bytes 10"]);
        let all = lines(&groups(), json!({"memory": {"limit": -1}})).expect("plan");
        assert_eq!(all, ["memory.memsw.limit_in_bytes -1", "memory.limit_in_bytes -1"]);
    }

    #[test]
    fn swap_below_memory_or_without_it_is_an_error() {
        for bad in [json!({"limit": 10, "swap": 9}), json!({"swap": 9}), json!({"limit": -1, "swap": 9})] {
            let e = lines(&groups(), json!({"memory": bad.clone()})).expect_err("refused");
            assert_eq!(e.config_text(), Some("linux.resources.memory.swap"), "{bad}");
        }
    }

    #[test]
    fn swappiness_has_a_range_and_a_minus_one() {
        assert_eq!(lines(&groups(), json!({"memory": {"swappiness": 0}})).expect("plan"), ["memory.swappiness 0"]);
        assert_eq!(lines(&groups(), json!({"memory": {"swappiness": u64::MAX}})).expect("plan"), [""; 0]);
        assert!(lines(&groups(), json!({"memory": {"swappiness": 101}})).is_err());
    }

    #[test]
    fn cpu_values_come_in_the_order_the_kernel_accepts() {
        let texts = lines(
            &groups(),
            json!({"cpu": {"shares": 512, "quota": -1, "period": 50000, "burst": 100, "idle": 1, "realtimeRuntime": 9, "realtimePeriod": 10,
                           "cpus": "0", "mems": "0"}}),
        );
        let expected = [
            "cpu.rt_period_us 10",
            "cpu.rt_runtime_us 9",
            "cpu.shares 512",
            "cpu.idle 1",
            "cpu.cfs_period_us 50000",
            "cpu.cfs_quota_us -1",
            "cpu.cfs_burst_us 100",
            "cpuset.cpus 0",
            "cpuset.mems 0",
        ];
        assert_eq!(texts.expect("plan"), expected);
        assert_eq!(lines(&groups(), json!({"cpu": {"shares": 512, "idle": 0}})).expect("plan"), ["cpu.idle 0", "cpu.shares 512"]);
    }

    #[test]
    fn shares_out_of_bounds_are_an_error() {
        assert_eq!(
            lines(&groups(), json!({"cpu": {"shares": 1}})).expect_err("low").to_string(),
            "the minimum allowed cpu-shares is 2"
        );
        let high = lines(&groups(), json!({"cpu": {"shares": 262145}})).expect_err("high");
        assert_eq!(high.to_string(), "the maximum allowed cpu-shares is 262144");
    }

    #[test]
    fn pids_zero_is_the_smallest_limit_and_unset_in_an_update() {
        assert_eq!(lines(&groups(), json!({"pids": {"limit": 0}})).expect("plan"), ["pids.max 1"]);
        assert_eq!(lines(&groups(), json!({"pids": {"limit": -1}})).expect("plan"), ["pids.max max"]);
        assert_eq!(lines(&groups(), json!({"pids": {"limit": 7}})).expect("plan"), ["pids.max 7"]);
        let update = lines_on(&groups(), json!({"pids": {"limit": 0}}), Occasion::Update(&Current::default()));
        assert_eq!(update.expect("plan"), [""; 0]);
    }

    #[test]
    fn the_rest() {
        let texts = lines(
            &groups(),
            json!({"blockIO": {"weight": 100, "leafWeight": 20, "weightDevice": [{"major": 8, "minor": 0, "weight": 50, "leafWeight": 60}],
                               "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}], "throttleWriteIOPSDevice": [{"major": 8, "minor": 1, "rate": 2}]},
                   "hugepageLimits": [{"pageSize": "2MB", "limit": 4}], "rdma": {"mlx": {"hcaHandles": 3, "hcaObjects": 4}},
                   "network": {"classID": 5, "priorities": [{"name": "eth0", "priority": 6}]}}),
        );
        let expected = [
            "blkio.bfq.weight 100",
            "blkio.leaf_weight 20",
            "blkio.bfq.weight_device 8:0 50",
            "blkio.leaf_weight_device 8:0 60",
            "blkio.throttle.read_bps_device 8:0 1",
            "blkio.throttle.write_iops_device 8:1 2",
            "hugetlb.2MB.limit_in_bytes 4",
            "hugetlb.2MB.rsvd.limit_in_bytes 4",
            "rdma.max mlx hca_handle=3 hca_object=4",
            "net_cls.classid 5",
            "net_prio.ifpriomap eth0 6",
        ];
        assert_eq!(texts.expect("plan"), expected);
    }

    #[test]
    fn unified_is_refused() {
        let e = lines(&groups(), json!({"unified": {"memory.high": "1"}})).expect_err("v1");
        assert_eq!(e.to_string(), "invalid configuration: cannot use unified on cgroup v1");
    }
}
