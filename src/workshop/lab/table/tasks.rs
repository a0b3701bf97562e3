//! Labs on the task model of cloud platforms: up to ten containers with one network interface and one address, a disk of their
//! own that goes with them, metadata at a fixed address, and a kernel of their own.
//!
//! What a platform does around containers, a runtime can show in small: each part is one line of config.json or one flag.

use super::{Effect, Expect, Lab, NO_FLAGS, Need, Switch, Test, run_flags};

pub const LABS: &[Lab] = &[
    Lab {
        name: "task-net",
        about: "the containers of a task share one network: 127.0.0.1 is the same place",
        text: "\
A task (or pod) is several containers in one network namespace: one interface, one address, one set of
ports. Everything else is still apart: processes, mounts, host name.
A web server runs in one container, on 127.0.0.1. A second one, the sidecar, asks for its page.
OFF  the sidecar was started with --net-of: it joined the network namespace of the web server.
ON   it has one of its own: same address, another place.
In config.json: {\"type\": \"network\", \"path\": \"/proc/PID/ns/net\"}.
So within a task the network is no boundary. Put what must be kept apart into two tasks.",
        refs: &["network_namespaces(7)", "setns(2)", "runtime-spec: config-linux.md, Namespaces"],
        needs: &[],
        danger: None,
        base: "[]",
        switch: Switch::Flags { off: run_flags("--net-of @id@-web"), on: NO_FLAGS },
        inside: r#"
if [ "$1" = web ]; then
    echo "one task" > /tmp/page
    httpd -p 127.0.0.1:80 -h /tmp
    readlink /proc/self/ns/net > /share/web
    exec sleep 60
fi
echo "same_namespace=$([ "$(readlink /proc/self/ns/net)" = "$(cat /share/web)" ] && echo yes || echo no)"
echo "page=$(wget -q -O - http://127.0.0.1/page 2> /dev/null || echo out of reach)"
"#,
        outside: r#"
flags=$RUN_FLAGS
RUN_FLAGS=
container web &
until_there "$DIR/share/web"
RUN_FLAGS=$flags
container sidecar
"$RRUN" --root "$STATE" kill "$ID-web" KILL
wait
"#,
        effect: Effect { fact: "page", test: Test::Is("one task") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "task-disk",
        about: "a container fills the disk, unless its layer has a size",
        text: "\
A container writes to a layer on top of its image. Without a limit that layer is the host's disk, and a log
that grows can fill it for everybody.
The lab writes 24 MiB.
OFF  it can. (--overlay: a throw-away layer, no size.)
ON   --overlay-size 16m: write(2) fails with ENOSPC.
In both nothing is left afterwards: the layer is ephemeral, the image is as it was.
Platforms: 10 GB of layers plus 4 GB for volumes were the figures of Fargate's platform up to 1.3.0; since 1.4.0 a
task has 20 to 200 GiB of encrypted ephemeral storage (ephemeralStorage).",
        refs: &["src/concepts/layers/writable.rs", "https://docs.kernel.org/filesystems/overlayfs.html"],
        needs: &[],
        danger: None,
        base: r#"[{"op": "replace", "path": "/root/readonly", "value": false}]"#,
        switch: Switch::Flags { off: run_flags("--overlay"), on: run_flags("--overlay --overlay-size 16m") },
        inside: r#"
if dd if=/dev/zero of=/big bs=1M count=24 2> /tmp/why; then
    echo "write_24M=done"
else
    echo "write_24M=$(sed -n 's/^dd: .*: //p' /tmp/why)"
fi
"#,
        outside: r#"
container web
echo "left_in_the_image=$([ -e "$ROOT/big" ] && echo yes || echo no)"
"#,
        effect: Effect { fact: "write_24M", test: Test::Is("done") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "task-hostpath",
        about: "a path of the host in a container: what it writes is on the host",
        text: "\
A volume with a host path (`host.sourcePath`, `-v /path:/path`) is a bind mount: the same directory, seen from
two places. Platforms that put tasks of different customers on one host forbid it: the field must not be set.
OFF  the container has a directory of the host at /host, writable: its file is there, owned by root.
ON   the mount is gone, and so is the way.
With / or /etc in that place it would be the whole host. `rrun explain` calls this finding MNT-HOST.",
        refs: &["mount(8), bind mounts", "CIS Docker Benchmark 1.6.0: 5.6", "src/concepts/mounts/bind.rs"],
        needs: &[],
        danger: None,
        base: r#"[{"op": "add", "path": "/mounts/-", "value":
  {"destination": "/host", "type": "bind", "source": "@dir@/host", "options": ["rbind", "rw", "nosuid", "nodev"]}}]"#,
        switch: Switch::Patch(r#"[{"op": "remove", "path": "/mounts/9"}]"#),
        inside: r#"
if (echo "from a container" > /host/file) 2> /tmp/why; then
    echo "write=done"
else
    echo "write=$(sed 's/.*: //' /tmp/why)"
fi
"#,
        outside: r#"
rm -rf "$DIR/host"
mkdir "$DIR/host"
container web
echo "on_the_host=$(cat "$DIR/host/file" 2> /dev/null || echo nothing)"
"#,
        effect: Effect { fact: "on_the_host", test: Test::Is("from a container") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "task-stats",
        about: "what a task learns about itself from the metadata endpoint",
        text: "\
A task can ask for its own figures at $ECS_CONTAINER_METADATA_URI_V4 (version 4; version 2 at 169.254.170.2
is old): /task for what it is made of, /stats and /task/stats for what it uses. What /stats returns is the
object of Docker's interface, and `rrun stats --format docker` prints the same for any container.
OFF  the object says 64: the outer limit that every lab has.
ON   linux.resources.pids.limit is 10, and the object says so.
Figures come from the cgroup, from outside. What a container sees in its own /proc is the machine's.",
        refs: &["cgroups(7)", "src/workshop/stats/docker.rs"],
        needs: &[Need::Controller("pids")],
        danger: None,
        base: r#"[{"op": "replace", "path": "/linux/resources/pids/limit", "value": 64}]"#,
        switch: Switch::Patch(r#"[{"op": "replace", "path": "/linux/resources/pids/limit", "value": 10}]"#),
        inside: r#"
touch /share/up
exec sleep 60
"#,
        outside: r#"
container web &
until_there "$DIR/share/up"
"$RRUN" --root "$STATE" stats --format docker "$ID-web" > "$DIR/stats"
flat=$(tr -d ' \n' < "$DIR/stats")
of() { echo "$flat" | sed -n "s/.*\"$1\":{[^}]*\"$2\":\([0-9]*\).*/\1/p" | head -n 1; }
echo "pids_current=$(of pids_stats current)"
echo "pids_limit=$(of pids_stats limit)"
echo "memory_limit=$(of memory_stats limit)"
"$RRUN" --root "$STATE" kill "$ID-web" KILL
wait
"#,
        effect: Effect { fact: "pids_limit", test: Test::Is("64") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "task-kernel",
        about: "two containers, one kernel: the same boot, the same version",
        text: "\
The kernel makes one random number when it starts: the boot id. Two virtual machines have two; two containers have
one, and it is the host's.
There is no switch. ON is a container with everything that `spec --profile hardened` has.
A system call of a container is a call into this one kernel: its version, its bugs, its memory. That is the
difference to platforms that give each task a small virtual machine: there the boundary is the hardware's.",
        refs: &["random(4)", "rrun explain, \"Always shared with the host\""],
        needs: &[],
        danger: None,
        base: "[]",
        switch: Switch::None,
        inside: r#"
cat /proc/sys/kernel/random/boot_id > "/share/$1"
echo "kernel_of_$1=$(uname -r)"
"#,
        outside: r#"
container one
container two
echo "kernel_of_host=$(uname -r)"
boot=$(cat /proc/sys/kernel/random/boot_id)
if [ "$(cat "$DIR/share/one")" = "$boot" ] && [ "$(cat "$DIR/share/two")" = "$boot" ]; then
    echo "boot_ids=one and the same"
else
    echo "boot_ids=different"
fi
"#,
        effect: Effect { fact: "boot_ids", test: Test::Is("one and the same") },
        expect: Expect::Both,
    },
];
