//! System call filters, seen from inside: what a blocked call returns, and to whom it is reported.

mod oracle;

use oracle::*;

crate::tests![
    random_profiles_decide_as_libseccomp_does if lacks_libseccomp,
    other_architectures_decide_as_libseccomp_does if lacks_libseccomp,
];
