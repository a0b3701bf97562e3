//! Labs on the kernel that all containers share: its files below /proc, its device nodes, its cache of files, its dirty pages.
//!
//! For the last two no switch exists. They show where a container ends and only a kernel of its own would go on.

use super::{Effect, Expect, Lab, Need, Switch, Test};

pub const LABS: &[Lab] = &[
    Lab {
        name: "readonly",
        about: "a container sets a parameter of the host's kernel",
        text: "\
/proc/sys holds the parameters of the kernel. Some belong to a namespace, most to the one kernel.
core_pattern names a program that the kernel runs, as root of the host and outside of all namespaces, when
any process crashes. Who can write it has the host.
OFF  root of the container can. (The lab writes back the value that it read.)
ON   readonlyPaths puts a read-only mount over /proc/sys: EROFS.
No capability is needed for this write, only uid 0; a user namespace would stop it as well.",
        refs: &["core(5)", "runtime-spec: config-linux.md, Readonly Paths", "CVE-2025-52881", "src/concepts/masks.rs"],
        needs: &[],
        danger: None,
        base: r#"[{"op": "remove", "path": "/linux/readonlyPaths"}]"#,
        switch: Switch::Patch(
            r#"[{"op": "add", "path": "/linux/readonlyPaths",
  "value": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]}]"#,
        ),
        inside: r#"
file=/proc/sys/kernel/core_pattern
[ -e $file ] || file=/proc/sys/vm/swappiness
echo "file=$file"
value=$(cat $file)
if (printf '%s\n' "$value" > $file) 2> /tmp/why; then
    echo "write=done"
else
    echo "write=$(sed 's/.*: //' /tmp/why)"
fi
"#,
        outside: "
container web
",
        effect: Effect { fact: "write", test: Test::Is("done") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "masked",
        about: "a container reads what the kernel knows of the whole machine",
        text: "\
Not everything below /proc belongs to a namespace. timer_list names the timers of all processes of the
machine, with addresses of the kernel; keys lists the keyrings of the reader's user; kcore is the memory.
OFF  the files can be read.
ON   maskedPaths puts an empty file over each: it is still there, and has no content.
A mask is a mount. Who may mount or unmount in the container could take it away, so it goes with the loss
of CAP_SYS_ADMIN and with a seccomp filter.",
        refs: &["proc(5)", "runtime-spec: config-linux.md, Masked Paths", "CVE-2025-31133", "src/concepts/masks.rs"],
        needs: &[Need::File("/proc/keys")],
        danger: None,
        base: r#"[{"op": "remove", "path": "/linux/maskedPaths"}]"#,
        switch: Switch::Patch(
            r#"[{"op": "add", "path": "/linux/maskedPaths", "value": ["/proc/timer_list", "/proc/keys", "/proc/kcore", "/sys/firmware"]}]"#,
        ),
        inside: r#"
timers=$(cat /proc/timer_list 2> /dev/null | wc -c)
keys=$(cat /proc/keys 2> /dev/null | wc -c)
echo "timer_list_bytes=$timers"
echo "keys_bytes=$keys"
echo "bytes=$((timers + keys))"
"#,
        outside: "
container web
",
        effect: Effect { fact: "bytes", test: Test::Above(0) },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "device",
        about: "a container makes a device node and reads a disk of the host",
        text: "\
A device node is a name for a pair of numbers. Whoever may make one and open it talks to the hardware, past
all mounts and file permissions. Two things guard it: CAP_MKNOD for making, and the device rules of the
cgroup for making and opening.
The disk is a loop device on a file of this lab, which another process of the host wrote a secret into.
OFF  CAP_MKNOD, and a rule that allows all devices: the container reads the secret from the disk itself.
ON   the rule denies all devices but null, zero, full, random, urandom, tty and the terminals: EPERM.
cgroup v1 has files for these rules; v2 has a BPF program, which rrun writes itself.",
        refs: &["mknod(2)", "runtime-spec: config-linux.md, Device allow list", "src/concepts/cgroups/devices.rs"],
        needs: &[Need::File("/dev/loop-control"), Need::Controller("devices")],
        danger: Some("a container of it may open every device of this machine"),
        base: r#"[
  {"op": "replace", "path": "/linux/resources/devices", "value": [{"allow": true, "access": "rwm"}]},
  {"op": "replace", "path": "/process/capabilities", "value":
    {"bounding": ["CAP_MKNOD"], "effective": ["CAP_MKNOD"], "permitted": ["CAP_MKNOD"]}}
]"#,
        switch: Switch::Patch(
            r#"[{"op": "replace", "path": "/linux/resources/devices", "value": [{"allow": false, "access": "rwm"}]}]"#,
        ),
        inside: r#"
read major minor < /share/numbers
if mknod /dev/disk b $major $minor 2> /tmp/why && secret=$(head -n 1 /dev/disk 2> /tmp/why); then
    echo "disk=$secret"
else
    echo "disk=$(sed 's/.*: //' /tmp/why)"
fi
"#,
        outside: r#"
echo "a secret of the host" > "$DIR/disk"
truncate -s 1M "$DIR/disk"
# Not in the middle of this. While 4 is open the disk stays, then the kernel takes it down, however the lab ends.
trap '' TERM
attached=
for try in 1 2 3 4 5; do
    device=$(losetup -f)
    losetup "$device" "$DIR/disk" && attached=yes && break
done
[ -n "$attached" ] || exit 1
exec 4< "$device"
losetup -d "$device"
trap - TERM
echo "$((0x$(stat -c %t "$device"))) $((0x$(stat -c %T "$device")))" > "$DIR/share/numbers"
container web
"#,
        effect: Effect { fact: "disk", test: Test::Is("a secret of the host") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "pagecache",
        about: "two containers read a file: the second finds it in the memory of the first",
        text: "\
There is one page cache. A file that lies below two containers (a layer of an image, a volume) is read from
the disk once, whoever reads it first; then it is in memory for all.
The lab counts the bytes that each of two containers caused to be read from the disk.
There is no switch. ON is a container with everything that `spec --profile hardened` has, and it is the same.
What is good for speed is a channel between containers: who measures time can tell what others read. And a bug in this
one memory management is a bug in all containers: with Dirty COW (CVE-2016-5195) and Dirty Pipe (CVE-2022-0847) a
process wrote into cached pages of files that it could only read.",
        refs: &["CVE-2016-5195", "CVE-2022-0847", "proc_pid_io(5)"],
        needs: &[Need::File("/proc/self/io"), Need::Disk],
        danger: None,
        base: "[]",
        switch: Switch::None,
        inside: r#"
dd if=/share/data of=/dev/null bs=1M 2> /dev/null
bytes=$(sed -n 's/^read_bytes: //p' /proc/$$/io)
echo "$1=$((bytes / 1024)) KiB from disk"
"#,
        outside: r#"
dd if=/dev/urandom of="$DIR/share/data" bs=1M count=32 2> /dev/null
chmod 644 "$DIR/share/data"
"$RRUN" lab witness uncache "$DIR/share/data"
container first > "$DIR/one"
container second > "$DIR/two"
cat "$DIR/one" "$DIR/two"
# A few KiB may have left the memory meanwhile, of the file or of the program that reads it.
first=$(sed 's/.*=\([0-9]*\) .*/\1/' "$DIR/one") second=$(sed 's/.*=\([0-9]*\) .*/\1/' "$DIR/two")
if [ "$first" -ge 32768 ] && [ "$second" -lt 1024 ]; then echo "cache=shared"; else echo "cache=unclear"; fi
"#,
        effect: Effect { fact: "cache", test: Test::Is("shared") },
        expect: Expect::Both,
    },
    Lab {
        name: "dirty",
        about: "the host writes a file; the dirty pages show up in a container",
        text: "\
Written data waits in memory until the kernel brings it to the disk: dirty pages. How many there may be is one number
for the machine (vm.dirty_ratio), and a process that writes is stopped when it is reached, whoever filled it.
The lab looks at Dirty in the container's /proc/meminfo while the host writes 64 MiB.
There is no switch: meminfo belongs to no namespace, and the limit to no cgroup of v1. (With cgroup v2 the
memory controller also counts dirty pages per group, so that a writer is slowed down first for its own.)
So a neighbour that only writes makes your writes slow.",
        refs: &["proc_meminfo(5)", "https://docs.kernel.org/admin-guide/sysctl/vm.html"],
        needs: &[Need::Disk],
        danger: None,
        base: "[]",
        switch: Switch::None,
        inside: r#"
dirty() { sed -n 's/^Dirty: *\([0-9]*\) kB/\1/p' /proc/meminfo; }
rise=0
for try in 1 2 3 4 5; do
    before=$(dirty)
    touch /share/ready$try
    until [ -e /share/written$try ]; do usleep 20000; done
    after=$(dirty)
    rise=$((after - before))
    [ $rise -lt 32768 ] || break
done
echo "dirty_before=$before kB"
echo "dirty_after=$after kB"
if [ $rise -ge 32768 ]; then echo "host_writes=seen"; else echo "host_writes=unclear"; fi
touch /share/done
"#,
        outside: r#"
container web &
for try in 1 2 3 4 5; do
    until [ -e "$DIR/share/ready$try" ] || [ -e "$DIR/share/done" ]; do usleep 20000; done
    [ ! -e "$DIR/share/done" ] || break
    dd if=/dev/zero of="$DIR/data$try" bs=1M count=64 2> /dev/null
    touch "$DIR/share/written$try"
done
wait
rm -f "$DIR"/data*
"#,
        effect: Effect { fact: "host_writes", test: Test::Is("seen") },
        expect: Expect::Both,
    },
];
