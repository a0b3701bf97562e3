//! Hooks: programs of the engine that run at fixed moments of the lifecycle (runtime-spec, config.md, "POSIX-platform
//! Hooks").
//!
//! An engine sets up the network, a GPU or a seccomp listener in them. They are trusted as the config is, and run with
//! rrun's own rights. The boundary is what they get: their own environment and nothing of the caller's, no descriptor but
//! stdio, and no more time than the config gives them. A hook that hangs would hang the engine; so at its timeout its whole
//! process group is killed. Their output reaches a terminal only through an error text, escaped.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oci_spec::runtime::{Hook, Hooks, Spec};

use crate::error::{At, Error, Result, Warnings};
use crate::sys::{fd, process};

/// How much of the end of each output stream goes into an error.
const TAIL: usize = 1000;

/// The six kinds, in the order of the lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Deprecated: as createRuntime, before it.
    Prestart,
    /// In the runtime's namespaces, namespaces made, root not yet pivoted.
    CreateRuntime,
    /// In the container's namespaces, root not yet pivoted.
    CreateContainer,
    /// In the container, after `start`, before the program.
    StartContainer,
    /// In the runtime's namespaces, after the program was started.
    Poststart,
    /// In the runtime's namespaces, after the container was deleted.
    Poststop,
}

impl Kind {
    /// All of them.
    const ALL: [Self; 6] = [Self::Prestart, Self::CreateRuntime, Self::CreateContainer, Self::StartContainer, Self::Poststart, Self::Poststop];

    /// The name in config.json.
    pub fn name(self) -> &'static str {
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"][self as usize]
    }
}

/// The hooks of a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HooksPlan {
    /// By [`Kind`].
    kinds: [Vec<Program>; 6],
}

/// One hook, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Program {
    path: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    timeout: Option<Duration>,
}

/// Checks them: absolute paths, environment of the form NAME=VALUE, timeouts above zero.
pub fn plan(spec: &Spec) -> Result<HooksPlan> {
    spec.hooks().as_ref().map_or_else(|| Ok(HooksPlan::default()), plan_of)
}

/// The same from the hooks alone, as a later command has them from the state.
pub fn plan_of(hooks: &Hooks) -> Result<HooksPlan> {
    // The specification deprecates prestart and orders runtimes to go on calling it.
    #[allow(deprecated)]
    let prestart = hooks.prestart();
    let kinds = [
        prestart,
        hooks.create_runtime(),
        hooks.create_container(),
        hooks.start_container(),
        hooks.poststart(),
        hooks.poststop(),
    ];
    let mut plan = HooksPlan::default();
    for (kind, list) in Kind::ALL.into_iter().zip(kinds) {
        for (index, hook) in list.iter().flatten().enumerate() {
            let field = format!("hooks.{}[{index}]", kind.name());
            plan.kinds[kind as usize].push(check(hook).map_err(|e| e.config(field).code("E-HOOK"))?);
        }
    }
    Ok(plan)
}

fn check(hook: &Hook) -> Result<Program> {
    let path = hook.path().clone();
    if !path.is_absolute() {
        return Err(Error::new(format!("hook path {path:?} is not absolute")));
    }
    let pair = |entry: &String| match entry.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Error::new(format!("invalid environment variable: {entry:?}"))),
    };
    let timeout = match hook.timeout() {
        Some(seconds) if seconds <= 0 => return Err(Error::new(format!("hook timeout {seconds} is not greater than zero"))),
        seconds => seconds.map(|s| Duration::from_secs(s.unsigned_abs())),
    };
    let env = hook.env().iter().flatten().map(pair).collect::<Result<_>>()?;
    Ok(Program { path, args: hook.args().clone().unwrap_or_default(), env, timeout })
}

/// Warns of hooks whose file or directory others may write: they would run with rrun's rights what others put there.
/// Outside, once per command. Those of startContainer lie in the image, which is not trusted at all.
pub fn warn_from_parent(plan: &HooksPlan, warnings: &mut Warnings) {
    for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::StartContainer) {
        for hook in &plan.kinds[kind as usize] {
            for place in [Some(hook.path.as_path()), hook.path.parent()].into_iter().flatten() {
                let Ok(stat) = nix::sys::stat::stat(place) else { continue };
                // In a directory with the sticky bit only a file's owner replaces it.
                let sticky = stat.st_mode & libc::S_IFMT == libc::S_IFDIR && stat.st_mode & libc::S_ISVTX != 0;
                if stat.st_mode & 0o022 != 0 && !sticky {
                    let text = format!("{} hook {:?}: {place:?} can be written by others (mode {:04o})", kind.name(), hook.path, stat.st_mode & 0o7777);
                    warnings.add(text);
                }
            }
        }
    }
}

/// As [`plan`], from the hooks alone, as the state keeps them.
pub fn plan_hooks(_hooks: Option<&oci_spec::runtime::Hooks>, _warnings: &mut Warnings) -> Result<HooksPlan> {
    Ok(HooksPlan)
}

/// Runs all hooks of one kind in order, `state` (state.json of the specification) on the stdin of each. The first failure
/// ends it, naming the hook: `error running createRuntime hook #0: …`.
///
/// The working directory is the caller's. All descriptors above stdio become close-on-exec first.
pub fn run(plan: &HooksPlan, kind: Kind, state: &[u8]) -> Result<()> {
    plan.kinds[kind as usize].iter().enumerate().try_for_each(|(index, hook)| run_one(hook, state).map_err(|e| named(e, kind, index)))
}

/// As [`run`], but a failure does not keep the next ones from running: for poststop, where the container is gone already
/// and the specification wants the failures logged only.
pub fn run_all(plan: &HooksPlan, kind: Kind, state: &[u8]) -> Vec<Error> {
    let hooks = plan.kinds[kind as usize].iter().enumerate();
    hooks.filter_map(|(index, hook)| run_one(hook, state).err().map(|e| named(e, kind, index))).collect()
}

fn named(error: Error, kind: Kind, index: usize) -> Error {
    let kind = kind.name();
    error.context(format!("error running {kind} hook #{index}")).config(format!("hooks.{kind}[{index}]")).code("E-HOOK")
}

fn run_one(hook: &Program, state: &[u8]) -> Result<()> {
    fd::cloexec_from(3).at(|| "close_range")?;
    let mut command = Command::new(&hook.path);
    if let Some((name, args)) = hook.args.split_first() {
        command.arg0(name).args(args);
    }
    command.env_clear().envs(hook.env.iter().map(|(name, value)| (name, value)));
    command.stdin(state_file(state)?).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that a timeout reaches what the hook itself started.
    command.process_group(0);
    let mut child = command.spawn().at(|| format!("fork/exec {}", hook.path.display()))?;
    let (status, out, err) = follow(&mut child, hook.timeout)?;
    if status.success() {
        return Ok(());
    }
    let how = match (status.code(), status.signal().and_then(|s| nix::sys::signal::Signal::try_from(s).ok())) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => "killed".to_owned(),
    };
    Err(Error::new(format!("{how}, stdout: {}, stderr: {}", shown(&out), shown(&err))))
}

/// The state as a file in memory. Unlike a pipe it cannot fill up while the hook does not read, nor break when it never does.
fn state_file(state: &[u8]) -> Result<File> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let mut file = File::from(memfd_create(c"state", MFdFlags::MFD_CLOEXEC).at(|| "memfd_create")?);
    file.write_all(state).and_then(|()| file.rewind()).at(|| "write the state for a hook")?;
    Ok(file)
}

/// Waits for the hook's end or its timeout, collecting the ends of its output. What the hook leaves running in the
/// background may keep its output open: that is not waited for.
fn follow(child: &mut Child, timeout: Option<Duration>) -> Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
    let pidfd = process::pidfd_open(child.id() as i32).at(|| "pidfd_open of a hook")?;
    let mut streams = [Stream::new(child.stdout.take().map(OwnedFd::from))?, Stream::new(child.stderr.take().map(OwnedFd::from))?];
    loop {
        let left = match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => {
                kill_group(child)?;
                return Err(Error::new(format!("hook ran past specified timeout of {:.1}s", timeout.unwrap_or_default().as_secs_f64())));
            }
            // Rounded up: poll counts in milliseconds, and waking too early would spin.
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        let mut waited = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        waited.extend(streams.iter().filter_map(|s| s.file.as_ref()).map(|f| PollFd::new(f.as_fd(), PollFlags::POLLIN)));
        match poll(&mut waited, left) {
            Err(nix::errno::Errno::EINTR) => continue,
            done => done.at(|| "poll a hook")?,
        };
        let ended = waited[0].any().unwrap_or(true);
        streams.iter_mut().try_for_each(Stream::drain)?;
        if ended {
            let status = child.wait().at(|| "wait for a hook")?;
            let [out, err] = streams.map(|s| s.tail);
            return Ok((status, out, err));
        }
    }
}

fn kill_group(child: &mut Child) -> Result<()> {
    let group = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).at(|| "kill a hook")?;
    child.wait().at(|| "wait for a hook").map(drop)
}

/// One output stream of a hook.
struct Stream {
    /// `None` after its end.
    file: Option<File>,
    /// The last bytes of it.
    tail: Vec<u8>,
}

impl Stream {
    fn new(fd: Option<OwnedFd>) -> Result<Self> {
        use nix::fcntl::{FcntlArg, OFlag, fcntl};
        if let Some(fd) = &fd {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).at(|| "set a hook's output non-blocking")?;
        }
        Ok(Self { file: fd.map(File::from), tail: Vec::new() })
    }

    /// Takes what is there now.
    fn drain(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        while let Some(file) = &mut self.file {
            match file.read(&mut buffer) {
                Ok(0) => self.file = None,
                Ok(n) => {
                    self.tail.extend(&buffer[..n]);
                    self.tail.drain(..self.tail.len().saturating_sub(TAIL));
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::os("read a hook's output", e)),
            }
        }
        Ok(())
    }
}

/// Output as an error shows it: one line, no control characters.
fn shown(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let mut line = String::new();
    for c in text.trim_end().chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

impl HooksPlan {
    /// Whether there are hooks of this kind.
    pub fn has(&self, kind: Kind) -> bool {
        !self.kinds[kind as usize].is_empty()
    }

    /// The lines of `rrun plan` for one kind.
    pub fn describe(&self, kind: Kind) -> Vec<String> {
        self.kinds[kind as usize].iter().enumerate().map(|(i, hook)| format!("{} hook #{i}: {}", kind.name(), hook.path.display())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(hooks: serde_json::Value) -> Result<HooksPlan> {
        plan_of(&serde_json::from_value(hooks).expect("hooks"))
    }

    fn sh(script: &str) -> HooksPlan {
        decide(serde_json::json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["A=b"]}]})).expect("a plan")
    }

    fn failure(script: &str) -> String {
        run(&sh(script), Kind::CreateRuntime, b"{}").expect_err("a failure").to_string()
    }

    #[test]
    fn bad_hooks_are_refused() {
        let refusal = |hook: serde_json::Value| decide(serde_json::json!({"poststop": [hook]})).expect_err("refused");
        let error = refusal(serde_json::json!({"path": "bin/x"}));
        assert_eq!((error.to_string().as_str(), error.config_text()), (r#"hook path "bin/x" is not absolute"#, Some("hooks.poststop[0]")));
        assert_eq!(refusal(serde_json::json!({"path": "/x", "timeout": 0})).to_string(), "hook timeout 0 is not greater than zero");
        assert_eq!(refusal(serde_json::json!({"path": "/x", "env": ["B"]})).to_string(), r#"invalid environment variable: "B""#);
    }

    #[test]
    fn a_failure_names_hook_status_and_output() {
        let text = "error running createRuntime hook #0: exit status 3, stdout: out, stderr: boom";
        assert_eq!(failure("echo out; echo boom >&2; exit 3"), text);
        assert_eq!(failure("kill -9 $$"), "error running createRuntime hook #0: signal: SIGKILL, stdout: , stderr: ");
        assert!(failure("printf 'a\\033[31mb\\nc'; exit 1").contains(r"stdout: a\u{1b}[31mb\nc, "));
    }

    #[test]
    fn a_missing_program_is_named() {
        let plan = decide(serde_json::json!({"prestart": [{"path": "/no/such"}]})).expect("a plan");
        let error = run(&plan, Kind::Prestart, b"").expect_err("a failure");
        assert_eq!(error.to_string(), "error running prestart hook #0: fork/exec /no/such: no such file or directory");
        assert_eq!(error.code_text(), Some("E-HOOK"));
    }

    #[test]
    fn state_and_environment_are_the_hooks_own() {
        let large = format!("{{\"x\":\"{}\"}}", "y".repeat(1 << 20));
        let script = format!("test $(wc -c) = {} && test \"$(env | grep -v ^PWD= | grep -v ^_= | grep -v ^SHLVL=)\" = A=b", large.len());
        run(&sh(&script), Kind::CreateRuntime, large.as_bytes()).expect("all of the state, nothing of the caller's environment");
        run(&sh("exit 0"), Kind::CreateRuntime, large.as_bytes()).expect("a hook that reads nothing");
    }

    #[test]
    fn only_stdio_is_passed_on() {
        let leak = nix::unistd::dup(std::io::stderr()).expect("a descriptor without close-on-exec");
        // One more than stdio: the handle of the listing itself.
        let listed = failure("ls /proc/self/fd | tr '\\n' ' '; exit 1");
        assert!(listed.contains("stdout: 0 1 2 3, "), "{listed}");
        drop(leak);
    }

    #[test]
    fn a_timeout_kills_the_whole_group() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("alive");
        // The grandchild ignores nothing but outlives its parent unless the group is killed.
        let script = format!("(sleep 3; echo > {}) & sleep 60", file.display());
        let hook = serde_json::json!({"poststart": [{"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 1}]});
        let error = run(&decide(hook).expect("a plan"), Kind::Poststart, b"").expect_err("a timeout");
        assert_eq!(error.to_string(), "error running poststart hook #0: hook ran past specified timeout of 1.0s");
        std::thread::sleep(Duration::from_secs(3));
        assert!(!file.exists(), "the grandchild lived on");
    }

    #[test]
    fn what_a_hook_leaves_in_the_background_is_not_waited_for() {
        let begun = Instant::now();
        run(&sh("sleep 20 & exit 0"), Kind::CreateRuntime, b"").expect("success");
        assert!(begun.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn poststop_goes_on_after_a_failure() {
        let plan = decide(serde_json::json!({"poststop": [{"path": "/bin/false"}, {"path": "/bin/true"}, {"path": "/bin/false"}]})).expect("a plan");
        let texts: Vec<String> = run_all(&plan, Kind::Poststop, b"").iter().map(Error::to_string).collect();
        assert!(texts.len() == 2 && texts[1].starts_with("error running poststop hook #2: exit status 1"), "{texts:?}");
    }

    #[test]
    fn hooks_that_others_may_write_are_warned_of() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("hook");
        std::fs::write(&file, "").expect("write");
        let warned = |mode| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("chmod");
            let mut warnings = Warnings::default();
            warn_from_parent(&decide(serde_json::json!({"prestart": [{"path": file}]})).expect("a plan"), &mut warnings);
            warnings.lines().len()
        };
        assert_eq!((warned(0o755), warned(0o775), warned(0o757)), (0, 1, 1));
    }
}
