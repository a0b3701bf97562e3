//! Programs that cannot be started, and why.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::{Case, Class, check};
use crate::support::{Bundle, copy_program, needs_root};

crate::tests![what_is_wrong_with_a_program_is_said, what_another_user_may_not_run_is_said if needs_root, what_a_list_forbids_is_said if lacks_lists];

/// A file in the root, and it is what shall run.
fn program(b: &mut Bundle, name: &str, text: &[u8], mode: u32) -> &'static str {
    let path = b.rootfs().join(name);
    std::fs::write(&path, text).expect("write");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("chmod");
    b.config["process"]["args"] = json!([format!("/{name}")]);
    "run @"
}

fn args(b: &mut Bundle, args: &[&str]) -> &'static str {
    b.config["process"]["args"] = json!(args);
    "run @"
}

const fn case(code: &'static str, class: Class, make: fn(&mut Bundle) -> &'static str, text: &'static str) -> Case {
    Case { code, make, before: |_| {}, text, exit: 1, class }
}

pub const CASES: &[Case] = &[
    case(
        "E-INTERP",
        Class::NotFound,
        |b| program(b, "app", b"#!/bin/bash\n", 0o755),
        r"rrun run failed: unable to start container process: exec /app: no such file or directory \(config\.json: process\.args\[0\]\) \(hint: the first line of /app asks for the missing interpreter /bin/bash; use #!/bin/sh, which is present, or add it\)",
    ),
    case(
        "E-CRLF",
        Class::NotFound,
        |b| program(b, "app", b"#!/bin/sh\r\n", 0o755),
        r"rrun run failed: unable to start container process: exec /app: no such file or directory .*\(hint: the first line of /app ends in a carriage return \(Windows line end\); run sed -i 's/.*' on it\)",
    ),
    case(
        "E-LOADER",
        Class::NotFound,
        |b| {
            copy_program("/bin/cat", b.rootfs().join("app"));
            args(b, &["/app"])
        },
        r"rrun run failed: unable to start container process: exec /app: no such file or directory .*\(hint: /app needs the loader /lib\S+, which the root filesystem lacks; link it statically, or use an image with that C library\)",
    ),
    case(
        "E-ARCH",
        Class::Other,
        |b| {
            let mut elf = [0u8; 64];
            elf[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
            elf[18] = 243;
            program(b, "app", &elf, 0o755)
        },
        r"rrun run failed: unable to start container process: exec /app: exec format error .*\(hint: /app is an ELF file for riscv\S*, this host is \S+ and has no binfmt handler for it; use the build for \S+, or install qemu-user-static\)",
    ),
    case(
        "E-NOSHEBANG",
        Class::Other,
        |b| program(b, "app", b"echo hello\n", 0o755),
        r"rrun run failed: unable to start container process: exec /app: exec format error .*\(hint: /app is neither an ELF file nor a script with #!; if it is one, add #!/bin/sh as its first line\)",
    ),
    case(
        "E-NOSHEBANG",
        Class::Other,
        |b| program(b, "app", b"", 0o755),
        r"rrun run failed: unable to start container process: exec /app: exec format error .*\(hint: /app is a file of 0 bytes; rebuild it\)",
    ),
    case(
        "E-NOTFOUND",
        Class::NotFound,
        |b| args(b, &["withness"]),
        r#"rrun run failed: .*: error during container init: exec: "withness": executable file not found in \$PATH .*\(hint: searched .*/bin \(PATH of the container\), where witness is similar; use the full path, or install it\)"#,
    ),
    case(
        "E-NOTFOUND",
        Class::NotFound,
        |b| args(b, &["/nosuch"]),
        r#"rrun run failed: .*: error during container init: exec: "/nosuch": stat /nosuch: no such file or directory .*\(hint: the root filesystem lacks /nosuch; correct process\.args, or add the file to the image\)"#,
    ),
    case(
        "E-ARGV",
        Class::NotFound,
        |b| args(b, &["/bin/echo hello"]),
        r#"rrun run failed: .*no such file or directory .*\(hint: args\[0\] holds a whole command line; write each word as its own string: \["/bin/echo", "hello"\]\)"#,
    ),
    case(
        "E-PERM",
        Class::NotExecutable,
        |b| program(b, "app", b"#!/bin/sh\n", 0o644),
        r#"rrun run failed: .*: exec: "/app": permission denied .*\(hint: /app has mode 0644, without an x bit; run chmod \+x on it in the root filesystem\)"#,
    ),
    case(
        "E-PERM",
        Class::NotExecutable,
        |b| args(b, &["/etc"]),
        r#"rrun run failed: .*: exec: "/etc": is a directory: permission denied .*\(hint: /etc is a folder; name a program in it\)"#,
    ),
    case(
        "E-PERM",
        Class::NotExecutable,
        |b| {
            let tool = b.scratch("tool");
            copy_program("/bin/busybox", &tool);
            let bind = json!({"destination": "/tool", "type": "bind", "source": tool, "options": ["bind", "noexec"]});
            b.config["mounts"].as_array_mut().expect("mounts").push(bind);
            args(b, &["/tool"])
        },
        r#"rrun run failed: .*: exec: "/tool": permission denied .*\(hint: /tool lies on a mount with noexec; drop noexec from its options in mounts, or move the program\)"#,
    ),
];

const OF_ANOTHER_USER: &[Case] = &[
    case(
        "E-PERM",
        Class::NotExecutable,
        |b| {
            std::fs::create_dir(b.rootfs().join("priv")).expect("mkdir");
            std::fs::set_permissions(b.rootfs().join("priv"), PermissionsExt::from_mode(0o700)).expect("chmod");
            copy_program("/bin/busybox", b.rootfs().join("priv/app"));
            b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
            args(b, &["/priv/app"])
        },
        r#"rrun run failed: .*permission denied .*\(hint: uid 1000 cannot enter /priv \(mode 0700, owner 0\); change the mode or process\.user\)"#,
    ),
    case(
        "E-PERM",
        Class::NotExecutable,
        |b| {
            b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
            program(b, "app", b"#!/bin/sh\n", 0o700)
        },
        r#"rrun run failed: .*permission denied .*\(hint: uid 1000 may not execute /app \(mode 0700, owner 0\); change the mode or process\.user\)"#,
    ),
];

/// What modes do not show: an access control list, as security modules refuse.
const OF_A_LIST: &[Case] = &[case(
    "E-PERM",
    Class::NotExecutable,
    |b| {
        copy_program("/bin/busybox", b.rootfs().join("app"));
        assert!(forbid(&b.rootfs().join("app")));
        b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        args(b, &["/app"])
    },
    r#"rrun run failed: .*permission denied .*\(hint: likely cause: AppArmor, SELinux or an access control list refuses /app; look into the kernel's log .*\)"#,
)];

/// Gives the file an access control list that lets all execute it but uid 1000 (acl(5)); false where that cannot be.
fn forbid(file: &std::path::Path) -> bool {
    const SET: &str = "
import os, struct, sys
entries = [(1, 7, -1), (2, 0, 1000), (4, 5, -1), (16, 7, -1), (32, 5, -1)]
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHi', *e) for e in entries)
os.setxattr(sys.argv[1], 'system.posix_acl_access', acl)
";
    let set =
        std::process::Command::new("/usr/bin/python3").args(["-c", SET]).arg(file).stderr(std::process::Stdio::null()).status();
    set.is_ok_and(|status| status.success())
}

fn lacks_lists() -> Option<&'static str> {
    let tried = || {
        let file = std::env::temp_dir().join(format!("rrun-test-acl-{}", std::process::id()));
        std::fs::write(&file, "").expect("write");
        let done = forbid(&file);
        std::fs::remove_file(file).expect("remove");
        done
    };
    needs_root().or_else(|| (!tried()).then_some("needs access control lists, and /usr/bin/python3"))
}

fn what_a_list_forbids_is_said() {
    check(OF_A_LIST);
}

fn what_is_wrong_with_a_program_is_said() {
    check(CASES);
}

fn what_another_user_may_not_run_is_said() {
    check(OF_ANOTHER_USER);
}
