//! placeholder
crate::tests![];
