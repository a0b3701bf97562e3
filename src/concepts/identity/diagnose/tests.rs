//! Each broken program gets its own cause, in words that no engine matches.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// A root with some broken programs, and a plan of uid 1000 that starts `args`.
fn looked<T>(args: &[&str], look: impl FnOnce(&Look) -> T) -> T {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, content: &[u8], mode: u32| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        std::fs::write(&path, content).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("chmod");
    };
    let mut foreign = vec![0u8; 64];
    foreign[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    foreign[18] = 243;
    write("bin/sh", b"", 0o755);
    write("script", b"#!/bin/bash\n", 0o755);
    write("windows", b"#!/bin/sh\r\n", 0o755);
    write("foreign", &foreign, 0o755);
    write("empty", b"", 0o755);
    write("text", b"hello", 0o644);
    write("private", b"", 0o700);
    write("closed/x", b"", 0o755);
    std::fs::set_permissions(dir.path().join("closed"), std::fs::Permissions::from_mode(0o700)).expect("chmod");
    std::fs::copy("/bin/cat", dir.path().join("dynamic")).expect("a dynamic program");
    symlink("/nowhere", dir.path().join("dangling")).expect("symlink");
    let process = serde_json::json!({"user": {"uid": 1000, "gid": 1000}, "cwd": "/", "args": args, "env": ["PATH=/bin:/"]});
    let plan = crate::concepts::identity::plan(&serde_json::from_value(process).expect("a process"), vec![]).expect("a plan");
    let root = Root::new(crate::host::host_directory(dir.path()).expect("a handle"));
    look(&Look { plan: &plan, root: &root, name: args[0].to_owned() })
}

/// Texts that engines conclude from.
const MATCHED: [&str; 16] = [
    "permission denied",
    "operation not permitted",
    "is a directory",
    "executable file not found",
    "no such file or directory",
    "open executable",
    "system cannot find the file specified",
    "failed to run runc create/exec call",
    "not a directory",
    "os: process already finished",
    "container not running",
    "no such process",
    "invalid process",
    "does not exist",
    "/proc/",
    "`",
];

/// As `rrun`'s hints are read by engines: one line, short, no phrase that one matches, no final full stop.
fn lint(finding: Option<Finding>) -> Finding {
    let (code, hint) = finding.expect("a finding");
    let low = hint.to_lowercase();
    assert!(MATCHED.iter().all(|phrase| !low.contains(phrase)), "{hint}");
    assert!(hint.len() <= 300 && !hint.contains('\n') && !hint.ends_with('.'), "{hint}");
    (code, hint)
}

#[test]
fn a_missing_program_is_told_from_a_missing_interpreter() {
    let missing = |name: &str| lint(looked(&[name], |l| l.missing()));
    assert_eq!(missing("/app").0, "E-NOTFOUND");
    assert!(missing("/dangling").1.contains("symbolic link"));
    let interpreter = |name: &str| lint(looked(&[name], |look| look.interpreter_missing(Path::new(name), 0)));
    let (code, hint) = interpreter("/script");
    assert_eq!(code, "E-INTERP");
    assert_eq!(
        hint,
        "the first line of /script asks for the missing interpreter /bin/bash; use #!/bin/sh, which is present, or add it"
    );
    assert_eq!(interpreter("/windows").0, "E-CRLF");
    assert_eq!(interpreter("/dynamic").0, "E-LOADER");
}

#[test]
fn wrong_formats_are_told_apart() {
    let format = |name: &str| lint(looked(&[name], |look| look.wrong_format(Path::new(name))));
    assert_eq!(format("/empty").0, "E-NOSHEBANG");
    assert_eq!(format("/text").0, "E-NOSHEBANG");
    let (code, hint) = format("/foreign");
    assert_eq!(code, "E-ARCH");
    assert!(hint.contains("riscv"), "{hint}");
}

#[test]
fn the_causes_of_a_denial_are_told_apart() {
    let denied = |name: &str| {
        let (code, hint) = lint(looked(&[name], |look| look.denied(Path::new(name))));
        assert_eq!(code, "E-PERM");
        hint
    };
    assert!(denied("/text").contains("without an x bit"));
    assert!(denied("/bin").contains("is a folder"));
    assert!(denied("/closed/x").starts_with("uid 1000 cannot enter /closed (mode 0700, owner "));
    assert!(denied("/private").starts_with("uid 1000 may not execute /private"));
    assert_eq!(looked(&["/bin/sh"], |look| look.denied(Path::new("/bin/sh"))), None, "no cause found, none named");
    let (code, hint) = lint(looked(&["/bin/sh"], |look| Some(look.forbidden())));
    assert!(code == "E-PERM" && hint.starts_with("likely cause: AppArmor, SELinux or "), "{hint}");
}

#[test]
fn a_bare_name_says_where_it_was_searched() {
    let not_in_path = |args: &[&str]| lint(looked(args, |l| l.not_in_path()));
    assert!(not_in_path(&["zsh"]).1.starts_with("searched /bin, / (PATH of the container)"));
    assert!(not_in_path(&["scirpt"]).1.contains("where script is similar"));
    assert!(not_in_path(&["text"]).1.contains("without an x bit"));
}

#[test]
fn a_command_line_in_one_string_is_recognised() {
    let (code, hint) = lint(looked(&["/bin/sh -c true"], |l| l.missing()));
    assert_eq!(
        (code, hint.as_str()),
        ("E-ARGV", r#"args[0] holds a whole command line; write each word as its own string: ["/bin/sh", "-c"]"#)
    );
    assert!(lint(looked(&["nothing at all"], |l| l.not_in_path())).1.starts_with("likely cause: "));
}

#[test]
fn long_values_are_cut() {
    assert_eq!(shown("/short"), "/short");
    assert_eq!(shown(&"ä".repeat(300)).len(), LONGEST + "…".len());
}
