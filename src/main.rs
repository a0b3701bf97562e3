//! Parse, run the verb, print what it returned: the only place that prints.
#![cfg_attr(not(test), no_main)]

#[cfg(not(test))]
rrun::start!(rrun::verbs::main);
