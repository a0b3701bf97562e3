//! regex-lite under the name of its large sibling; see Cargo.toml.
pub use regex_lite::*;
