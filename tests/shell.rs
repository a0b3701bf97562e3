//! A shell in a container as a person uses it: at a terminal, by `run` and by `exec`, and in a real terminal emulator.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use serde_json::json;

use crate::support::screen::Screen;
use crate::support::*;
use crate::terminal::{is_raw, kill, screen, with_terminal};

crate::tests![
    a_shell_is_a_shell_by_run_and_by_exec if needs_groups,
    exec_restores_the_terminal_whatever_signal_ends_it,
    a_detached_container_never_owns_the_callers_terminal if needs_root,
    tmux_shows_the_container if lacks_tmux,
];

fn lacks_tmux() -> Option<&'static str> {
    // `ps`, by which the test sees that a program runs, asks the groups.
    needs_groups().or_else(|| Command::new("tmux").arg("-V").output().is_err().then_some("needs tmux"))
}

/// Waits until `sleep` goes on and the terminal is its own. `fg` says its name first: an interrupt before the rest happened
/// ends `fg`, and leaves the job stopped.
fn in_foreground(bundle: &Bundle) {
    // S+, or SN+ where the tests themselves are niced.
    let stat = |line: &str| line.split_whitespace().nth(1).is_some_and(|stat| stat.starts_with('S') && stat.ends_with('+'));
    let runs = |line: &str| stat(line) && line.ends_with("sleep 1000");
    wait_until("sleep is in the foreground", || {
        bundle.rrun(["ps", &bundle.id, "-e", "-o", "pid,stat,args"]).ok().lines().any(runs)
    });
}

/// What a person does in a shell: jobs, a resized window, an interrupt, a large paste, the end.
fn use_shell(screen: &mut Screen, bundle: &Bundle) {
    screen.expect("# ");
    screen.send(b"sleep 1000\r");
    wait_until("sleep runs", || bundle.rrun(["ps", &bundle.id, "-e", "-o", "pid,args"]).ok().contains("sleep 1000"));
    screen.send(b"\x1a");
    screen.expect("Stopped");
    screen.send(b"fg\r");
    screen.expect("fg\r\nsleep 1000");
    in_foreground(bundle);
    screen.send(b"\x03");
    screen.send(b"echo st''atus=$?\r");
    screen.expect("status=130");
    screen.resize(33, 99);
    // The new size travels by a signal that nobody answers.
    screen.send(b"while [ \"$(stty size)\" != '33 99' ]; do :; done; echo res''ized\r");
    screen.expect("resized");
    screen.send(b"stty -echo; echo pa''ste; cat > /pasted; stty echo; echo ta''ken\r");
    screen.expect("paste\r\n");
    let paste: String = (0..2000).map(|i| format!("{i:049}\r")).collect();
    assert_eq!(paste.len(), 100_000);
    screen.send(paste.as_bytes());
    screen.text.clear();
    screen.send(b"\x04");
    screen.expect("taken\r\n");
    // What is typed before the prompt may be lost: the shell changes the terminal's settings then.
    screen.expect("# ");
    assert!(std::fs::read_to_string(bundle.rootfs().join("pasted")).expect("read") == paste.replace('\r', "\n"));
    screen.send(b"exit 6\r");
    assert_eq!(screen.end(), 6);
    assert_eq!(screen.settings(), screen.before);
}

fn a_shell_is_a_shell_by_run_and_by_exec() {
    let mut bundle = Bundle::new(&["sh"]);
    bundle.config["process"]["terminal"] = json!(true);
    use_shell(&mut screen(&bundle), &bundle);
    let bundle = Bundle::new(&["sleep", "500"]);
    bundle.run_detached();
    use_shell(&mut Screen::start(&bundle.command(["exec", "--tty", &bundle.id, "sh"]), 24, 80), &bundle);
}

fn exec_restores_the_terminal_whatever_signal_ends_it() {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.run_detached();
    for (signal, number) in [("TERM", 15), ("HUP", 1), ("QUIT", 3), ("USR1", 10)] {
        let exec = bundle.command(["exec", "--tty", &bundle.id, "sh", "-c", "echo ready; exec sleep 100"]);
        let mut screen = Screen::start(&exec, 24, 80);
        screen.expect("ready");
        assert!(is_raw(&screen));
        kill(signal, screen.child.id());
        assert_eq!(screen.end(), 128 + number, "{signal}");
        assert_eq!(screen.settings(), screen.before, "{signal}");
    }
}

/// Detached, what the caller has as stdio is passed on as it is, a terminal too: the caller asked for that. But it stays the
/// caller's, and controls no session inside.
fn a_detached_container_never_owns_the_callers_terminal() {
    let mut bundle = Bundle::new(&["sh", "-c", "tty; echo > /dev/tty; echo seen > /proc/self/fd/1; echo end"]);
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let run = bundle.write().command(["run", "--detach", &bundle.id]);
    let mut screen = Screen::start_in("\"$@\"; read x", &run, 24, 80);
    screen.expect("end");
    assert!(screen.text.contains("can't create /dev/tty: No such device or address"), "{}", screen.text);
    assert!(screen.text.contains("can't create /proc/self/fd/1: Permission denied"), "{}", screen.text);
    assert_eq!(std::fs::metadata(screen.path()).expect("stat").uid(), 0);
    assert_eq!(screen.settings(), screen.before);
    screen.send(b"\n");
    screen.end();
}

fn tmux_shows_the_container() {
    let bundle = with_terminal("sh");
    let run = bundle.write().command(["run", &bundle.id]);
    let words: Vec<String> = run.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let line = format!("{} {}; echo status=$?; stty -a; cat", run.get_program().display(), words.join(" "));
    let tmux = |args: &[&str]| {
        let done =
            Command::new("tmux").args(["-f", "/dev/null", "-L", &bundle.id]).args(args).current_dir(bundle.path()).output();
        String::from_utf8_lossy(&done.expect("run tmux").stdout).into_owned()
    };
    let shows = |text: &str| {
        for _ in 0..400 {
            if tmux(&["capture-pane", "-p"]).contains(text) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("waited for {text:?}; tmux shows {:?}", tmux(&["capture-pane", "-p"]));
    };
    let _server = Tmux(&tmux);
    tmux(&["new-session", "-d", "-x", "90", "-y", "30", &line]);
    tmux(&["send-keys", "echo he''llo; stty size; tty", "Enter"]);
    shows("hello\n30 90\n/dev/pts/0\n");
    tmux(&["resize-window", "-x", "70", "-y", "20"]);
    tmux(&["send-keys", "clear; stty size", "Enter"]);
    shows("20 70\n");
    tmux(&["send-keys", "clear; sleep 1000", "Enter"]);
    wait_until("sleep runs", || bundle.rrun(["ps", &bundle.id, "-e", "-o", "pid,args"]).ok().contains("sleep 1000"));
    tmux(&["send-keys", "C-z", ""]);
    shows("Stopped");
    tmux(&["send-keys", "clear; fg", "Enter"]);
    shows("sleep 1000");
    in_foreground(&bundle);
    tmux(&["send-keys", "C-c", ""]);
    tmux(&["send-keys", "echo st''opped=$?; stty -echo; cat > /pasted; stty echo; echo ta''ken", "Enter"]);
    shows("stopped=130");
    let paste: String = (0..2000).map(|i| format!("{i:049}\n")).collect();
    std::fs::write(bundle.scratch("paste"), &paste).expect("write");
    tmux(&["load-buffer", bundle.scratch("paste").to_str().expect("UTF-8")]);
    tmux(&["paste-buffer"]);
    tmux(&["send-keys", "C-d", ""]);
    shows("taken");
    assert!(std::fs::read_to_string(bundle.rootfs().join("pasted")).expect("read") == paste);
    tmux(&["send-keys", "exit 6", "Enter"]);
    shows("status=6");
    shows("isig icanon");
}

/// A tmux server that ends with the test, however that ends.
struct Tmux<'a>(&'a dyn Fn(&[&str]) -> String);

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        (self.0)(&["kill-server"]);
    }
}
