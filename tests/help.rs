//! `rrun help TOPIC`: each word that rrun's output may end with can be looked up.

use std::process::{Command, Stdio};

use crate::support::*;

crate::tests![a_code_has_a_page, a_config_key_has_a_page, a_misspelt_topic_is_suggested, pages_fit_the_terminal];

fn help(topic: &str) -> Done {
    Command::new(rrun_path()).args(["help", topic]).stdin(Stdio::null()).output().expect("start rrun").into()
}

fn a_code_has_a_page() {
    let page = help("E-INTERP").ok();
    for part in ["E-INTERP  a script whose interpreter is absent", "  cause  ", "  fix    ", "  example", "#!/bin/sh", "see    "]
    {
        assert!(page.contains(part), "{page}");
    }
    assert_eq!(help("e-interp").ok(), page);
}

fn a_config_key_has_a_page() {
    assert!(help("process.noNewPrivileges").ok().contains("no execve gives more rights"));
    assert!(help("mounts[3].source").ok().contains("path of the host"));
}

fn a_misspelt_topic_is_suggested() {
    for (topic, hint) in [("E-INTREP", "did you mean E-INTERP?"), ("creat", "did you mean create?"), ("xyzzy", "name a command")]
    {
        let done = help(topic);
        assert!(done.err.contains(&format!("no help on \"{topic}\" (hint: {hint}")), "{done:?}");
        assert_eq!((done.code, done.out.as_str()), (2, ""));
    }
}

fn pages_fit_the_terminal() {
    let mut command = Command::new("env");
    command.args(["-u", "NO_COLOR", "TERM=xterm", "LC_ALL=C.UTF-8"]).arg(rrun_path()).args(["help", "E-INTERP"]);
    let mut seen = screen::Screen::start(&command, 24, 50);
    assert_eq!(seen.end(), 0);
    let text = seen.text.replace("\u{1b}[0m", "").replace("\u{1b}[1m", "").replace("\u{1b}[2m", "");
    let wide: Vec<&str> =
        text.lines().take_while(|l| !l.contains("example")).skip(1).filter(|l| l.trim_end().len() > 50).collect();
    assert!(seen.text.contains('\u{1b}') && wide.is_empty(), "{wide:?}");
}
