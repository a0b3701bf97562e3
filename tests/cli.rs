//! The command line: what engines send is understood, what nobody understands is refused in one breath.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::support::*;

crate::tests![
    without_a_command_it_says_which_there_are,
    version_and_features_need_nothing if needs_root,
    called_runc_it_answers_as_runc,
    wrong_words_cost_one_line_and_the_usage,
    flags_in_every_form_of_go,
    flags_may_stand_behind_the_operand,
    each_run_of_a_bundle_gets_an_id_of_its_own,
    the_state_root_is_never_the_root_of_the_host,
    each_command_has_help,
    leaked_descriptors_end_with_rrun,
    closed_stdio_is_no_danger,
    a_reader_that_left_is_no_error,
    create_takes_the_flags_of_run if needs_root,
    the_plan_shows_what_flags_change,
    a_word_that_is_a_bundle_too_is_spoken_of,
    what_is_wrong_fits_the_terminal,
    colour_is_for_terminals_unless_somebody_says_otherwise,
    format_json_is_json if needs_root,
    without_utf8_all_is_ascii if needs_root,
];

fn rrun(args: &[&str]) -> Done {
    Command::new(rrun_path()).args(args).stdin(Stdio::null()).output().expect("start rrun").into()
}

/// Wherever there is a table, `--format json` prints the document of `--json`.
fn format_json_is_json() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let path = b.path();
    let path = path.to_str().expect("UTF-8");
    b.rrun(["--audit", path, "exec", &b.id, "true"]).ok();
    for args in [
        &["plan", path][..],
        &["explain", &b.id],
        &["tree", "--users", &b.id],
        &["trace", "--for", "100ms", &b.id],
        &["--audit", path, "log"],
        &["lab", "list"],
        &["doctor"],
    ] {
        // A log is a document for each line.
        let (text, shown) = (b.rrun([args, &["--format", "json"]].concat()), b.rrun([args, &["--format", "table"]].concat()));
        let document = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
        assert!(document(&text.out) || text.out.lines().all(document), "{args:?}: {text:?}");
        assert!(!text.out.is_empty() && !document(&shown.out), "{args:?}: {shown:?}");
    }
}

/// In a locale without symbols there are none, whatever is printed.
fn without_utf8_all_is_ascii() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let path = b.path();
    let path = path.to_str().expect("UTF-8");
    for args in [
        &["explain", "-v", path][..],
        &["explain", path, "NS-USER"],
        &["explain", "--compare", path, &b.id],
        &["help", "NS-USER"],
        &["help", "oom"],
        &["help", "E-MOUNT"],
        &["help"],
        &["lab", "run", "typo", "--diff"],
        &["lab", "list"],
        &["tree"],
        &["tree", "--host"],
        &["tree", "--nested"],
        &["stats", &b.id],
        &["doctor"],
        &["plan", path],
        &["explain", "NSUSER"],
    ] {
        let done: Done = b.command(args.iter().copied()).env("LC_ALL", "C").output().expect("start rrun").into();
        assert!(done.out.is_ascii() && done.err.is_ascii(), "{args:?}: {done:?}");
    }
}

fn without_a_command_it_says_which_there_are() {
    let done = rrun(&[]);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert!(done.err.contains("a command is missing") && done.err.contains("create"), "{}", done.err);
}

fn version_and_features_need_nothing() {
    for args in [["--version"], ["-v"], ["features"]] {
        let done: Done = user::rrun_of_nobody().args(args).output().expect("start rrun").into();
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{args:?}");
        assert!(done.out.contains("1.3.0"), "{}", done.out);
    }
    let version = rrun(&["--version"]).ok();
    let lines: Vec<&str> = version.lines().collect();
    assert_eq!(lines[0], format!("rrun version {}", env!("CARGO_PKG_VERSION")));
    assert!(lines[1].starts_with("commit: ") && lines[2] == "spec: 1.3.0", "{version}");
}

fn called_runc_it_answers_as_runc() {
    let run = |args: &[&str]| -> Done {
        Command::new(rrun_path()).arg0("/usr/bin/runc").args(args).output().expect("start rrun").into()
    };
    assert!(run(&["--version"]).ok().starts_with("runc version "));
    run(&["start"]).fails_with("runc: \"start\" requires exactly 1 argument(s)");
    run(&["--root", "/nonexistent/x", "run", "--bundle", "/nonexistent", "x"]).fails_with("runc run failed: ");
    rrun(&["--root", "/nonexistent/x", "create", "--bundle", "/nonexistent", "x"]).fails_with("rrun create failed: ");
}

fn wrong_words_cost_one_line_and_the_usage() {
    for (args, error, usage) in [
        (&["start"][..], "rrun: \"start\" requires exactly 1 argument(s)\n", "usage: rrun start ID\n"),
        (&["kill", "--al", "x"], "flag provided but not defined: -al\n", "usage: rrun kill [FLAGS] ID [SIGNAL]\n"),
        (&["lst"], "unknown command \"lst\" (hint: did you mean list?)\n", "usage: rrun "),
        (&["run", "--bundle"], "flag needs an argument: --bundle\n", "usage: rrun run [FLAGS] ID|BUNDLE\n"),
    ] {
        let done = rrun(args);
        assert_eq!((done.code, done.out.as_str()), (1, ""), "{args:?}");
        let (first, second) = done.err.split_once("usage: ").expect("a usage line");
        assert_eq!(first, error);
        assert!(format!("usage: {second}").starts_with(usage), "{second}");
        assert_eq!(done.err.lines().count(), 2, "{}", done.err);
    }
}

fn flags_in_every_form_of_go() {
    let b = Bundle::new(&["true"]);
    for args in [
        &["list", "--format=json"][..],
        &["list", "-format", "json"],
        &["list", "-f=json"],
        &["list", "-quiet=false", "-f", "json"],
    ] {
        assert_eq!(b.rrun(args.iter().copied()).ok(), "null\n", "{args:?}");
    }
    assert_eq!(b.rrun(["list", "--quiet"]).ok(), "");
    let root = b.root();
    let root = root.to_str().expect("UTF-8");
    assert_eq!(rrun(&["--systemd-cgroup=false", "--debug=false", "-root", root, "list", "-f", "json"]).ok(), "null\n");
}

fn flags_may_stand_behind_the_operand() {
    let b = Bundle::new(&["true"]);
    let done = b.rrun(["delete", "x", "--forse"]);
    done.fails_with("rrun: \"delete\" requires exactly 1 argument(s) (hint: --forse is no flag of delete)");
    b.rrun(["delete", "x", "--force"]).ok();
    b.rrun(["create", "x", "--bundle", "/no/such"]).fails_with("chdir /no/such: no such file or directory");
    b.rrun(["kill", "x", "--all"]).fails_with("container does not exist");
    // What stands behind the operands of exec is the program's.
    let done = b.rrun(["exec", "x", "ls", "--tty"]);
    assert!(done.err.contains("does not exist"), "{done:?}");
    b.rrun(["start", "--", "-x"]).fails_with("container does not exist");
}

fn each_run_of_a_bundle_gets_an_id_of_its_own() {
    let b = Bundle::new(&["sleep", "100"]);
    b.write();
    let path = b.path();
    // All at once: only one of them can have the plain name.
    let run = || {
        b.command(["run", "-d", path.to_str().expect("UTF-8")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start rrun")
    };
    for mut child in [run(), run(), run()] {
        assert!(child.wait().expect("wait").success());
    }
    assert_eq!(b.rrun(["list", "-q"]).ok(), "bundle\nbundle-2\nbundle-3\n");
    for id in ["bundle", "bundle-2", "bundle-3"] {
        b.rrun(["delete", "--force", id]).ok();
    }
}

fn the_state_root_is_never_the_root_of_the_host() {
    for root in ["/", "//", "/tmp/..", "/../"] {
        rrun(&["--root", root, "list"]).fails_with("--root may not be /");
    }
}

fn each_command_has_help() {
    let all = rrun(&["--help"]).ok();
    assert!(all.starts_with("Examples:\n  rrun run "), "{all}");
    let commands: Vec<&str> = all
        .lines()
        .skip_while(|l| !l.starts_with("Runtime"))
        .take_while(|l| !l.starts_with("Global"))
        .filter_map(|l| l.strip_prefix("  "))
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let done = rrun(&[command, "--help"]);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{command}");
        assert!(command == "help" || done.out.contains(&format!("Usage: rrun {command}")), "{}", done.out);
    }
}

fn leaked_descriptors_end_with_rrun() {
    // ps is the one program that rrun starts on the host: here a script that lists what it was given.
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let tools = b.scratch("tools");
    std::fs::create_dir(&tools).expect("mkdir");
    let script = tools.join("ps");
    std::fs::write(&script, "#!/bin/sh\necho PID\nls -l /proc/self/fd >&2\nexit 1\n").expect("write");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let shell = format!(
        "exec 7</etc 9</proc; PATH={}:$PATH exec {} --root {} ps {}",
        tools.display(),
        rrun_path().display(),
        b.root().display(),
        b.id
    );
    let done: Done = Command::new("sh").args(["-c", &shell]).output().expect("start sh").into();
    done.fails_with("ps failed: ");
    assert!(!done.err.contains("/etc"), "{}", done.err);
}

fn closed_stdio_is_no_danger() {
    let b = Bundle::new(&["true"]);
    // What rrun opens must not become its stdout: the log would receive data, or the data a file.
    let log = b.scratch("log");
    let shell =
        format!("exec {} --log {} --root {} list 0<&- 1>&- 2>&-", rrun_path().display(), log.display(), b.root().display());
    let status = Command::new("sh").args(["-c", &shell]).status().expect("start sh");
    let written = std::fs::read_to_string(log).unwrap_or_default();
    assert!(!written.contains("BUNDLE"), "status {status}: {written}");
}

fn a_reader_that_left_is_no_error() {
    let b = Bundle::new(&["true"]);
    b.rrun(["list"]).ok();
    let shell = format!("{{ {} --root {} list; echo $? >&2; }} | true", rrun_path().display(), b.root().display());
    for _ in 0..5 {
        let done: Done = Command::new("sh").args(["-c", &shell]).output().expect("start sh").into();
        assert_eq!(done.err, "0\n");
    }
}

/// What a container printed that was made by `create FLAGS` and then started.
fn created_with(b: &Bundle, flags: &[&str]) -> String {
    let path = b.scratch("printed");
    let out = std::fs::File::create(&path).expect("create");
    let line = format!("exec 3</etc/hostname; cd /; exec \"$@\" --bundle {} {}", b.path().display(), b.id);
    let create = b.write().command(["create"].iter().chain(flags).copied());
    let mut command = Command::new("sh");
    command.args(["-c", &line, "sh"]).arg(create.get_program()).args(create.get_args()).stdin(Stdio::null());
    let status = command.stdout(out.try_clone().expect("dup")).stderr(out).status().expect("start sh");
    let printed = || std::fs::read_to_string(&path).expect("read");
    assert!(status.success(), "{}", printed());
    b.rrun(["start", &b.id]).ok();
    b.wait_for("stopped");
    b.rrun(["delete", &b.id]).ok();
    printed()
}

fn create_takes_the_flags_of_run() {
    let b = Bundle::new(&["sh", "-c", "cat /extra; echo x > /new; ls /proc/self/fd"]);
    let [extra, kept, pid] = ["extra", "kept", "pid"].map(|name| b.scratch(name));
    std::fs::create_dir(&extra).expect("mkdir");
    std::fs::write(extra.join("extra"), "y\n").expect("write");
    let [layer, keep, file] = [&extra, &kept, &pid].map(|p| p.to_str().expect("UTF-8"));
    let flags = ["--overlay", "--layer", layer, "--keep-layer", keep, "--pid-file", file, "--preserve-fds", "1"];
    // 4 is ls's own.
    assert_eq!(created_with(&b, &flags), "y\n0\n1\n2\n3\n4\n");
    assert!(kept.join("new").exists() && !b.rootfs().join("new").exists());
    assert!(std::fs::read_to_string(pid).expect("pid file").parse::<u32>().is_ok());

    let b = Bundle::new(&["dd", "if=/dev/zero", "of=/big", "bs=1M", "count=8"]);
    let said = created_with(&b, &["--overlay", "--overlay-size", "4M"]);
    assert!(said.contains("No space left on device") || said.contains("uota exceeded"), "{said}");

    let mut b = Bundle::new(&["true"]);
    b.config["linux"]["rootfsPropagation"] = serde_json::json!("rprivate");
    assert_eq!(created_with(&b, &[]), "");
    let refused = b.rrun(["create", "--no-pivot", &b.id]);
    refused.fails_with("rootfsPropagation of [r]private is not safe without pivot_root");
}

fn the_plan_shows_what_flags_change() {
    let b = Bundle::new(&["true"]);
    b.write();
    let plan = |flags: &[&str]| b.rrun(["plan"].iter().chain(flags).copied()).ok();
    assert!(plan(&[]).contains("pivot_root") && plan(&["--no-pivot"]).contains("chroot to it"));
    let overlay = plan(&["--overlay", "--layer", "/etc", "--overlay-size", "1G", "--keep-layer", "/kept"]);
    for said in [format!("layer {}\n", b.rootfs().display()), "layer /etc\n".into(), "1073741824 bytes".into(), "/kept".into()] {
        assert!(overlay.contains(&said) && !plan(&[]).contains(&said), "{said}: {overlay}");
    }
    assert!(plan(&[]).contains("session keyring") && !plan(&["--no-new-keyring"]).contains("session keyring"));
}

/// What a failure looks like on a terminal, or in a pipe, with these variables and flags.
fn failure_seen(line: &str, variables: &[&str], flags: &[&str]) -> String {
    let mut command = Command::new("env");
    command.args(["-u", "NO_COLOR", "-u", "CLICOLOR_FORCE", "TERM=xterm"]).args(variables).arg(rrun_path()).args(flags);
    command.args(["start", "a", "b"]);
    let mut screen = screen::Screen::start_in(line, &command, 24, 80);
    screen.end();
    screen.text
}

/// Where both can be meant it is the id, as with runc; whoever meant the other is told when it fails.
fn a_word_that_is_a_bundle_too_is_spoken_of() {
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["args"] = serde_json::json!(["/no/such"]);
    let log = b.scratch("log");
    let run = |id: &str| {
        std::fs::remove_file(&log).ok();
        b.write().rrun(["--log", log.to_str().expect("UTF-8"), "run", id]).fails_with("/no/such");
        std::fs::read_to_string(&log).expect("a log")
    };
    assert!(!run(&b.id).contains("was taken for an id"));
    std::fs::create_dir(b.path().join(&b.id)).expect("mkdir");
    std::fs::write(b.path().join(&b.id).join("config.json"), "{}").expect("write");
    let said = format!("{0} was taken for an id, as config.json is in this directory; for the bundle: rrun run ./{0}", b.id);
    assert!(run(&b.id).contains(&said));
}

fn what_is_wrong_fits_the_terminal() {
    let mut command = Command::new("env");
    command.args(["NO_COLOR=1", "TERM=xterm"]).arg(rrun_path());
    let mut screen = screen::Screen::start(&command, 24, 50);
    screen.end();
    let lines: Vec<&str> = screen.text.lines().collect();
    assert!(lines.iter().all(|line| line.trim_end().chars().count() <= 50), "{lines:?}");
    assert!(lines.contains(&"  rrun list") && lines.iter().any(|line| line.starts_with("       create ")), "{lines:?}");
}

fn colour_is_for_terminals_unless_somebody_says_otherwise() {
    let (terminal, pipe) = ("exec \"$@\"", "\"$@\" 2>&1 | cat");
    for (line, variables, flags, painted) in [
        (terminal, &[][..], &[][..], true),
        (terminal, &["NO_COLOR=1"], &[], false),
        (terminal, &["NO_COLOR="], &[], true),
        (terminal, &["TERM=dumb"], &[], false),
        (terminal, &["CLICOLOR_FORCE=1"], &["--color", "never"], false),
        (terminal, &["NO_COLOR=1"], &["--color=always"], true),
        (pipe, &[], &[], false),
    ] {
        let seen = failure_seen(line, variables, flags);
        assert!(seen.contains("\"start\" requires exactly 1 argument(s)"), "{seen}");
        assert_eq!(seen.contains("\u{1b}[31merror:"), painted, "{line} {variables:?} {flags:?}: {seen:?}");
    }
}
