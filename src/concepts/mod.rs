//! One Linux idea per file, named with the kernel's or the specification's word.
//!
//! Every file has the same shape: plain data (`…Plan`), a pure `plan` that decides, an `apply` that acts inside the
//! container and, where only the outside may act, an `apply_from_parent`. Concepts never import each other.

pub mod capabilities;
pub mod cgroups;
pub mod devices;
pub mod hooks;
pub mod identity;
pub mod layers;
pub mod limits;
pub mod lsm;
pub mod masks;
pub mod mounts;
pub mod namespaces;
pub mod network;
pub mod rdt;
pub mod rootfs;
pub mod scheduling;
pub mod seccomp;
pub mod sysctl;
pub mod traffic;
pub mod users;
