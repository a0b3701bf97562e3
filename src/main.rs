//! Parse, run the verb, print what it returned: the only place that prints.

use std::process::ExitCode;

fn main() -> ExitCode {
    rrun::verbs::main()
}
