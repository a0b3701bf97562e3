//! What is said while a command works, and that what people read fits their terminal.

use std::time::Instant;

use crate::support::screen::Screen;
use crate::support::*;

crate::tests![all if needs_root;
    a_pipe_has_a_line_for_each_step,
    a_terminal_has_one_line_that_is_erased,
    quiet_is_quiet,
    nothing_is_cut_from_what_is_read_on_a_terminal,
    the_fix_of_a_finding_is_whole_on_a_terminal,
];

/// A command that takes longer than anybody waits without a word, as the container is watched for longer.
fn watch<'a>(b: &'a Bundle, flags: &[&'a str]) -> Vec<&'a str> {
    [&["trace", "--for", "1500ms"], flags, &[b.id.as_str()]].concat()
}

/// A container with so many files in its layer that reading them takes a while.
fn with_many_files(b: &Bundle) {
    let kept = b.scratch("kept");
    std::fs::create_dir_all(&kept).expect("mkdir");
    let mut run = b.write().command(["run", "--detach", "--overlay", "--keep-layer", kept.to_str().expect("UTF-8"), &b.id]);
    // The container keeps what it is given, and nobody is to wait for its end.
    let status = run.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status();
    assert!(status.expect("start rrun").success());
    for dir in 0..200 {
        let dir = kept.join(format!("d{dir}"));
        std::fs::create_dir(&dir).expect("mkdir");
        (0..150).for_each(|n| drop(std::fs::File::create(dir.join(format!("f{n}"))).expect("create")));
    }
}

fn a_pipe_has_a_line_for_each_step() {
    let b = Bundle::new(&["sh", "-c", "while :; do sleep 0.1; done"]);
    b.run_detached();
    let done = b.rrun(watch(&b, &[]));
    assert_eq!(done.err, format!("watching {}, Ctrl-C ends it ...\n", b.id));
    let done = b.rrun(["lab", "run", "noisy"]);
    let steps: Vec<&str> = done.err.lines().collect();
    assert!(done.code == 77 || steps == ["lab noisy: OFF ...", "lab noisy: ON ..."], "{done:?}");
    // What is soon done is not spoken of.
    assert_eq!(b.rrun(["lab", "list"]).err, "");
    let many = Bundle::new(&["sleep", "100"]);
    with_many_files(&many);
    let begun = Instant::now();
    let done = many.rrun(["diff", &many.id]);
    let said = format!("reading what {} wrote ...\n", many.id);
    assert!(done.err == said || (done.err.is_empty() && begun.elapsed().as_millis() < 700), "{:?}", done.err);
    assert!(done.out.contains("30200 changes"), "{}", done.out.lines().last().unwrap_or_default());
}

fn a_terminal_has_one_line_that_is_erased() {
    let b = Bundle::new(&["sh", "-c", "while :; do sleep 0.1; done"]);
    b.run_detached();
    let mut screen = Screen::start(&b.command(watch(&b, &[])), 24, 80);
    screen.expect("watching ");
    assert_eq!(screen.end(), 0, "{}", screen.text);
    let (first, rest) = screen.text.split_once("watching ").expect("the line");
    assert_eq!(first, "\r\x1b[K", "nothing is said before");
    let (line, report) = rest.rsplit_once("\r\x1b[K").expect("it is erased");
    assert!(!line.contains('\n') && report.starts_with("COUNT"), "{:?}", screen.text);
    // A terminal that cannot erase gets whole lines.
    let mut command = std::process::Command::new("env");
    let rrun = b.command(watch(&b, &[]));
    command.arg("TERM=dumb").arg(rrun.get_program()).args(rrun.get_args());
    let mut screen = Screen::start(&command, 24, 80);
    screen.end();
    assert!(!screen.text.contains('\x1b') && screen.text.contains("Ctrl-C ends it ...\r\n"), "{:?}", screen.text);
}

fn quiet_is_quiet() {
    let b = Bundle::new(&["sh", "-c", "while :; do sleep 0.1; done"]);
    b.run_detached();
    assert_eq!(b.rrun(watch(&b, &["--quiet"])).err, "");
    assert_eq!(b.rrun(["lab", "run", "noisy", "-q"]).err, "");
    let many = Bundle::new(&["sleep", "100"]);
    with_many_files(&many);
    assert_eq!(many.rrun(["diff", "--quiet", &many.id]).err, "");
    let done = b.rrun(["lab", "list", "--quiet"]);
    assert!(done.code == 2 && done.err.contains("--quiet says how to run a lab"), "{done:?}");
}

/// What a command prints on a terminal of 80 columns, in a locale with symbols.
fn seen(b: &Bundle, args: &[&str]) -> String {
    let mut command = std::process::Command::new("env");
    let rrun = b.command(args.iter().copied());
    command.args(["LC_ALL=C.UTF-8", "NO_COLOR=1"]).arg(rrun.get_program()).args(rrun.get_args());
    let mut screen = Screen::start(&command, 24, 80);
    screen.end();
    screen.text.replace("\r\n", "\n")
}

fn nothing_is_cut_from_what_is_read_on_a_terminal() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let tree = seen(&b, &["tree", &b.id]);
    assert!(tree.contains("time SHARED") && !tree.contains("mnt …"), "{tree}");
    let nested = seen(&b, &["tree", "--nested"]);
    assert!(nested.contains("time [") && !nested.contains('…'), "{nested}");
    for args in [&["lab", "list"][..], &["help"], &["run", "--help"], &["help", "oom"], &["doctor"], &["stats", "--sched", &b.id]]
    {
        let text = seen(&b, args);
        // What is to be copied stays whole.
        let long = |line: &&str| line.chars().count() > 80 && !line.contains("$RRUN") && !line.contains('/');
        assert_eq!(text.lines().find(long), None, "{args:?}: {text}");
    }
}

fn the_fix_of_a_finding_is_whole_on_a_terminal() {
    let b = Bundle::new(&["sleep", "100"]);
    b.write();
    let text = seen(&b, &["explain", b.path().to_str().expect("UTF-8")]);
    let fix = "fix: linux.namespaces += {\"type\":\"user\"}; uidMappings 0→100000\n";
    assert!(text.contains("every syscall of the shared kernel is reachable") && text.contains(fix), "{text}");
    let one = seen(&b, &["explain", b.path().to_str().expect("UTF-8"), "SECCOMP"]);
    assert!(one.contains(" ... (whole with --json)") && one.lines().count() < 40, "{one}");
    let piped = b.rrun(["explain", b.path().to_str().expect("UTF-8"), "SECCOMP"]).ok();
    assert!(!piped.contains("whole with --json") && piped.contains("\"exit_group\""), "{piped}");
}
