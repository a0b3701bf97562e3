//! stdin, stdout, stderr: a terminal of the container's own, pipes, or what the caller gave (pty(7), unix(7)).
//!
//! A process that holds a terminal of the host can type into it (`TIOCSTI`, CVE-2017-5226), and one that is told a path for
//! its terminal can have it lead elsewhere (`/dev/console` bound over `/dev/pts/N`, CVE-2025-52565). So the terminal is new,
//! comes from the container's own devpts by handle alone, and controls a session of its own; a terminal of the host never
//! crosses while rrun stays to relay. What the caller opened for us by number (`LISTEN_FDS`, `--preserve-fds`) is told apart
//! from what rrun opened itself by the one mark rrun's descriptors always carry: close-on-exec (CVE-2024-21626).

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::socket::SockType;
use nix::sys::stat::{fstat, major, makedev};
use nix::sys::statfs::fstatfs;
use nix::sys::termios::{OutputFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::{Uid, fchown, pipe2};
use oci_spec::runtime::Process;

use crate::error::{At, Error, Result};
use crate::sys::{fd, resolve, socket, tty};

/// `f_type` of devpts and of anonymous pipes (statfs(2)).
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;
const PIPEFS_MAGIC: i64 = 0x5049_5045;

/// The major number of the terminals below /dev/pts (pts(4)).
const UNIX98_SLAVE_MAJOR: u64 = 136;

/// How the process gets its stdio.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StdioPlan {
    /// process.terminal.
    pub terminal: bool,
    /// Rows and columns, if the config gives them.
    pub size: Option<(u16, u16)>,
    /// Where the terminal's master goes when rrun detaches.
    pub console_socket: Option<PathBuf>,
    /// Whether rrun stays in the foreground and relays.
    pub foreground: bool,
    /// `--preserve-fds`.
    pub preserve_fds: u32,
    /// Descriptors passed by `LISTEN_FDS`.
    pub listen_fds: u32,
    /// process.user.uid: it gets the terminal and the pipes made for it, so that it can open `/dev/stderr`.
    pub uid: u32,
    /// The same user as the host sees it, where a user namespace translates; set by who plans the user namespace. Needed
    /// only to give away pipes that root of the host made, which no one inside could.
    pub host_uid: Option<u32>,
}

/// Decides it; `name` is rrun's own name in the canonical texts, `listen_fds` what [`listen_fds`] found.
pub fn plan(
    process: &Process,
    name: &str,
    foreground: bool,
    console_socket: Option<PathBuf>,
    preserve_fds: u32,
    listen_fds: u32,
) -> Result<StdioPlan> {
    let terminal = process.terminal().unwrap_or(false);
    if terminal && !foreground && console_socket.is_none() {
        let text = format!("cannot allocate tty if {name} will detach without setting console socket");
        return Err(Error::new(text)
            .code("E-TTY")
            .config("process.terminal")
            .hint("name a socket with --console-socket PATH, or set terminal to false"));
    }
    if console_socket.is_some() && (foreground || !terminal) {
        let text = format!("cannot use console socket if {name} will not detach or allocate tty");
        return Err(Error::new(text)
            .code("E-TTY")
            .config("process.terminal")
            .hint("drop --console-socket, or set terminal to true and detach"));
    }
    let size = match process.console_size() {
        Some(size) if terminal => Some((cells(size.height(), "height")?, cells(size.width(), "width")?)),
        _ => None,
    };
    let uid = process.user().uid();
    Ok(StdioPlan { terminal, size, console_socket, foreground, preserve_fds, listen_fds, uid, host_uid: None })
}

fn cells(number: u64, side: &str) -> Result<u16> {
    let fits = u16::try_from(number);
    fits.map_err(|_| {
        Error::new(format!("console {side} {number} is above 65535")).code("E-TTY").config(format!("process.consoleSize.{side}"))
    })
}

/// How many descriptors a service manager passed to this very process (sd_listen_fds(3)): `LISTEN_FDS`, if `LISTEN_PID` is
/// rrun's pid. What was meant for another process, an ancestor perhaps, is not ours to pass on.
pub fn listen_fds() -> Result<u32> {
    let meant = std::env::var("LISTEN_PID").ok().and_then(|pid| pid.parse::<u32>().ok());
    if meant.is_none_or(|pid| pid != std::process::id()) {
        return Ok(0);
    }
    let count = std::env::var("LISTEN_FDS").unwrap_or_default();
    count.parse().map_err(|_| Error::new(format!("LISTEN_FDS is no number: {}", count.escape_debug())))
}

/// The ends that the two processes hold; made before the clone.
#[derive(Debug, Default)]
pub struct Stdio {
    /// The connected console socket.
    pub console: Option<OwnedFd>,
    /// For each of 0, 1, 2, where a pipe stands between the caller and the container.
    pub pipes: [Option<Pipe>; 3],
}

/// A pipe between the caller and the container.
#[derive(Debug)]
pub struct Pipe {
    /// The container's end, until [`close_inside`].
    theirs: Option<OwnedFd>,
    /// Our end; `None` for a stderr that goes where stdout goes, through the same pipe: that keeps their order.
    pub ours: Option<OwnedFd>,
}

/// Outside, before the clone and before any program is started: checks that announced descriptors are open, marks all from 3
/// upwards close-on-exec (hooks get none), connects the console socket, and makes pipes where the caller's stdio must not or
/// cannot be used by the container's user.
pub fn prepare(plan: &StdioPlan) -> Result<Stdio> {
    check_announced(plan)?;
    // Without such descriptors all of them were marked at the start (src/verbs/mod.rs), and rrun's own are born marked.
    if plan.listen_fds > 0 || plan.preserve_fds > 0 {
        fd::cloexec_from(3).at(|| "close_range")?;
    }
    let mut stdio = Stdio::default();
    if let Some(path) = &plan.console_socket {
        stdio.console = Some(connect_to(path).map_err(|e| e.context("console socket").code("E-TTY"))?);
    }
    if plan.terminal {
        return Ok(stdio);
    }
    for number in 0..3 {
        let given = fd::stdio(number);
        if !plan.foreground {
            give_pipe_to_host_user(plan, given)?;
        } else if needs_pipe(plan, given)? {
            stdio.pipes[number as usize] = Some(make_pipe(plan, number.into(), given, stdio.pipes[1].as_ref())?);
        }
    }
    Ok(stdio)
}

fn make_pipe(plan: &StdioPlan, number: i32, given: BorrowedFd, stdout: Option<&Pipe>) -> Result<Pipe> {
    if let (2, Some(theirs)) = (number, stdout.and_then(|pipe| pipe.theirs.as_ref()))
        && is_same(given, fd::inherited(1).at(|| "stdio 1")?).at(|| "fstat stdio")?
    {
        return Ok(Pipe { theirs: Some(theirs.try_clone().at(|| "dup a pipe")?), ours: None });
    }
    let (read, write) = pipe2(OFlag::O_CLOEXEC).at(|| "pipe2")?;
    let (theirs, ours) = if number == 0 { (read, write) } else { (write, read) };
    give_pipe_to_host_user(plan, theirs.as_fd())?;
    Ok(Pipe { theirs: Some(theirs), ours: Some(ours) })
}

fn is_same(a: BorrowedFd, b: BorrowedFd) -> nix::Result<bool> {
    let (a, b) = (fstat(a)?, fstat(b)?);
    Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

/// Whether a pipe of our own must stand between: a terminal of the host never crosses; a caller's file or pipe does, unless
/// the container's user could not open it anew by `/dev/stdout`: giving it to that user is not ours to do.
fn needs_pipe(plan: &StdioPlan, given: BorrowedFd) -> Result<bool> {
    let user = plan.host_uid.unwrap_or(plan.uid);
    if user == 0 || given.is_terminal() {
        return Ok(given.is_terminal());
    }
    let stat = fstat(given).at(|| "fstat stdio")?;
    Ok(stat.st_uid != user && matches!(stat.st_mode & libc::S_IFMT, libc::S_IFIFO | libc::S_IFREG))
}

fn check_announced(plan: &StdioPlan) -> Result<()> {
    let (listen, preserve) = (plan.listen_fds, plan.preserve_fds);
    for i in 0..listen {
        announced(u64::from(i)).map_err(|e| Error::os(format!("unable to stat LISTEN_FDS descriptor {i} (of {listen})"), e))?;
    }
    for i in 0..preserve {
        announced(u64::from(listen) + u64::from(i))
            .map_err(|e| Error::os(format!("unable to stat preserved-fd {i} (of {preserve})"), e))?;
    }
    Ok(())
}

/// Whether the caller opened the descriptor 3 + `index` for us. One that is close-on-exec cannot have come through our own
/// execve: rrun opened it itself, and it must never reach the container.
fn announced(index: u64) -> std::io::Result<()> {
    let number = i32::try_from(index + 3).map_err(|_| Errno::EBADF)?;
    let flags = fcntl(fd::inherited(number)?, FcntlArg::F_GETFD)?;
    if FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC) { Err(Errno::EBADF.into()) } else { Ok(()) }
}

/// Inside: a new terminal from the container's own devpts (`pts` is the mount's handle): (master, slave).
///
/// What is opened is proven to be devpts' own multiplexer, and the slave is asked of the master itself, so nothing that the
/// image or a neighbour put at a path of these names can take their place.
pub fn open_terminal(plan: &StdioPlan, pts: BorrowedFd) -> Result<(OwnedFd, OwnedFd)> {
    let wrong = |what: &str| Error::new(format!("{what} is not that of a devpts file system")).code("E-TTY");
    // Before the open: opening some other file system's "ptmx" could already have an effect.
    if !is_on(pts, DEVPTS_SUPER_MAGIC).at(|| "fstatfs /dev/pts")? {
        return Err(wrong("/dev/pts").hint("mount devpts on /dev/pts, or set terminal to false"));
    }
    let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
    let master = resolve::openat2(pts, c"ptmx", libc::O_RDWR | libc::O_NOCTTY, 0, how).at(|| "open /dev/pts/ptmx")?;
    let stat = fstat(&master).at(|| "fstat /dev/pts/ptmx")?;
    if stat.st_rdev != makedev(5, 2) || stat.st_ino != 2 || stat.st_mode & libc::S_IFMT != libc::S_IFCHR {
        return Err(wrong("/dev/pts/ptmx"));
    }
    tty::unlock(master.as_fd()).at(|| "unlock the terminal")?;
    let slave = tty::peer(master.as_fd()).at(|| "open the terminal (TIOCGPTPEER)")?;
    let stat = fstat(&slave).at(|| "fstat the terminal")?;
    if major(stat.st_rdev) != UNIX98_SLAVE_MAJOR || !is_on(slave.as_fd(), DEVPTS_SUPER_MAGIC).at(|| "fstatfs the terminal")? {
        return Err(wrong("the terminal"));
    }
    if stat.st_uid != plan.uid {
        fchown(&slave, Some(Uid::from_raw(plan.uid)), None).at(|| format!("chown the terminal to uid {}", plan.uid))?;
    }
    if let Some(size) = plan.size.or_else(|| plan.foreground.then(callers_size).flatten()) {
        tty::set_size(master.as_fd(), size).at(|| "set the terminal's size")?;
    }
    if plan.foreground && !output_is_seen() {
        end_lines_plainly(&slave).at(|| "set the terminal's line ends")?;
    }
    Ok((master, slave))
}

/// Whether the caller's output is a terminal, and not a file or another program. Two terminals in a row would end lines
/// twice. Where the output is seen, the container's terminal does it, and programs that draw on the screen can switch it
/// off; otherwise the output gets plain lines.
pub fn output_is_seen() -> bool {
    fd::inherited(1).is_ok_and(|given| given.is_terminal())
}

fn end_lines_plainly(terminal: &OwnedFd) -> nix::Result<()> {
    let mut settings = tcgetattr(terminal)?;
    settings.output_flags.remove(OutputFlags::ONLCR);
    tcsetattr(terminal, SetArg::TCSANOW, &settings)
}

/// The size of the caller's terminal, if it has one.
fn callers_size() -> Option<(u16, u16)> {
    (0..3).filter_map(|n| fd::inherited(n).ok()).find_map(|given| tty::size(given).ok())
}

/// Inside, in a new session: the slave becomes its controlling terminal and stdio; without a terminal the pipes' ends do.
pub fn take(plan: &StdioPlan, stdio: &Stdio, slave: Option<BorrowedFd>) -> Result<()> {
    if let Some(slave) = slave {
        tty::make_controlling(slave).at(|| "make the terminal the controlling one (TIOCSCTTY)")?;
    }
    for (number, pipe) in (0..3).zip(&stdio.pipes) {
        let end = slave.or(pipe.as_ref().and_then(|pipe| pipe.theirs.as_ref()).map(|end| end.as_fd()));
        if let Some(end) = end {
            fd::place(end, number).at(|| format!("dup2 stdio {number}"))?;
        }
        // A caller's pipe is given away only where rrun leaves: the engine made it for this container.
        if plan.uid != 0 && slave.is_none() && (pipe.is_some() || !plan.foreground) {
            give_pipe(fd::inherited(number).at(|| format!("stdio {number}"))?, plan.uid)?;
        }
    }
    Ok(())
}

/// Outside: gives `pipe` to the process's user under a user namespace whose ids the host's root is not among.
fn give_pipe_to_host_user(plan: &StdioPlan, pipe: BorrowedFd) -> Result<()> {
    plan.host_uid.map_or(Ok(()), |uid| give_pipe(pipe, uid))
}

/// Gives an anonymous pipe to `uid`, so that a program of that user can open `/dev/stdout`. Anything else is left alone:
/// it is the host's. Where the kernel does not allow it (ids that this user namespace lacks) the pipe still works.
fn give_pipe(pipe: BorrowedFd, uid: u32) -> Result<()> {
    if !is_on(pipe, PIPEFS_MAGIC).at(|| "fstatfs stdio")? {
        return Ok(());
    }
    match fchown(pipe, Some(Uid::from_raw(uid)), None) {
        Err(Errno::EPERM | Errno::EINVAL) => Ok(()),
        other => other.at(|| format!("chown a stdio pipe to uid {uid}")),
    }
}

fn is_on(file: BorrowedFd, magic: i64) -> nix::Result<bool> {
    Ok(fstatfs(file)?.filesystem_type().0 as i64 == magic)
}

/// Inside, last before execve: everything above stdio is close-on-exec but the announced descriptors.
pub fn close_rest(plan: &StdioPlan) -> Result<()> {
    // prepare() has shown that all of them are open, so the sum is a small number.
    let end = 3 + (plan.listen_fds + plan.preserve_fds) as i32;
    for number in 3..end {
        let kept = fd::inherited(number).at(|| format!("preserved descriptor {number}"))?;
        fd::place(kept, number).at(|| format!("preserve descriptor {number}"))?;
    }
    fd::cloexec_from(end).at(|| "close_range")
}

/// Outside, after the clone: closes the container's ends, so that rrun sees when the container has closed its own.
pub fn close_inside(stdio: &mut Stdio) {
    stdio.pipes.iter_mut().flatten().for_each(|pipe| drop(pipe.theirs.take()));
}

/// Outside, detached: sends the master over the console socket. The data is the name engines know for it.
pub fn hand_over(plan: &StdioPlan, stdio: &Stdio, master: BorrowedFd) -> Result<()> {
    let (Some(console), Some(path)) = (&stdio.console, &plan.console_socket) else {
        return Err(Error::new("no console socket to send the terminal to").code("E-TTY"));
    };
    fd::send(console.as_fd(), b"/dev/ptmx", Some(master)).at(|| format!("send the terminal to console socket {}", path.display()))
}

/// Outside: sends a pidfd of the process to `--pidfd-socket`; the data says `standard` of a container's first process and
/// `setns` of a later one, as runc does.
pub fn send_pidfd(path: &Path, kind: &str, pidfd: BorrowedFd) -> Result<()> {
    let socket = connect_to(path).map_err(|e| e.context("pidfd socket"))?;
    fd::send(socket.as_fd(), kind.as_bytes(), Some(pidfd)).at(|| format!("send the pidfd to {}", path.display()))
}

fn connect_to(path: &Path) -> Result<OwnedFd> {
    socket::connect(SockType::Stream, path).at(|| format!("connect {}", path.display())).map_err(|e| match e.errno() {
        Some(libc::EAGAIN) => e.hint("somebody listens there, but accepts no connection"),
        _ => e,
    })
}

/// LISTEN_FDS for the process, if descriptors are passed on. LISTEN_PID is 1: the process is alone to see itself so, and
/// engines rely on it.
pub fn environment(plan: &StdioPlan) -> Vec<(String, String)> {
    match plan.listen_fds {
        0 => vec![],
        n => vec![("LISTEN_FDS".to_owned(), n.to_string()), ("LISTEN_PID".to_owned(), "1".to_owned())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(terminal: bool, size: Option<(u64, u64)>) -> Process {
        let mut process = Process::default();
        process.set_terminal(Some(terminal));
        process.set_console_size(size.map(|(height, width)| {
            oci_spec::runtime::BoxBuilder::default().height(height).width(width).build().expect("complete")
        }));
        process
    }

    fn text(process: &Process, foreground: bool, socket: Option<&str>) -> String {
        plan(process, "runc", foreground, socket.map(PathBuf::from), 0, 0).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_terminal_goes_to_the_foreground_or_to_a_socket() {
        let detached = "cannot allocate tty if runc will detach without setting console socket";
        assert_eq!(text(&process(true, None), false, None), detached);
        let unused = "cannot use console socket if runc will not detach or allocate tty";
        assert_eq!(text(&process(true, None), true, Some("/s")), unused);
        assert_eq!(text(&process(false, None), false, Some("/s")), unused);
        assert!(plan(&process(true, None), "rrun", false, Some("/s".into()), 0, 0).is_ok());
        assert!(plan(&process(true, None), "rrun", true, None, 0, 0).is_ok());
    }

    #[test]
    fn the_size_counts_only_with_a_terminal_and_must_fit() {
        let size = |terminal, size| plan(&process(terminal, Some(size)), "rrun", true, None, 0, 0).map(|p| p.size);
        assert_eq!(size(true, (24, 80)), Ok(Some((24, 80))));
        assert_eq!(size(false, (24, 70_000)), Ok(None));
        let refused = size(true, (24, 70_000)).expect_err("too wide");
        assert_eq!(refused.config_text(), Some("process.consoleSize.width"));
    }

    #[test]
    fn only_passed_sockets_are_announced_to_the_program() {
        let passed = |listen_fds| environment(&StdioPlan { listen_fds, preserve_fds: 2, ..Default::default() });
        assert_eq!(passed(0), []);
        assert_eq!(passed(3), [("LISTEN_FDS".into(), "3".into()), ("LISTEN_PID".into(), "1".into())]);
    }

    #[test]
    fn what_rrun_opened_itself_is_never_taken_for_the_callers() {
        use std::os::fd::AsRawFd;
        let own = std::fs::File::open("/dev/null").expect("open");
        let index = own.as_raw_fd() as u64 - 3;
        assert_eq!(announced(index).expect_err("close-on-exec").raw_os_error(), Some(libc::EBADF));
        fcntl(&own, FcntlArg::F_SETFD(FdFlag::empty())).expect("fcntl");
        assert!(announced(index).is_ok());
        assert!(announced(u64::from(u32::MAX)).is_err());
    }
}
