//! rrun: an OCI container runtime whose source teaches.
//!
//! The way through the code is one way: `cli` turns the command line into a verb, a verb reads the `bundle`, `plan`
//! decides everything, `process` makes the container from the plan with the `concepts`, and only `sys` talks to the
//! kernel in `unsafe` words. `docs/architecture.md` is the map.

#[forbid(unsafe_code)]
pub mod audit;
#[forbid(unsafe_code)]
pub mod bundle;
#[forbid(unsafe_code)]
pub mod cli;
#[forbid(unsafe_code)]
pub mod concepts;
#[forbid(unsafe_code)]
pub mod error;
#[forbid(unsafe_code)]
pub mod host;
#[forbid(unsafe_code)]
pub mod log;
#[forbid(unsafe_code)]
pub mod plan;
#[forbid(unsafe_code)]
pub mod process;
#[forbid(unsafe_code)]
pub mod state;
#[forbid(unsafe_code)]
pub mod style;
#[forbid(unsafe_code)]
pub mod suggest;
pub mod sys;
#[forbid(unsafe_code)]
pub mod verbs;
#[cfg(feature = "workshop")]
#[forbid(unsafe_code)]
pub mod workshop;
