//! A user without any privilege: everything that root does with a container, as far as the kernel lets it.

mod delegated;
mod life;

use crate::support::Test;

/// The tests of all parts.
pub fn tests() -> Vec<Test> {
    [delegated::tests(), life::tests()].into_iter().flatten().collect()
}
