//! Readiness: what a service in the container says reaches the host's service manager, and nothing else does.

use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use serde_json::json;

use crate::support::*;

crate::tests![
    start_returns_when_the_container_is_ready,
    start_returns_when_the_container_ends,
    a_detached_run_waits_as_well,
    in_the_foreground_rrun_stays_the_main_process,
    the_socket_in_the_container_is_read_only_and_open_to_all,
    without_a_manager_there_is_no_socket,
    a_manager_that_is_gone_is_an_error,
];

/// A service manager's socket.
struct Supervisor {
    socket: UnixDatagram,
    path: String,
}

impl Supervisor {
    fn new(bundle: &Bundle) -> Self {
        let path = bundle.scratch("manager");
        let socket = UnixDatagram::bind(&path).expect("bind");
        Self { socket, path: path.to_string_lossy().into_owned() }
    }

    /// The next message. A descriptor that comes with it is closed, which says that the message was read.
    fn hear(&self) -> String {
        let mut polled = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut polled, 20_000_u16), Ok(1), "nothing was said");
        let (bytes, _) = rrun::sys::fd::receive(self.socket.as_fd()).expect("receive");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A command that knows the manager, with nothing of the test's stdio.
fn command(bundle: &Bundle, manager: &Supervisor, args: &[&str]) -> Command {
    let mut command = bundle.command(args.iter().copied().chain([bundle.id.as_str()]));
    command.env("NOTIFY_SOCKET", &manager.path).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Says `text` as the container would, over the very socket that it has.
fn say(bundle: &Bundle, text: &str) {
    let path = bundle.root().join(&bundle.id).join("notify/notify.sock");
    let container = UnixDatagram::unbound().expect("socket");
    for _ in 0..1000 {
        if container.connect(&path).is_ok() {
            container.send(text.as_bytes()).expect("send");
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nobody listens at {}", path.display());
}

#[track_caller]
fn is_waiting(child: &mut Child) {
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().expect("wait").is_none(), "it did not wait");
}

fn start_returns_when_the_container_is_ready() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let manager = Supervisor::new(&bundle);
    bundle.write();
    assert!(command(&bundle, &manager, &["create"]).status().expect("run").success());
    let mut start = command(&bundle, &manager, &["start"]).spawn().expect("run");
    say(&bundle, "STATUS=loading\nMAINPID=1");
    is_waiting(&mut start);
    say(&bundle, "READY=1\nSTOPPING=1");
    assert_eq!(manager.hear(), format!("MAINPID={}\nREADY=1\n", bundle.state()["pid"]));
    // rrun ends only after its message was read: the manager looks up the sender.
    is_waiting(&mut start);
    assert_eq!(manager.hear(), "BARRIER=1");
    assert!(start.wait().expect("wait").success());
}

fn start_returns_when_the_container_ends() {
    let bundle = Bundle::new(&["true"]);
    let manager = Supervisor::new(&bundle);
    bundle.write();
    assert!(command(&bundle, &manager, &["create"]).status().expect("run").success());
    assert!(command(&bundle, &manager, &["start"]).status().expect("run").success());
}

fn a_detached_run_waits_as_well() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let manager = Supervisor::new(&bundle);
    bundle.write();
    let mut run = command(&bundle, &manager, &["run", "--detach"]).spawn().expect("run");
    say(&bundle, "STATUS=loading");
    is_waiting(&mut run);
    say(&bundle, "READY=1");
    assert_eq!(manager.hear(), format!("MAINPID={}\nREADY=1\n", bundle.state()["pid"]));
    assert_eq!(manager.hear(), "BARRIER=1");
    assert!(run.wait().expect("wait").success());
}

fn in_the_foreground_rrun_stays_the_main_process() {
    let bundle = Bundle::new(&["sh", "-c", "while [ ! -e /end ]; do sleep 0.05; done; exit 3"]);
    let manager = Supervisor::new(&bundle);
    bundle.write();
    let mut run = command(&bundle, &manager, &["run"]).spawn().expect("run");
    say(&bundle, "READY=1");
    assert_eq!(manager.hear(), "READY=1\n");
    std::fs::write(bundle.rootfs().join("end"), "").expect("write");
    assert_eq!(run.wait().expect("wait").code(), Some(3));
    bundle.assert_no_trace();
}

fn the_socket_in_the_container_is_read_only_and_open_to_all() {
    let script = "echo $NOTIFY_SOCKET; stat -c '%F %a' $NOTIFY_SOCKET; touch /run/notify/x; rm $NOTIFY_SOCKET; ls /run/notify";
    let mut bundle = Bundle::new(&["sh", "-c", script]);
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    bundle.config["process"]["env"].as_array_mut().expect("env").push(json!("NOTIFY_SOCKET=/of/the/image"));
    let manager = Supervisor::new(&bundle);
    let out = command(bundle.write(), &manager, &["run"]).stdout(Stdio::piped()).output().expect("run");
    let out = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(out, "/run/notify/notify.sock\nsocket 777\nnotify.sock\n");
    let read_only = Bundle::new(&["sh", "-c", "touch /run/notify/x"]);
    let manager = Supervisor::new(&read_only);
    let done: Done = command(read_only.write(), &manager, &["run"]).stderr(Stdio::piped()).output().expect("run").into();
    assert!(done.err.contains("Read-only file system"), "{done:?}");
}

fn without_a_manager_there_is_no_socket() {
    let bundle = Bundle::new(&["sh", "-c", "echo \"<$NOTIFY_SOCKET>\"; ls /run/notify"]);
    let mut run = bundle.write().command(["run", &bundle.id]);
    // vsock and relative addresses are no sockets of this host.
    for value in ["", "relative", "vsock:2:1234"] {
        let done: Done = run.env("NOTIFY_SOCKET", value).output().expect("run").into();
        assert_eq!(done.out, "<>\n", "{value}");
        assert!(done.err.contains("No such file"), "{done:?}");
    }
}

fn a_manager_that_is_gone_is_an_error() {
    let bundle = Bundle::new(&["true"]);
    let done: Done = bundle.write().command(["run", &bundle.id]).env("NOTIFY_SOCKET", "/no/such").output().expect("run").into();
    done.fails_with("connect NOTIFY_SOCKET /no/such: no such file or directory");
    bundle.assert_no_trace();
}
