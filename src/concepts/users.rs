//! User namespaces and id maps (user_namespaces(7)).
