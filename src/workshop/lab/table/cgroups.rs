//! Labs on limits: how many processes, how much memory, which processors, how much of them.
//!
//! A cgroup is no namespace: it hides nothing, it counts and limits. Without one, a container can take all that the machine has;
//! here an outer limit stands in for the machine, so that a lab cannot.

use super::{Effect, Expect, Lab, Need, Switch, Test};

pub const LABS: &[Lab] = &[
    Lab {
        name: "forkbomb",
        about: "a container starts processes until something stops it",
        text: "\
A process that only starts further ones fills the machine's table of processes; then nobody can start
anything, not even the administrator a shell. It takes no right at all.
The lab is no bomb: it wants 40 children that sleep.
OFF  it gets them all. (This lab's own outer limit is 64; a container without one has the machine's.)
ON   linux.resources.pids.limit is 10: fork(2) fails with EAGAIN, \"Resource temporarily unavailable\".
The limit counts threads as well, so leave room: a runtime of Go or Java has dozens.",
        refs: &["cgroups(7), pids", "fork(2)", "CIS Docker Benchmark 1.6.0: 5.29"],
        needs: &[Need::Controller("pids")],
        danger: None,
        base: "[]",
        switch: Switch::Patch(r#"[{"op": "replace", "path": "/linux/resources/pids/limit", "value": 10}]"#),
        inside: r#"
(
    n=0
    while [ $n -lt 40 ]; do
        sleep 20 &
        n=$((n + 1))
        echo $n > /tmp/n
    done
) 2> /tmp/why
read n < /tmp/n
echo "started=$n"
read why < /tmp/why && echo "said=${why##*: }"
"#,
        outside: "
container web
",
        effect: Effect { fact: "started", test: Test::Is("40") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "oom",
        about: "a container takes more memory than it may",
        text: "\
The program takes 64 MiB of memory, then writes 64 MiB into a file on disk, then 64 MiB into a tmpfs.
OFF  all three succeed: the memory is taken from everybody. (This lab's own outer limit is 256 MiB.)
ON   the limit is 32 MiB, swap included. Taking memory ends in SIGKILL (status 137 = 128 + 9), and so does
     the tmpfs, which is memory, too. The file on disk succeeds: its pages are cache, and are written out
     and dropped when the group is full.
In both the neighbour lives on: the kernel looks for a victim in the group that is full, and there only. Without any
group it would look in the whole machine.
Limit swap as well (memory.swap): a limit of memory alone makes a container slow, not small.",
        refs: &["cgroups(7), memory", "https://docs.kernel.org/admin-guide/cgroup-v2.html", "CIS Docker Benchmark 1.6.0: 5.11"],
        needs: &[Need::Controller("memory"), Need::Disk],
        danger: None,
        base: r#"[{"op": "replace", "path": "/mounts/7/options", "value": ["nosuid", "nodev", "mode=1777", "size=128m"]}]"#,
        switch: Switch::Patch(
            r#"[{"op": "replace", "path": "/linux/resources/memory", "value": {"limit": 33554432, "swap": 33554432}}]"#,
        ),
        inside: r#"
if [ "$1" = neighbour ]; then
    touch /share/neighbour
    exec sleep 60
fi
dd if=/dev/zero of=/dev/null bs=64M count=1 2> /dev/null
echo "memory_64M=status $?"
dd if=/dev/zero of=/share/file bs=1M count=64 2> /dev/null
echo "file_64M=status $?"
rm /share/file
exec dd if=/dev/zero of=/tmp/file bs=1M count=64 2> /dev/null
"#,
        outside: r#"
container neighbour &
until_there "$DIR/share/neighbour"
container web
echo "tmpfs_64M=status $?"
echo "neighbour=$("$RRUN" --root "$STATE" state "$ID-neighbour" | sed -n 's/.*"status": "\([a-z]*\)".*/\1/p')"
"$RRUN" --root "$STATE" kill "$ID-neighbour" KILL
wait
"#,
        effect: Effect { fact: "memory_64M", test: Test::Is("status 0") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "affinity",
        about: "a process that was narrowed to one processor widens itself again",
        text: "\
sched_setaffinity(2) tells the kernel on which processors a process may run. It is a request of the process
itself: what one call narrows, the next one widens.
OFF  the process first takes CPU 0, then CPU 1: both succeed.
ON   linux.resources.cpu.cpus is \"0\" (a cpuset). The second is EINVAL: none of what it asks for is left.
A quota (cpu.quota) limits how much, never where. And neither changes what /proc/cpuinfo shows: programs that
count processors there start too many threads.",
        refs: &["sched_setaffinity(2)", "cpuset(7)"],
        needs: &[Need::Controller("cpuset"), Need::TwoCpus],
        danger: None,
        base: "[]",
        switch: Switch::Patch(r#"[{"op": "add", "path": "/linux/resources/cpu", "value": {"cpus": "0"}}]"#),
        inside: r#"
take() { taskset -p $1 $$ > /dev/null 2> /tmp/why && echo "$2=taken" || echo "$2=$(sed 's/.*: //' /tmp/why)"; }
take 1 cpu_0
take 2 cpu_1
echo "in_cpuinfo=$(grep -c '^processor' /proc/cpuinfo)"
"#,
        outside: "
container web
",
        effect: Effect { fact: "cpu_1", test: Test::Is("taken") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "noisy",
        about: "a container that only spins, beside one that works",
        text: "\
Two processes spin in one container, while a neighbour counts as far as it can in two seconds.
OFF  nothing holds the noisy one back: it takes what the scheduler gives, and the neighbour shares the rest.
ON   cpu.quota gives it 5 of every 100 milliseconds: when they are used up the kernel stops it until the
     next period, and counts that in nr_throttled.
(cpu.shares only divides what is contended; a quota holds even on an idle machine.)
Compare what the neighbour reached. On a machine that does other things as well the numbers vary.
Even so, isolation is only in one layer: caches, memory bandwidth and the disk's queue are shared.",
        refs: &["cgroups(7), cpu", "https://docs.kernel.org/scheduler/sched-bwc.html", "CIS Docker Benchmark 1.6.0: 5.12"],
        needs: &[Need::Controller("cpu")],
        danger: None,
        base: "[]",
        switch: Switch::Patch(r#"[{"op": "add", "path": "/linux/resources/cpu", "value": {"quota": 5000, "period": 100000}}]"#),
        inside: r#"
if [ "$1" = neighbour ]; then
    timeout 2 sh -c 'n=0; tell() { echo neighbour_counted_to=$n; exit; }; trap tell TERM; while :; do n=$((n + 1)); done'
    exit
fi
touch /share/noisy
for spinner in 1 2; do
    timeout 3 sh -c 'while :; do :; done' &
done
wait
files="/sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat /sys/fs/cgroup/cpu,cpuacct/cpu.stat"
echo "throttled=$(cat $files 2> /dev/null | sed -n 's/^nr_throttled //p' | head -n 1)"
"#,
        outside: r#"
container noisy &
until_there "$DIR/share/noisy"
# The switch is about the noisy one.
CONFIG=$DIR/off.json
container neighbour 2> /dev/null
wait
"#,
        effect: Effect { fact: "throttled", test: Test::Is("0") },
        expect: Expect::OffOnly,
    },
];
