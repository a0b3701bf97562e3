//! /proc/PID/status: who a process is, and what it may do (proc_pid_status(5)).
//!
//! `NSpid` has its pid in each pid namespace, from rrun's own inwards. `NoNewPrivs`, `Seccomp` and the five capability sets are what holds
//! in fact, whatever a config said: a misspelt key of config.json shows here as `NoNewPrivs: 0`.

/// The lines of the file that say something about isolation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Its name, chosen by itself; escaped.
    pub name: String,
    /// One letter: R, S, D, T, Z, …
    pub state: char,
    /// Its pid in rrun's pid namespace.
    pub pid: i32,
    /// Its parent; 0 when that is outside of rrun's pid namespace.
    pub ppid: i32,
    /// Its pids, the last one in its own pid namespace.
    pub ns_pids: Vec<i32>,
    /// Real, effective, saved and filesystem user id, as rrun's user namespace numbers them.
    pub uids: [u32; 4],
    /// The same of its group.
    pub gids: [u32; 4],
    /// Its supplementary groups.
    pub groups: Vec<u32>,
    /// Inheritable capabilities; bit n is capability n.
    pub inheritable: u64,
    /// Permitted.
    pub permitted: u64,
    /// Effective: what the kernel checks.
    pub effective: u64,
    /// The ceiling.
    pub bounding: u64,
    /// Kept across an execve.
    pub ambient: u64,
    /// Whether execve gives no new privileges.
    pub no_new_privileges: bool,
    /// 0 none, 1 strict, 2 filter.
    pub seccomp: u8,
    /// How many filters (Linux 5.9).
    pub filters: Option<u32>,
    /// Resident memory in KiB; `None` for a zombie or kernel thread.
    pub resident: Option<u64>,
    /// The processors it may run on, as a list.
    pub cpus: String,
}

impl Status {
    /// Reads the text of the file; `None` if it has no pid.
    pub fn parse(text: &str) -> Option<Self> {
        let mut read = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match key {
                "Name" => read.name = crate::log::value(value),
                "State" => read.state = value.chars().next().unwrap_or('?'),
                "Pid" => read.pid = value.parse().ok()?,
                "PPid" => read.ppid = value.parse().unwrap_or(0),
                "NSpid" => read.ns_pids = numbers(value),
                "Uid" => read.uids = four(value),
                "Gid" => read.gids = four(value),
                "Groups" => read.groups = numbers(value),
                "CapInh" => read.inheritable = mask(value),
                "CapPrm" => read.permitted = mask(value),
                "CapEff" => read.effective = mask(value),
                "CapBnd" => read.bounding = mask(value),
                "CapAmb" => read.ambient = mask(value),
                "NoNewPrivs" => read.no_new_privileges = value == "1",
                "Seccomp" => read.seccomp = value.parse().unwrap_or(0),
                "Seccomp_filters" => read.filters = value.parse().ok(),
                "VmRSS" => read.resident = value.split(' ').next().and_then(|n| n.parse().ok()),
                "Cpus_allowed_list" => value.clone_into(&mut read.cpus),
                _ => {}
            }
        }
        (read.pid > 0).then_some(read)
    }

    /// Its pid in its own pid namespace.
    pub fn inner_pid(&self) -> i32 {
        self.ns_pids.last().copied().unwrap_or(self.pid)
    }
}

fn numbers<T: std::str::FromStr>(value: &str) -> Vec<T> {
    value.split_whitespace().filter_map(|n| n.parse().ok()).collect()
}

fn four(value: &str) -> [u32; 4] {
    numbers(value).try_into().unwrap_or_default()
}

fn mask(value: &str) -> u64 {
    u64::from_str_radix(value, 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let text = "Name:\tsh\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t6527\nPid:\t6527\nPPid:\t6522\nUid:\t0\t0\t0\t0\n\
                    Gid:\t5\t5\t5\t5\nGroups:\t4 24 \nNSpid:\t6527\t6\nVmRSS:\t     812 kB\nCapInh:\t0000000000000000\n\
                    CapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n\
                    NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\nCpus_allowed_list:\t0-1\n";
        let status = Status::parse(text).expect("a status");
        assert_eq!((status.name.as_str(), status.state, status.pid, status.ppid), ("sh", 'S', 6527, 6522));
        assert_eq!((status.ns_pids.as_slice(), status.inner_pid()), ([6527, 6].as_slice(), 6));
        assert_eq!((status.gids, status.groups.as_slice()), ([5; 4], [4, 24].as_slice()));
        assert_eq!((status.effective, status.bounding), (0xa804_25fb, 0x1ff_ffff_ffff));
        assert!(status.no_new_privileges);
        assert_eq!((status.seccomp, status.filters, status.resident, status.cpus.as_str()), (2, Some(1), Some(812), "0-1"));
    }

    #[test]
    fn a_name_cannot_pass_for_another_line() {
        // The kernel escapes a newline in a name; what other bytes a name has is escaped here.
        let status = Status::parse("Name:\ta\\nPid:\t7\x1b[2J\nPid:\t8\n").expect("a status");
        assert_eq!((status.pid, status.name.as_str()), (8, "a\\nPid:\\t7\\x1b[2J"));
        assert_eq!(Status::parse("Name:\tx\n"), None);
        assert_eq!(Status::parse(""), None);
    }
}
