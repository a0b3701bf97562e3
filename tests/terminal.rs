//! Terminals: the container's own, relayed in the foreground or handed to an engine.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use nix::sys::termios::{InputFlags, LocalFlags, OutputFlags};
use serde_json::json;

use crate::support::screen::Screen;
use crate::support::*;

crate::tests![
    the_terminal_is_the_containers_own,
    the_process_owns_its_terminal_and_nothing_of_the_host,
    the_size_is_the_callers_unless_the_config_gives_one,
    a_resize_is_passed_on,
    the_callers_terminal_is_raw_while_it_runs_and_restored_after,
    it_is_restored_when_the_start_fails,
    it_is_given_back_while_rrun_is_stopped,
    ctrl_c_is_the_containers,
    ctrl_c_arrives_although_nobody_reads_the_output,
    a_large_paste_does_not_stop_the_relay,
    a_file_on_stdin_ends_as_ctrl_d_does,
    output_is_complete_and_plain_when_it_goes_elsewhere,
    a_terminal_closed_and_opened_again_goes_on,
    a_reader_that_leaves_hangs_the_terminal_up,
    a_lost_connection_hangs_the_terminal_up,
    a_false_devpts_is_refused,
    exec_makes_a_terminal_in_the_container,
    a_terminal_of_the_host_does_not_reach_a_container_without_one,
    ctrl_d_ends_the_input_of_a_container_without_terminal,
    the_second_ctrl_c_names_the_command_that_kills,
    the_second_ctrl_c_of_exec_names_the_process,
];

/// A bundle with a terminal that runs a line of sh.
pub fn with_terminal(script: &str) -> Bundle {
    let mut bundle = Bundle::new(&["sh", "-c", script]);
    bundle.config["process"]["terminal"] = json!(true);
    bundle
}

/// `run` of the bundle on a screen of 24 lines and 80 columns.
pub fn screen(bundle: &Bundle) -> Screen {
    screen_in("exec \"$@\"", bundle)
}

fn screen_in(line: &str, bundle: &Bundle) -> Screen {
    Screen::start_in(line, &bundle.write().command(["run", &bundle.id]), 24, 80)
}

fn the_terminal_is_the_containers_own() {
    let bundle = with_terminal("tty; for n in 0 1 2; do readlink /proc/self/fd/$n; done; echo on-tty > /dev/tty");
    let mut screen = screen(&bundle);
    assert_eq!(screen.end(), 0, "{}", screen.text);
    // The first of its own devpts; the last line shows that it controls the session.
    assert_eq!(screen.text, "/dev/pts/0\r\n".repeat(4) + "on-tty\r\n");
}

fn the_process_owns_its_terminal_and_nothing_of_the_host() {
    let owner = |path: &str| std::fs::metadata(path).map(|m| (m.uid(), m.gid())).expect("stat");
    let before = owner("/dev/null");
    for mapped in [false, true] {
        let mut bundle = with_terminal("stat -c %u /dev/pts/0; echo > /dev/stderr && echo opened");
        bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        if mapped {
            map_ids(&mut bundle.config, 100_000, 65_536);
        }
        let mut screen = screen(&bundle);
        assert_eq!(screen.end(), 0, "{}", screen.text);
        assert_eq!(screen.text, "1000\r\n\r\nopened\r\n", "mapped: {mapped}");
        assert_eq!(owner("/dev/null"), before);
        assert_eq!(owner(&screen.path()).0, nix::unistd::geteuid().as_raw(), "the caller's terminal is still the caller's");
    }
}

fn the_size_is_the_callers_unless_the_config_gives_one() {
    let mut bundle = with_terminal("stty size; sleep 0.2; stty size");
    let mut screen = self::screen(&bundle);
    assert_eq!(screen.end(), 0);
    assert_eq!(screen.text, "24 80\r\n24 80\r\n");
    bundle.config["process"]["consoleSize"] = json!({"height": 11, "width": 222});
    let mut screen = self::screen(&bundle);
    assert_eq!(screen.end(), 0);
    assert_eq!(screen.text, "11 222\r\n11 222\r\n");
}

fn a_resize_is_passed_on() {
    let bundle = with_terminal("trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.1; done");
    let mut screen = screen(&bundle);
    screen.expect("ready");
    screen.resize(33, 99);
    screen.expect("33 99");
    assert_eq!(screen.end(), 0);
}

/// What makes a terminal raw: no lines, no echo, no signals, nothing rewritten.
pub fn is_raw(screen: &Screen) -> bool {
    let settings = screen.settings();
    !settings.local_flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
        && !settings.input_flags.intersects(InputFlags::ICRNL | InputFlags::IXON)
        && !settings.output_flags.contains(OutputFlags::OPOST)
}

fn the_callers_terminal_is_raw_while_it_runs_and_restored_after() {
    for (script, signal) in
        [("echo ready; read x; exit 3", None), ("trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done", Some("TERM"))]
    {
        let bundle = with_terminal(script);
        let mut screen = screen(&bundle);
        screen.expect("ready");
        assert!(is_raw(&screen));
        match signal {
            Some(signal) => kill(signal, screen.child.id()),
            None => screen.send(b"\r"),
        }
        assert_eq!(screen.end(), 3);
        assert_eq!(screen.settings(), screen.before);
    }
}

fn it_is_restored_when_the_start_fails() {
    let mut bundle = with_terminal("");
    bundle.config["process"]["args"] = json!(["/no/such/program"]);
    let mut screen = screen(&bundle);
    assert_eq!(screen.end(), 1);
    let words: Vec<&str> = screen.text.split_whitespace().collect();
    assert!(words.join(" ").contains("no such file or directory"), "{}", screen.text);
    assert_eq!(screen.settings(), screen.before);
}

/// Sends a signal.
pub fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args(["-s", signal, &pid.to_string()]).status().expect("run kill").success());
}

fn it_is_given_back_while_rrun_is_stopped() {
    // An interactive shell makes rrun a job that may be stopped and continued.
    let bundle = with_terminal("echo ready; read x; echo got $x");
    let mut command = Command::new("sh");
    let run = bundle.write().command(["run", &bundle.id]);
    let words: Vec<String> = run.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let line = format!(
        "set -m; {} {} & echo job=$!; fg; echo st''opped; read y; fg; echo status=$?",
        run.get_program().display(),
        words.join(" ")
    );
    command.args(["-c", &line]).current_dir(bundle.path());
    let mut screen = Screen::start(&command, 24, 80);
    screen.expect("ready");
    screen.expect("job=");
    while !is_raw(&screen) {
        screen.look(20);
    }
    let pid = screen.text.split("job=").nth(1).and_then(|t| t.split_whitespace().next()).expect("a pid").parse().expect("a pid");
    kill("TSTP", pid);
    screen.expect("stopped");
    assert_eq!(screen.settings().local_flags, screen.before.local_flags);
    screen.send(b"\n");
    while !is_raw(&screen) {
        screen.look(20);
    }
    screen.send(b"word\r");
    screen.expect("got word");
    screen.expect("status=0");
    assert_eq!(screen.end(), 0);
}

fn ctrl_c_is_the_containers() {
    let bundle = with_terminal("trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done");
    let mut screen = screen(&bundle);
    screen.expect("ready");
    screen.send(b"\x03");
    assert_eq!(screen.end(), 9);
    assert!(screen.text.contains("caught"));
}

fn ctrl_c_arrives_although_nobody_reads_the_output() {
    let bundle =
        with_terminal("trap 'echo > /caught; exit 7' INT; echo > /ready; while :; do echo \"$0 and more and more\"; done");
    let mut screen = screen(&bundle);
    let is_there = |name: &str| {
        (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            bundle.rootfs().join(name).exists()
        })
    };
    assert!(is_there("ready"));
    // Long enough for every buffer on the way to fill.
    std::thread::sleep(std::time::Duration::from_millis(500));
    screen.send(b"\x03");
    assert!(is_there("caught"), "rrun was stuck in a write");
    assert_eq!(screen.end(), 7);
}

fn a_large_paste_does_not_stop_the_relay() {
    // Nothing is read while typing goes on, so that both directions fill up.
    let bundle = with_terminal("stty -echo; echo ready; cat");
    let mut screen = screen(&bundle);
    screen.expect("ready\r\n");
    let paste: String = (0..4000).map(|i| format!("{i:049}\r")).collect();
    assert_eq!(paste.len(), 200_000);
    screen.text.clear();
    screen.send(paste.as_bytes());
    screen.send(b"\x04");
    assert_eq!(screen.end(), 0);
    assert!(screen.text == paste.replace('\r', "\r\n"), "{} bytes came back", screen.text.len());
}

fn a_file_on_stdin_ends_as_ctrl_d_does() {
    for input in ["", "a\nb\n", "a\nb"] {
        let bundle = with_terminal("stty -echo; cat; echo ' end'");
        let mut command = bundle.write().command(["run", &bundle.id]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start rrun");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("write");
        let done = child.wait_with_output().expect("wait");
        let out = String::from_utf8_lossy(&done.stdout);
        // What came before echo was off stands first.
        assert!(done.status.success() && out.ends_with(&format!("{input} end\n")), "{input:?}: {out:?}");
    }
}

fn output_is_complete_and_plain_when_it_goes_elsewhere() {
    let bundle = with_terminal("seq 1 20000; exit 4");
    let expected: String = (1..=20000).map(|i| format!("{i}\n")).collect();
    for _ in 0..3 {
        let done = bundle.run();
        assert_eq!(done.code, 4);
        assert!(done.out == expected, "{} of {} bytes", done.out.len(), expected.len());
    }
}

fn a_terminal_closed_and_opened_again_goes_on() {
    let bundle = with_terminal(
        "exec 3>&1 < /dev/null > /dev/null 2>&1 3>&-; sleep 0.3; echo again > /dev/pts/0; read x < /dev/pts/0; echo $x > /dev/pts/0",
    );
    let mut screen = screen(&bundle);
    screen.expect("again\r\n");
    screen.send(b"typed\r");
    assert_eq!(screen.end(), 0);
    assert_eq!(screen.text, "again\r\ntyped\r\ntyped\r\n");
}

fn a_reader_that_leaves_hangs_the_terminal_up() {
    let bundle = with_terminal("trap 'exit 5' HUP; while echo line; do sleep 0.01; done; exit 6");
    let mut screen = screen_in("{ \"$@\"; echo status=$? >&2; } | head -n 1", &bundle);
    screen.expect("status=");
    assert!(screen.text.contains("status=5") || screen.text.contains("status=6"), "{}", screen.text);
    assert_eq!(screen.end(), 0);
}

fn a_lost_connection_hangs_the_terminal_up() {
    // Init of a PID namespace ignores SIGHUP itself; what ends it is that its terminal is gone.
    let bundle = with_terminal("echo ready; while read x; do :; done; sleep 0.1");
    let mut screen = screen(&bundle);
    screen.expect("ready");
    assert!(screen.hang_up().wait().expect("wait").success());
    bundle.assert_no_trace();
}

fn a_false_devpts_is_refused() {
    let mut bundle = with_terminal("true");
    let is_pts = |mount: &serde_json::Value| mount["destination"] == "/dev/pts" || mount["destination"] == "/dev";
    bundle.config["mounts"].as_array_mut().expect("mounts").retain(|mount| !is_pts(mount));
    // Opening this would wait for a writer, or worse.
    std::fs::create_dir(bundle.rootfs().join("dev/pts")).expect("mkdir");
    nix::unistd::mkfifo(&bundle.rootfs().join("dev/pts/ptmx"), nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    bundle.run().fails_with("/dev/pts is not that of a devpts file system");
}

fn exec_makes_a_terminal_in_the_container() {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.run_detached();
    let script = "tty; stty size; stat -c %u $(tty); trap 'exit 6' INT; echo ready; while :; do sleep 0.1; done";
    let exec = bundle.command(["exec", "--tty", "--user", "1000:1000", &bundle.id, "sh", "-c", script]);
    let mut screen = Screen::start(&exec, 24, 80);
    screen.expect("ready");
    assert!(screen.text.starts_with("/dev/pts/0\r\n24 80\r\n1000\r\n"), "{}", screen.text);
    assert!(is_raw(&screen));
    screen.send(b"\x03");
    assert_eq!(screen.end(), 6);
    assert_eq!(screen.settings(), screen.before);
    let done = bundle.rrun(["exec", "--tty", "--detach", &bundle.id, "true"]);
    assert_eq!(done.code, 255);
    assert!(done.err.contains("cannot allocate tty if rrun will detach without setting console socket"), "{}", done.err);
}

fn a_terminal_of_the_host_does_not_reach_a_container_without_one() {
    let script = "for n in 0 1 2; do readlink /proc/self/fd/$n; done; cat < /dev/tty; cat; echo err >&2; echo out";
    let bundle = Bundle::new(&["sh", "-c", script]);
    let mut screen = screen(&bundle);
    screen.expect("pipe:");
    assert_eq!(screen.settings(), screen.before, "without a terminal of its own the caller's stays as it is");
    screen.send(b"typed\n\x04");
    assert_eq!(screen.end(), 0);
    assert_eq!(screen.text.matches("pipe:[").count(), 3, "{}", screen.text);
    assert!(!screen.text.contains("pts"), "{}", screen.text);
    assert!(screen.text.contains("No such device"), "there is no controlling terminal: {}", screen.text);
    assert!(screen.text.ends_with("typed\r\nerr\r\nout\r\n"), "one after the other: {}", screen.text);
}

fn ctrl_d_ends_the_input_of_a_container_without_terminal() {
    let bundle = Bundle::new(&["sh", "-c", "cat; echo end"]);
    let mut screen = screen(&bundle);
    screen.send(b"\x04");
    assert_eq!(screen.end(), 0);
    assert!(screen.text.ends_with("end\r\n"), "{}", screen.text);
}

fn the_second_ctrl_c_names_the_command_that_kills() {
    let bundle = Bundle::new(&["sh", "-c", "trap 'echo caught' INT; echo ready; while :; do sleep 0.1; done"]);
    let mut screen = screen(&bundle);
    let advice = format!(" kill {} KILL", bundle.id);
    screen.expect("ready");
    screen.send(b"\x03");
    screen.expect("caught");
    assert!(!screen.text.contains(&advice));
    screen.send(b"\x03");
    screen.expect(&advice);
    bundle.rrun(["kill", &bundle.id, "KILL"]).ok();
    assert_eq!(screen.end(), 137);
}

fn the_second_ctrl_c_of_exec_names_the_process() {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.run_detached();
    let script = "trap 'echo caught' INT; echo ready; while :; do sleep 0.1; done";
    let mut screen = Screen::start(&bundle.command(["exec", &bundle.id, "sh", "-c", script]), 24, 80);
    screen.expect("ready");
    screen.send(b"\x03");
    screen.expect("caught");
    assert!(!screen.text.contains("kill -KILL"));
    screen.send(b"\x03");
    screen.expect("to end it by force: kill -KILL ");
    screen.expect("\n");
    let line = screen.text.lines().find_map(|line| line.trim_end().rsplit_once("kill -KILL ")).expect("advice").1.to_owned();
    let done = Command::new("sh").args(["-c", &format!("kill -KILL {line}")]).status().expect("run sh");
    assert!(done.success(), "{line}");
    assert_eq!(screen.end(), 137);
    assert_eq!(bundle.state()["status"], "running", "the container goes on");
}
