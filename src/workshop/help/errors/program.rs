//! The program that a container is made for cannot be started: the most frequent failure of all.
//!
//! The kernel has four words for a dozen causes: execve(2) says "no such file" of a script whose interpreter is missing,
//! and "permission denied" for anything from a missing x bit to a closed directory.

use super::Entry;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: "E-INTERP",
        situation: "a script whose interpreter is absent",
        cause: &[
            "the script is there, but the program that its first line (#!) names is not in the root filesystem; the kernel reports that as a missing file",
        ],
        fix: &["change the first line to a shell that the image has, mostly #!/bin/sh, or add the interpreter to the image"],
        example: "#!/bin/bash            the image has no bash\n#!/bin/sh              this works everywhere",
        lab: None,
        see: &["process.args", "E-CRLF", "E-LOADER", "execve(2)"],
    },
    Entry {
        code: "E-CRLF",
        situation: "a script with the line ends of Windows",
        cause: &["the first line ends in a carriage return, so the kernel looks for an interpreter whose name ends in one"],
        fix: &["take the carriage returns out: sed -i 's/\\r$//' rootfs/app"],
        example: "$ head -1 rootfs/app | od -c | head -1\n0000000   #   !   /   b   i   n   /   s   h  \\r  \\n",
        lab: None,
        see: &["E-INTERP", "execve(2)"],
    },
    Entry {
        code: "E-LOADER",
        situation: "a dynamic ELF file without its loader",
        cause: &["the file is dynamically linked, and the loader that its PT_INTERP header names is not in the root filesystem"],
        fix: &["link the program statically, or use an image with the C library that it was built for"],
        example: "$ readelf -l rootfs/app | grep interpreter\n      [Requesting program interpreter: /lib64/ld-linux-x86-64.so.2]",
        lab: None,
        see: &["E-INTERP", "E-ARCH", "ld.so(8)", "elf(5)"],
    },
    Entry {
        code: "E-ARCH",
        situation: "an ELF file for another processor",
        cause: &["the file is for another architecture than this host's, and no binfmt handler is registered for it"],
        fix: &["take the build for this architecture, or install qemu-user-static, which registers handlers"],
        example: "$ uname -m; readelf -h rootfs/app | grep Machine\nx86_64\n  Machine:                           AArch64",
        lab: None,
        see: &["E-LOADER", "elf(5)"],
    },
    Entry {
        code: "E-NOSHEBANG",
        situation: "a text or an empty file as the program",
        cause: &[
            "the file is text without #! in its first line: a shell would guess, the kernel does not",
            "the file has 0 bytes: the build that should have made it failed",
        ],
        fix: &["add #!/bin/sh as the first line", "rebuild the file"],
        example: "$ printf '#!/bin/sh\\nexec sleep 100\\n' > rootfs/app",
        lab: None,
        see: &["E-INTERP", "execve(2)"],
    },
    Entry {
        code: "E-NOTFOUND",
        situation: "the program is not there",
        cause: &[
            "the name has no slash, and no directory of the container's own PATH has it; the host's PATH does not count",
            "the path leads to nothing in the root filesystem, or over a symbolic link whose target is missing",
        ],
        fix: &["use the full path, or install the program in the image", "correct process.args, or the link"],
        example: "\"args\": [\"python\"]            the image has /usr/bin/python3\n\"args\": [\"/usr/bin/python3\"]",
        lab: None,
        see: &["process.args", "process.env", "E-ARGV", "E-INTERP"],
    },
    Entry {
        code: "E-PERM",
        situation: "the program may not be executed",
        cause: &[
            "its mode has no x bit",
            "it is a folder",
            "it lies on a mount with the option noexec",
            "the container's user may not enter a directory on the way, or not execute the file",
            "the security module (AppArmor, SELinux) forbids it",
        ],
        fix: &[
            "chmod +x the file in the root filesystem",
            "name a program in it",
            "drop noexec from the options of that entry of mounts",
            "change the mode, or process.user",
            "label the file, or correct the profile",
        ],
        example: "$ ls -l rootfs/app\n-rw-r--r-- 1 root root 812 app\n$ chmod +x rootfs/app",
        lab: None,
        see: &["process.user", "mounts", "E-LSM", "execve(2)", "path_resolution(7)"],
    },
    Entry {
        code: "E-ARGV",
        situation: "a whole command line in one string",
        cause: &[
            "args[0] contains blanks: there is no shell that would take it apart",
            "arguments and environment together are longer than the kernel takes",
        ],
        fix: &["write each word as its own string, or name a shell", "shorten them, or put them into a file"],
        example: "\"args\": [\"/bin/echo hello\"]\n\"args\": [\"/bin/echo\", \"hello\"]\n\"args\": [\"/bin/sh\", \"-c\", \"echo hello\"]",
        lab: None,
        see: &["process.args", "execve(2)"],
    },
];
