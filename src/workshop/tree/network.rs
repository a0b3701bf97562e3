//! The interfaces of a container's network namespace (network_namespaces(7), proc_pid_net(5)).
//!
//! An interface belongs to one namespace. One that was moved in (`linux.netDevices`) is told with its old name. Read through the
//! host's procfs: no process of the container is asked.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::Seen;
use crate::style::{Column, Style, TIE, table};
use crate::workshop::observed::Process;
use crate::workshop::observed::namespaces::{HostNamespaces, Kind};

/// One interface.
struct Interface {
    name: String,
    received: u64,
    sent: u64,
    /// What it was called on the host.
    was: Option<String>,
}

fn interfaces(seen: &Seen) -> Vec<Interface> {
    let config: Value = serde_json::from_slice(&seen.container.config).unwrap_or_default();
    let moved = config.pointer("/linux/netDevices").and_then(Value::as_object).cloned().unwrap_or_default();
    let was = |name: &str| {
        let found =
            moved.iter().find(|(old, device)| device["name"].as_str().filter(|n| !n.is_empty()).unwrap_or(old.as_str()) == name);
        found.map(|(old, _)| crate::log::value(old))
    };
    let line = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_whitespace().map_while(|n| n.parse().ok()).collect();
        let name = name.trim();
        Some(Interface { name: crate::log::value(name), received: *numbers.first()?, sent: *numbers.get(8)?, was: was(name) })
    };
    let text = seen.container.init.as_ref().and_then(|init| init.text("net/dev")).unwrap_or_default();
    text.lines().skip(2).filter_map(line).take(100).collect()
}

/// The addresses of the namespace: v4 from the table of local routes, v6 with their interface.
fn addresses(init: &Process) -> Vec<String> {
    let mut found: Vec<String> = vec![];
    let trie = init.text("net/fib_trie").unwrap_or_default();
    let mut last = "";
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address;
        } else if line.starts_with("/32 host LOCAL") && last.parse::<Ipv4Addr>().is_ok() && !found.iter().any(|a| a == last) {
            found.push(last.to_owned());
        }
    }
    for line in init.text("net/if_inet6").unwrap_or_default().lines() {
        let mut words = line.split_whitespace();
        if let (Some(Ok(bits)), Some(name)) = (words.next().map(|hex| u128::from_str_radix(hex, 16)), words.last()) {
            found.push(format!("{} ({})", Ipv6Addr::from(bits), crate::log::value(name)));
        }
    }
    found
}

/// The names in one line.
pub fn names(seen: &Seen) -> String {
    let told = |i: &Interface| i.was.as_ref().map_or_else(|| i.name.clone(), |was| format!("{} (was {was} on the host)", i.name));
    interfaces(seen).iter().map(told).collect::<Vec<_>>().join(" ")
}

/// A table of interfaces, then addresses.
pub fn text(seen: &Seen, host: &HostNamespaces, style: &Style) -> String {
    let Some(init) = &seen.container.init else { return String::new() };
    let number = super::draw::id(seen.namespaces.get(Kind::Net));
    let shared = if host.share(&seen.namespaces, Kind::Net) {
        "SHARED with host: all of the host's interfaces and ports"
    } else {
        "of its own"
    };
    let heads = [Column::new("INTERFACE"), Column::number("RECEIVED"), Column::number("SENT"), Column::new("FROM")];
    let row = |i: &Interface| {
        let from =
            i.was.as_ref().map_or_else(String::new, |was| format!("{was} (host) {} {} ({})", style.arrow(), i.name, seen.name()));
        vec![i.name.clone(), i.received.to_string(), i.sent.to_string(), from]
    };
    let rows: Vec<Vec<String>> = interfaces(seen).iter().map(row).collect();
    let addresses: Vec<String> = addresses(init).iter().map(|address| address.replace(' ', TIE)).collect();
    let addresses = if addresses.is_empty() { "none".to_owned() } else { addresses.join("  ") };
    let addresses = style.hang(&format!("addresses: {addresses}"), &" ".repeat(11));
    format!("net {number}  {shared}\n{}{addresses}\n", table(style, &heads, &rows))
}

/// The same as JSON.
pub fn json(seen: &Seen) -> Value {
    let interface = |i: &Interface| json!({"name": i.name, "received": i.received, "sent": i.sent, "was": i.was});
    let addresses = seen.container.init.as_ref().map(addresses).unwrap_or_default();
    json!({"interfaces": interfaces(seen).iter().map(interface).collect::<Vec<_>>(), "addresses": addresses})
}
