//! Rules between the fields of config.json (engines' canonical texts), checked before anything is made.
use oci_spec::runtime::Spec;

use crate::error::Result;
use crate::host::Host;

/// Checks them all; the first violation is the error.
pub fn check(_spec: &Spec, _host: &Host) -> Result<()> {
    Ok(())
}
