//! Labs on who a process is and what it may become: user namespaces, no_new_privs, the seccomp filter that guards both, a
//! misspelt key, and a working directory that would lead out.
//!
//! The scripts are shown as they run; a student can paste any line of them into a shell.

use super::{Effect, Expect, Flags, Lab, NO_FLAGS, Need, Switch, Test};

pub const LABS: &[Lab] = &[
    Lab {
        name: "userns",
        about: "root of a container makes a setuid program; a user of the host runs it",
        text: "\
Without a user namespace, uid 0 of a container is uid 0 of the host: the same number, the same owner of
files. What keeps it in is everything else (mounts, capabilities, filters).
Here a container's root leaves a setuid file in a directory that it shares with the host, and a user of
the host who has no rights at all executes it.
OFF  the file belongs to root: whoever runs it is root of the host.
ON   the container's ids 0 to 65535 are 100000 to 165535 of the host. The file belongs to 100000, a user
     who owns nothing else.
The program is a copy of id(1); only this lab's own user, a number that nobody has, can reach it.
Look at the map itself: rrun exec ID cat /proc/self/uid_map",
        refs: &["user_namespaces(7)", "CVE-2019-5736", "CVE-2024-21626", "CIS Docker Benchmark 1.6.0: 2.9"],
        needs: &[Need::UserNamespaces, Need::Setuid, Need::Program("setpriv"), Need::Program("id")],
        danger: None,
        base: "[]",
        switch: Switch::Patch(
            r#"[
  {"op": "add", "path": "/linux/namespaces/-", "value": {"type": "user"}},
  {"op": "add", "path": "/linux/uidMappings", "value": [{"containerID": 0, "hostID": 100000, "size": 65536}]},
  {"op": "add", "path": "/linux/gidMappings", "value": [{"containerID": 0, "hostID": 100000, "size": 65536}]}
]"#,
        ),
        inside: r#"
cp /share/id.host /share/id
chmod 4755 /share/id
echo "uid_inside=$(id -u)"
"#,
        outside: r#"
cp "$(of_host id)" "$DIR/share/id.host"
container web
echo "owner_outside=$(stat -c %u "$DIR/share/id")"
echo "euid=$(as_user "$DIR/share/id" -u)"
"#,
        effect: Effect { fact: "euid", test: Test::Is("0") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "nnp",
        about: "a user of the container becomes its root by a setuid program",
        text: "\
A setuid program runs as its owner, whoever starts it. An image is full of them: su, mount, passwd.
The process here is uid 1000 without any capability. The image has a setuid su, and a root without a
password, as many small images do.
OFF  su makes it root, with the capabilities of the bounding set.
ON   no_new_privs: from now on execve(2) never gives more than the caller has. It is a bit of the process,
     children inherit it, and nothing takes it away.
It costs nothing, and almost no server needs to be without it.
Look at it: rrun exec ID grep NoNewPrivs /proc/self/status",
        refs: &["prctl(2), PR_SET_NO_NEW_PRIVS", "execve(2)", "CIS Docker Benchmark 1.6.0: 5.26"],
        needs: &[Need::Setuid],
        danger: None,
        base: r#"[
  {"op": "replace", "path": "/process/noNewPrivileges", "value": false},
  {"op": "replace", "path": "/process/user", "value": {"uid": 1000, "gid": 1000}},
  {"op": "replace", "path": "/process/capabilities", "value": {"bounding": ["CAP_SETUID", "CAP_SETGID"]}}
]"#,
        switch: Switch::Patch(r#"[{"op": "replace", "path": "/process/noNewPrivileges", "value": true}]"#),
        inside: r#"
echo "uid_before=$(id -u)"
echo "uid=$(/bin/su root -c 'id -u' 2>&1)"
"#,
        outside: r#"
rm -f "$ROOT/bin/su"
cp "$ROOT/bin/busybox" "$ROOT/bin/su"
chmod 4755 "$ROOT/bin/su"
container web
"#,
        effect: Effect { fact: "uid", test: Test::Is("0") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "seccomp-unshare",
        about: "a process without rights makes a user namespace and has all capabilities in it",
        text: "\
User namespaces protect the host from a container's root. They also let every process become root of a
namespace of its own, and so reach code of the kernel that only root could reach before: file systems,
firewall rules, network devices. Many kernel bugs of the last years were of use only because of this.
The process here is uid 1000, has no capability, and cannot get one by execve (no_new_privs).
OFF  unshare(2) makes a user namespace, and all 41 capabilities are there, inside it.
ON   a seccomp filter allows the calls on a list. unshare is not on it, nor is clone with that flag.
The filter is that of `rrun spec --profile hardened`.",
        refs: &["seccomp(2)", "user_namespaces(7)", "CVE-2022-0185", "src/bundle/template/filter.rs"],
        needs: &[Need::UserNamespaces],
        danger: None,
        base: r#"[
  {"op": "replace", "path": "/process/user", "value": {"uid": 1000, "gid": 1000}},
  {"op": "replace", "path": "/process/capabilities", "value": {}},
  {"op": "add", "path": "/mounts/-", "value":
    {"destination": "/bin/rrun", "type": "bind", "source": "@rrun@", "options": ["bind", "ro", "nosuid", "nodev"]}}
]"#,
        switch: Switch::Patch(r#"[{"op": "add", "path": "/linux/seccomp", "value": "@seccomp@"}]"#),
        inside: r#"
echo "capabilities_before=$(sed -n 's/^CapEff:.//p' /proc/self/status)"
rrun lab witness user-namespace
"#,
        outside: "
container web
",
        effect: Effect { fact: "new_user_namespace", test: Test::Is("made") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "typo",
        about: "one wrong letter in config.json, and a protection is not there",
        text: "\
The specification tells runtimes to ignore keys that they do not know. So `noNewPrivileged` (for
`noNewPrivileges`) starts a container without the protection that its author wrote down, and nobody sees it.
OFF  the container starts; the bit is 0. rrun obeys, but warns and names the key that was probably meant.
ON   with --strict (or RRUN_STRICT=1) every warning is an error: nothing starts.
Use --strict in every pipeline that builds a bundle.",
        refs: &["runtime-spec: config.md, Extensibility", "src/bundle/keys.rs"],
        needs: &[],
        danger: None,
        base: r#"[
  {"op": "remove", "path": "/process/noNewPrivileges"},
  {"op": "add", "path": "/process/noNewPrivileged", "value": true}
]"#,
        switch: Switch::Flags { off: NO_FLAGS, on: Flags { global: "--strict", run: "" } },
        inside: r#"
echo "no_new_privs=$(sed -n 's/^NoNewPrivs:.//p' /proc/self/status)"
"#,
        outside: r#"
container web 2> "$DIR/why"
echo "status=$?"
echo "told=$(grep -o 'did you mean [a-zA-Z.]*' "$DIR/why" | head -n 1)"
"#,
        effect: Effect { fact: "no_new_privs", test: Test::Is("0") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "cwd-fd",
        about: "a working directory that is an open directory of the host",
        text: "\
If the program that starts a container has a directory of the host open, and leaks it, then
/proc/self/fd/3 inside is that directory. A config with this as its working directory once put processes
outside of the container's root, with the whole host before them (CVE-2024-21626, \"Leaky Vessels\").
OFF  the working directory is / : the container starts.
ON   it is /proc/self/fd/3, and the caller has a directory of the host open there. rrun refuses: all
     descriptors but the agreed ones are closed before anything is made, and where the working directory
     lies is looked at after it was entered.
No setting of rrun lets it through; there is nothing to switch off.",
        refs: &["CVE-2024-21626", "src/concepts/identity/directory.rs", "src/verbs/mod.rs, seal_off"],
        needs: &[],
        danger: None,
        base: "[]",
        switch: Switch::Patch(r#"[{"op": "replace", "path": "/process/cwd", "value": "/proc/self/fd/3"}]"#),
        inside: r#"
echo "started=yes"
echo "directory=$(pwd)"
"#,
        outside: r#"
exec 3< "$DIR"
container web 2> "$DIR/why"
echo "status=$?"
said=$(sed -n '1s/.*config.json failed: \([a-z ]*\).*/\1/p' "$DIR/why")
echo "said=${said:--}"
"#,
        effect: Effect { fact: "started", test: Test::Is("yes") },
        expect: Expect::OffOnly,
    },
];
