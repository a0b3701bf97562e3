//! What is worth knowing of a call: whether it concerns the network, and whether engines refuse it by default.
//!
//! The second list is that of the default profile of Docker and Podman (moby/profiles, containers/common) for a container
//! without additional capabilities. A call on it is where exploits of the kernel begin: mount objects, keyrings, new namespaces,
//! programs for the kernel. A program that needs one deserves a look before its profile is loosened.

/// What only the network's code is called by.
const NETWORK: &[&str] = &[
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recv",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "send",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socket",
    "socketcall",
    "socketpair",
];

const REFUSED: &[&str] = &[
    "acct",
    "add_key",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "query_module",
    "quotactl",
    "reboot",
    "request_key",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "stime",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "umount",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "vm86",
    "vm86old",
];

/// Families of sockets by number (linux/socket.h).
const FAMILIES: [(u64, &str); 6] =
    [(1, "AF_UNIX"), (2, "AF_INET"), (10, "AF_INET6"), (16, "AF_NETLINK"), (17, "AF_PACKET"), (40, "AF_VSOCK")];

/// Whether the call concerns the network.
pub fn is_network(name: &str) -> bool {
    NETWORK.binary_search(&name).is_ok()
}

/// The note on a call whose first time had these arguments; empty for most.
pub fn note(name: &str, args: &[u64; 6]) -> String {
    match name {
        "socket" | "socketpair" => {
            let family = FAMILIES.iter().find(|(number, _)| *number == args[0]).map(|(_, family)| (*family).to_owned());
            format!("network: first {}", family.unwrap_or_else(|| format!("family {}", args[0])))
        }
        "clone" | "clone3" => "new process or thread".into(),
        _ if is_network(name) => "network".into(),
        _ if REFUSED.binary_search(&name).is_ok() => "refused by engines' default profile".into(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        assert!(NETWORK.is_sorted() && REFUSED.is_sorted());
        assert_eq!(note("socket", &[2, 1, 0, 0, 0, 0]), "network: first AF_INET");
        assert_eq!(note("unshare", &[0; 6]), "refused by engines' default profile");
        assert_eq!(note("read", &[0; 6]), "");
    }
}
