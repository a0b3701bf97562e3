//! Network devices moved into the container, and its loopback (network_namespaces(7), rtnetlink(7)).
//!
//! A network namespace has devices, addresses, routes, ports and abstract sockets of its own; a device is in exactly one.
//! The boundary: who shares the host's namespace reaches every service that listens on the host's loopback or on an
//! abstract socket (CVE-2020-15257: root on the host through containerd's). A new namespace has only `lo`, and that is down.
//!
//! The kernel returns a physical device to the host's namespace when the container's dies; a virtual one dies with it.

use std::os::fd::{AsFd, BorrowedFd};

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::error::{At, Error, Result};
use crate::host::Host;
use crate::sys::fd;
use crate::sys::netlink::{Netlink, attributes, number, push_attribute};
use crate::sys::process::setns;
use crate::sys::resolve::openat2;

/// Devices to move.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkPlan {
    /// Whether the network namespace is new, so that its loopback is down.
    new: bool,
    devices: Vec<Device>,
}

/// A device: its name on the host and in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Device {
    host: String,
    container: String,
}

/// An address of a device: the body of the `RTM_NEWADDR` that makes it again, without the index.
type Address = Vec<u8>;

/// Length of `struct ifaddrmsg`.
const ADDRESS: usize = 8;

/// Decides what to move: names are checked, and the container must have a network namespace.
pub fn plan(spec: &Spec, host: &Host) -> Result<NetworkPlan> {
    let linux = spec.linux().as_ref();
    let own = linux.and_then(|l| l.namespaces().as_ref()).into_iter().flatten().find(|n| n.typ() == LinuxNamespaceType::Network);
    let mut devices = Vec::new();
    for (name, device) in linux.and_then(|l| l.net_devices().as_ref()).into_iter().flatten() {
        let field = || format!("linux.netDevices.{name}");
        if own.is_none() {
            return Err(Error::new("unable to move network devices without a NET namespace").config("linux.netDevices"));
        }
        if host.rootless {
            return Err(Error::new("network devices are not supported for rootless containers").config("linux.netDevices"));
        }
        let container = device.name().as_ref().filter(|n| !n.is_empty()).unwrap_or(name);
        for (name, plain) in [(name.as_str(), name.as_str()), (container, container.strip_suffix(TEMPLATE).unwrap_or(container))]
        {
            if !is_device_name(plain) || name.len() >= libc::IFNAMSIZ {
                return Err(Error::new(format!("invalid network device name {name:?}")).config(field()));
            }
        }
        devices.push(Device { host: name.clone(), container: container.clone() });
    }
    // The config is a map without order. Templates come last: they take what is left.
    devices.sort_by(|a, b| (a.is_template(), &a.host).cmp(&(b.is_template(), &b.host)));
    if let Some(twice) =
        devices.iter().enumerate().find_map(|(i, d)| devices[..i].iter().find(|e| !d.is_template() && e.container == d.container))
    {
        let text = format!("two network devices would be named {:?} in the container", twice.container);
        return Err(Error::new(text).config("linux.netDevices"));
    }
    Ok(NetworkPlan { new: own.is_some_and(|n| n.path().is_none()), devices })
}

/// At the end of a device's new name: the kernel puts the first free number there.
const TEMPLATE: &str = "%d";

impl Device {
    fn is_template(&self) -> bool {
        self.container.ends_with(TEMPLATE)
    }

    fn naming(&self) -> String {
        format!("name it {:?} in the container's network namespace", self.container)
    }
}

/// The kernel's rule for device names (dev_valid_name), and no `%`, which begins a template.
fn is_device_name(name: &str) -> bool {
    let plain = |b: u8| !b.is_ascii_whitespace() && !matches!(b, b'/' | b':' | b'%' | 0);
    !name.is_empty() && name.len() < libc::IFNAMSIZ && name != "." && name != ".." && name.bytes().all(plain)
}

/// Moves the devices from the caller's network namespace into the one behind `netns`, gives them their names there, their
/// global permanent addresses back, which a move takes away, and brings them up.
///
/// The calling thread visits that namespace to open a socket in it.
pub fn apply_from_parent(plan: &NetworkPlan, netns: BorrowedFd) -> Result<()> {
    if plan.devices.is_empty() {
        return Ok(());
    }
    let here = Netlink::open().at(|| "open a netlink socket")?;
    let there = open_in(netns)?;
    let each = |act: &dyn Fn(&Device) -> Result<()>| {
        plan.devices.iter().try_for_each(|device| {
            act(device).map_err(|e| {
                e.context(format!("move network device {:?}", device.host)).config(format!("linux.netDevices.{}", device.host))
            })
        })
    };
    // All before the first moves: a virtual device in a container that fails dies with its namespace.
    each(&|device| check_device(&here, &there, device))?;
    each(&|device| move_device(&here, &there, device, netns))
}

/// Whether it is here, and its name free there.
fn check_device(here: &Netlink, there: &Netlink, device: &Device) -> Result<()> {
    index_of(here, &device.host)?;
    match index_of(there, &device.container) {
        Ok(_) if !device.is_template() => Err(Error::os(device.naming(), nix::errno::Errno::EEXIST)),
        _ => Ok(()),
    }
}

/// A netlink socket in another network namespace. A socket belongs for ever to the namespace it was opened in.
fn open_in(netns: BorrowedFd) -> Result<Netlink> {
    let own = openat2(fd::cwd(), c"/proc/thread-self/ns/net", libc::O_RDONLY, 0, 0).at(|| "open the own network namespace")?;
    setns(netns, libc::CLONE_NEWNET as u64).at(|| "enter the container's network namespace")?;
    let socket = Netlink::open().at(|| "open a netlink socket in the container");
    // Fatal if it fails: whatever rrun does next would happen in the container's network.
    setns(own.as_fd(), libc::CLONE_NEWNET as u64).at(|| "return to the own network namespace")?;
    socket
}

fn move_device(here: &Netlink, there: &Netlink, device: &Device, netns: BorrowedFd) -> Result<()> {
    use std::os::fd::AsRawFd;
    let index = index_of(here, &device.host)?;
    let addresses = permanent_addresses(here, index)?;
    let others = if device.is_template() { indices(there)? } else { vec![] };
    let mut request = link(index, 0, 0);
    push_attribute(&mut request, libc::IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes());
    push_attribute(&mut request, libc::IFLA_IFNAME, &with_nul(&device.container));
    here.request(libc::RTM_NEWLINK, 0, &request).at(|| device.naming())?;
    let index = if device.is_template() {
        let new = indices(there)?.into_iter().find(|i| !others.contains(i));
        new.ok_or_else(|| Error::new(format!("no device {:?} has come into the container", device.container)))?
    } else {
        index_of(there, &device.container)?
    };
    for mut address in addresses {
        address[4..8].copy_from_slice(&index.to_ne_bytes());
        let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
        there.request(libc::RTM_NEWADDR, flags, &address).at(|| "add its address again")?;
    }
    there.request(libc::RTM_NEWLINK, 0, &link(index, libc::IFF_UP as u32, libc::IFF_UP as u32)).at(|| "bring it up")
}

/// `struct ifinfomsg`: the device `index`, `flags` under the mask `change`.
fn link(index: u32, flags: u32, change: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), change.to_ne_bytes()].concat()
}

fn with_nul(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn index_of(netlink: &Netlink, name: &str) -> Result<u32> {
    let mut request = link(0, 0, 0);
    push_attribute(&mut request, libc::IFLA_IFNAME, &with_nul(name));
    let answers = netlink.get(libc::RTM_GETLINK, &request).at(|| format!("find the device {name:?}"))?;
    answers
        .first()
        .and_then(|m| number(&m.body, 4))
        .ok_or_else(|| Error::os(format!("find the device {name:?}"), nix::errno::Errno::ENODEV))
}

/// The indices of all devices.
fn indices(netlink: &Netlink) -> Result<Vec<u32>> {
    let all = netlink.dump(libc::RTM_GETLINK, &link(0, 0, 0)).at(|| "list the devices of the container")?;
    Ok(all.iter().filter_map(|m| number(&m.body, 4)).collect())
}

/// The addresses of global scope that were set by somebody, not learnt: each as the body that makes it again.
fn permanent_addresses(netlink: &Netlink, index: u32) -> Result<Vec<Address>> {
    const PERMANENT: u32 = 0x80;
    /// What to carry over. Not the label: it begins with the old name of the device.
    const KEPT: [u16; 4] = [libc::IFA_LOCAL, libc::IFA_ADDRESS, libc::IFA_BROADCAST, libc::IFA_FLAGS];
    let all = netlink.dump(libc::RTM_GETADDR, &[0; ADDRESS]).at(|| "list its addresses")?;
    let mut addresses = Vec::new();
    for body in all.iter().map(|m| &m.body).filter(|b| b.len() >= ADDRESS && number(b, 4) == Some(index)) {
        let parts = || attributes(&body[ADDRESS..]);
        let flags =
            parts().find(|(kind, _)| *kind == libc::IFA_FLAGS).and_then(|(_, v)| number(v, 0)).unwrap_or(u32::from(body[2]));
        // Byte 3 is the scope; 0 is the whole world (RT_SCOPE_UNIVERSE).
        if flags & PERMANENT == 0 || body[3] != 0 {
            continue;
        }
        let mut address = body[..ADDRESS].to_vec();
        parts().filter(|(kind, _)| KEPT.contains(kind)).for_each(|(kind, value)| push_attribute(&mut address, kind, value));
        addresses.push(address);
    }
    Ok(addresses)
}

/// Brings the loopback device of a new network namespace up, as runc does. It is always the first device.
pub fn apply(plan: &NetworkPlan) -> Result<()> {
    if !plan.new {
        return Ok(());
    }
    let up = libc::IFF_UP as u32;
    Netlink::open().and_then(|n| n.request(libc::RTM_NEWLINK, 0, &link(1, up, up))).at(|| "bring up the loopback device")
}

impl NetworkPlan {
    /// Whether there are devices to move.
    pub fn moves_devices(&self) -> bool {
        !self.devices.is_empty()
    }

    /// The lines of `rrun plan` for the parent.
    pub fn describe(&self) -> Vec<String> {
        self.devices.iter().map(|d| format!("move network device {} into the container as {}", d.host, d.container)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(devices: serde_json::Value, namespaces: serde_json::Value, rootless: bool) -> Result<NetworkPlan> {
        let spec = serde_json::json!({"ociVersion": "1.3.0", "linux": {"netDevices": devices, "namespaces": namespaces}});
        let host = Host { euid: 0, egid: 0, rootless, cgroups: Default::default() };
        plan(&serde_json::from_value(spec).expect("a spec"), &host)
    }

    fn refusal(devices: serde_json::Value, namespaces: serde_json::Value, rootless: bool) -> String {
        decide(devices, namespaces, rootless).expect_err("refused").to_string()
    }

    #[test]
    fn canonical_refusals() {
        let one = serde_json::json!({"eth0": {}});
        let own = serde_json::json!([{"type": "network"}]);
        assert_eq!(refusal(one.clone(), serde_json::json!([]), false), "unable to move network devices without a NET namespace");
        assert_eq!(refusal(one, own.clone(), true), "network devices are not supported for rootless containers");
        for bad in ["", ".", "..", "a/b", "a b", "a:b", "sixteen-bytes-xx", "eth%d"] {
            let text = format!("invalid network device name {bad:?}");
            assert_eq!(refusal(serde_json::json!({bad: {"name": "x"}}), own.clone(), false), text);
        }
        for bad in ["%d%d", "a%", "%dx", "thirteen-chars%d"] {
            let text = format!("invalid network device name {bad:?}");
            assert_eq!(refusal(serde_json::json!({"eth0": {"name": bad}}), own.clone(), false), text);
        }
        let twice = serde_json::json!({"eth0": {"name": "x"}, "eth1": {"name": "x"}});
        assert_eq!(refusal(twice, own.clone(), false), r#"two network devices would be named "x" in the container"#);
        let template = serde_json::json!({"eth0": {"name": "x%d"}, "eth1": {"name": "x%d"}});
        assert!(decide(template, own, false).is_ok());
    }

    #[test]
    fn devices_keep_their_name_unless_given_another() {
        let plan = decide(serde_json::json!({"b": {}, "a": {"name": "x"}}), serde_json::json!([{"type": "network"}]), false)
            .expect("a plan");
        assert!(plan.new && plan.moves_devices());
        assert_eq!(
            plan.describe(),
            ["move network device a into the container as x", "move network device b into the container as b"]
        );
    }

    #[test]
    fn a_joined_namespace_has_its_own_loopback() {
        let plan = decide(serde_json::json!({}), serde_json::json!([{"type": "network", "path": "/x"}]), false).expect("a plan");
        assert_eq!(plan, NetworkPlan::default());
    }
}
