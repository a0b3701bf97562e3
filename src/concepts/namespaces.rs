//! Namespaces (namespaces(7)).
