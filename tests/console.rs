//! Terminals of detached containers: handed to an engine over its console socket.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use serde_json::json;

use crate::support::*;
use crate::terminal::with_terminal;

crate::tests![
    the_master_goes_to_the_console_socket,
    a_console_socket_may_have_a_long_path,
    a_terminal_and_a_console_socket_need_each_other,
];

/// Accepts one connection and returns the data and the descriptor that came with it.
pub fn receive(listener: &UnixListener) -> (String, OwnedFd) {
    let (stream, _) = listener.accept().expect("accept");
    let (bytes, descriptor) = rrun::sys::fd::receive(stream.as_fd()).expect("receive");
    (String::from_utf8_lossy(&bytes).into_owned(), descriptor.expect("a descriptor"))
}

/// `run --detach` with this console socket; the name and the text that come over it.
fn detached(bundle: &Bundle, socket: &std::path::Path) -> (String, String) {
    sent(bundle, &["run", "--detach"], socket)
}

fn sent(bundle: &Bundle, verb: &[&str], socket: &std::path::Path) -> (String, String) {
    let listener = {
        // The test's own address may be too long as well: bind where it is short.
        let short = std::env::temp_dir().join(format!("rrun-console-{}", bundle.id));
        let listener = UnixListener::bind(&short).expect("bind");
        std::fs::rename(&short, socket).expect("rename");
        listener
    };
    let socket = socket.to_str().expect("UTF-8");
    let mut command = bundle.write().command(verb.iter().copied().chain(["--console-socket", socket, &bundle.id]));
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun");
    assert!(status.success());
    let (name, master) = receive(&listener);
    if verb == ["create"] {
        bundle.rrun(["start", &bundle.id]).ok();
    }
    (name, all_of(master))
}

/// What a terminal shows until its last process has ended.
pub fn all_of(master: OwnedFd) -> String {
    let mut text = vec![];
    // EIO: the process has ended.
    std::fs::File::from(master).read_to_end(&mut text).expect_err("a terminal has no end of file");
    String::from_utf8_lossy(&text).into_owned()
}

fn the_master_goes_to_the_console_socket() {
    let mut bundle = with_terminal("tty; stty size");
    bundle.config["process"]["consoleSize"] = json!({"height": 12, "width": 34});
    let got = detached(&bundle, &bundle.scratch("console"));
    assert_eq!(got, ("/dev/ptmx".to_owned(), "/dev/pts/0\r\n12 34\r\n".to_owned()));
    bundle.rrun(["delete", "--force", &bundle.id]).ok();
    assert_eq!(sent(&bundle, &["create"], &bundle.scratch("of-create")), got);
}

fn a_console_socket_may_have_a_long_path() {
    let bundle = with_terminal("tty");
    let dir = bundle.scratch(&"d".repeat(200));
    std::fs::create_dir(&dir).expect("mkdir");
    assert_eq!(detached(&bundle, &dir.join("s".repeat(200))).1, "/dev/pts/0\r\n");
}

fn a_terminal_and_a_console_socket_need_each_other() {
    let mut bundle = with_terminal("true");
    for verb in [["run", "--detach"].as_slice(), &["create"]] {
        let args: Vec<&str> = verb.iter().copied().chain([bundle.id.as_str()]).collect();
        bundle.write().rrun(args).fails_with("cannot allocate tty if rrun will detach without setting console socket");
    }
    bundle.run_with(&["--console-socket", "/x"]).fails_with("cannot use console socket if rrun will not detach or allocate tty");
    bundle.config["process"]["terminal"] = json!(false);
    let done = bundle.run_with(&["--detach", "--console-socket", "/x"]);
    done.fails_with("cannot use console socket if rrun will not detach or allocate tty");
    bundle.config["process"]["terminal"] = json!(true);
    bundle.run_with(&["--detach", "--console-socket", "/no/such/socket"]).fails_with("console socket: connect /no/such/socket");
    bundle.assert_no_trace();
}
