//! `(Spec, Host) → Plan`: everything is decided here, before any process exists.
pub mod rules;
