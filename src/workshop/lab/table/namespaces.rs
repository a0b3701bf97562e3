//! Labs on namespaces that are shared with the host: its processes, its network.
//!
//! Sharing one is a line that is missing in config.json, or one flag of an engine (`--pid host`, `--net host`).

use super::{Effect, Expect, Lab, Switch, Test};

pub const LABS: &[Lab] = &[
    Lab {
        name: "hostpid",
        about: "a container that sees the host's processes reads the host's files",
        text: "\
Without a PID namespace of its own, a container sees every process of the host, and /proc/PID/root of each is
the root that this process has: the host's.
The lab starts a process on the host and lays a secret into a directory of its own.
OFF  with CAP_SYS_PTRACE the container walks through that process into the host's file tree, past its own
     root. (Without the capability the kernel answers EACCES: seeing is not yet reaching.)
ON   in a PID namespace of its own, that process does not exist.
It takes both, the shared namespace and the capability; tools for debugging often ask for just this pair.",
        refs: &["pid_namespaces(7)", "proc_pid_root(5)", "ptrace(2)", "CIS Docker Benchmark 1.6.0: 5.16"],
        needs: &[],
        danger: Some("a container of it may look into every process of this machine"),
        base: r#"[
  {"op": "remove", "path": "/linux/namespaces/0"},
  {"op": "replace", "path": "/process/capabilities", "value":
    {"bounding": ["CAP_SYS_PTRACE"], "effective": ["CAP_SYS_PTRACE"], "permitted": ["CAP_SYS_PTRACE"]}}
]"#,
        switch: Switch::Patch(r#"[{"op": "add", "path": "/linux/namespaces/-", "value": {"type": "pid"}}]"#),
        inside: r#"
echo "processes=$(ls /proc | grep -c '^[0-9]')"
read pid path < /share/where
if secret=$(cat "/proc/$pid/root$path" 2> /tmp/why); then
    echo "secret=$secret"
else
    echo "secret=$(sed 's/.*: //' /tmp/why)"
fi
"#,
        outside: r#"
echo "of the host" > "$DIR/secret"
sleep 60 &
pid=$!
echo "$pid $DIR/secret" > "$DIR/share/where"
container web
kill $pid
"#,
        effect: Effect { fact: "secret", test: Test::Is("of the host") },
        expect: Expect::OffOnly,
    },
    Lab {
        name: "hostnet",
        about: "a container in the host's network reaches what listens on 127.0.0.1 only",
        text: "\
Databases, debuggers and the control ports of engines listen on 127.0.0.1 \"for local use only\". Local means: in the
same network namespace. The abstract unix sockets (names that begin with @) belong to it as well.
The lab starts a small web server on the host's 127.0.0.1.
OFF  the container has no network namespace of its own: it sees the host's interfaces and reaches the server.
ON   it has: the only interface is its own lo, and its 127.0.0.1 is another place. (Where tunnels are built into the
     kernel, each namespace has an idle one of each kind, too: sit0, tunl0.)
The code that routes and filters is the same kernel's in both; what a namespace has of its own is the state:
interfaces, addresses, routes, rules, connections.",
        refs: &["network_namespaces(7)", "unix(7)", "CVE-2020-15257", "CIS Docker Benchmark 1.6.0: 5.10"],
        needs: &[],
        danger: None,
        base: r#"[{"op": "remove", "path": "/linux/namespaces/1"}]"#,
        switch: Switch::Patch(r#"[{"op": "add", "path": "/linux/namespaces/-", "value": {"type": "network"}}]"#),
        inside: r#"
echo "interfaces=$(sed -n 's/^ *\([^ :|]*\):.*/\1/p' /proc/net/dev | sort | head -n 4 | tr '\n' ' ')"
read port < /share/port
if wget -q -O /tmp/page "http://127.0.0.1:$port/hello" 2> /dev/null; then
    echo "local_server=$(cat /tmp/page)"
else
    echo "local_server=out of reach"
fi
"#,
        outside: r#"
mkdir -p "$DIR/www"
echo "reached" > "$DIR/www/hello"
port=$((20000 + $$ % 20000))
httpd -f -p 127.0.0.1:$port -h "$DIR/www" &
server=$!
for try in 1 2 3 4 5 6 7 8 9 10; do
    wget -q -O /dev/null http://127.0.0.1:$port/hello 2> /dev/null && break
    usleep 100000
done
echo $port > "$DIR/share/port"
container web
kill $server
"#,
        effect: Effect { fact: "local_server", test: Test::Is("reached") },
        expect: Expect::OffOnly,
    },
];
