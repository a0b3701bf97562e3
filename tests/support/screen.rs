//! A terminal that a test looks at and types into: a program runs on the other end, in a session of its own.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::{read, write};

/// How long a program may take to say what is expected of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The test's end of a terminal.
pub struct Screen {
    master: OwnedFd,
    slave: OwnedFd,
    /// The terminal's settings before the program started.
    pub before: Termios,
    /// The program.
    pub child: Child,
    /// Everything it has printed so far.
    pub text: String,
}

impl Screen {
    /// Starts `command` with the terminal as its stdio and controlling terminal.
    pub fn start(command: &Command, rows: u16, columns: u16) -> Self {
        Self::start_in("exec \"$@\"", command, rows, columns)
    }

    /// As [`Screen::start`], in a shell line where `"$@"` stands for the command: `"$@" | cat`.
    pub fn start_in(line: &str, command: &Command, rows: u16, columns: u16) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("open a terminal");
        // Neither end may leak into what other tests start.
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("fcntl");
        }
        let end = || Stdio::from(pty.slave.try_clone().expect("dup"));
        let mut starter = Command::new("setsid");
        starter.args(["--ctty", "sh", "-c", line, "sh"]).arg(command.get_program()).args(command.get_args());
        starter.current_dir(command.get_current_dir().unwrap_or(".".as_ref()));
        starter.stdin(end()).stdout(end()).stderr(end());
        let before = tcgetattr(&pty.slave).expect("tcgetattr");
        let child = starter.spawn().expect("start setsid (util-linux)");
        fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("fcntl");
        Self { master: pty.master, slave: pty.slave, before, child, text: String::new() }
    }

    /// Waits until the program has printed `text`.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let start = Instant::now();
        while !self.text.contains(text) {
            assert!(start.elapsed() < PATIENCE, "waited for {text:?}; the screen shows {:?}", self.text);
            self.look(100);
        }
    }

    /// Reads what there is, waiting at most `milliseconds` for it.
    pub fn look(&mut self, milliseconds: u16) {
        poll(&mut [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)], milliseconds).expect("poll");
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = read(&self.master, &mut bytes) {
            self.text.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    }

    /// Types `bytes`, reading nothing unless the program takes no more: who cannot print must still read.
    #[track_caller]
    pub fn send(&mut self, mut bytes: &[u8]) {
        let start = Instant::now();
        while !bytes.is_empty() {
            assert!(start.elapsed() < PATIENCE, "{} bytes were not taken", bytes.len());
            match write(&self.master, bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::EAGAIN) => self.look(20),
                Err(e) => panic!("type: {e}"),
            }
        }
    }

    /// Gives the terminal another size; the program gets SIGWINCH.
    pub fn resize(&self, rows: u16, columns: u16) {
        let (rows, columns) = (rows.to_string(), columns.to_string());
        let path = self.path();
        let done = Command::new("stty").args(["-F", &path, "rows", &rows, "cols", &columns]).status().expect("run stty");
        assert!(done.success());
    }

    /// The program's end as a path.
    pub fn path(&self) -> String {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", self.slave.as_raw_fd())).expect("readlink");
        link.to_string_lossy().into_owned()
    }

    /// The terminal's settings now.
    pub fn settings(&self) -> Termios {
        tcgetattr(&self.slave).expect("tcgetattr")
    }

    /// Closes the terminal under the program, as a lost connection does.
    pub fn hang_up(self) -> Child {
        self.child
    }

    /// Waits for the program's end; its status, 128+n if signal n ended it.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        let start = Instant::now();
        loop {
            self.look(20);
            if let Some(status) = self.child.try_wait().expect("wait") {
                use std::os::unix::process::ExitStatusExt;
                self.look(0);
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            assert!(start.elapsed() < PATIENCE, "did not end; the screen shows {:?}", self.text);
        }
    }
}
