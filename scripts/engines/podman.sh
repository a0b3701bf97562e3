# shellcheck shell=bash disable=SC2016
# The list for Podman: sourced by sandbox.sh as root, and by rootless.sh for a user without rights.

set -euo pipefail

dir=$ENGINES_DIR
user=${ENGINES_USER:-0}
export dir user
cd /

# pm …: podman as the user of this list.
pm() {
    if [ "$user" = 0 ]; then
        podman "$@"
    else
        setpriv --reuid "$user" --regid "$user" --init-groups \
            env HOME="$dir/user" XDG_RUNTIME_DIR="/run/user/$user" TMPDIR="$dir/tmp" podman "$@"
    fi
}
export -f pm

# Rootless containers have groups where the user was given some: on v2, by systemd. Else none of this works with any runtime.
if [ "$user" = 0 ]; then grouped() { "$@"; }; else grouped() { skip "$2" 'a user without rights has no cgroups on this machine'; }; fi

# Podman asks for a million files and processes, which may be more than this machine allows.
files=$(ulimit -Hn) processes=$(ulimit -Hu)
[ "$processes" != unlimited ] || processes=1048576
cat > /etc/containers/containers.conf.d/90-engines.conf << END
[containers]
log_driver = "k8s-file"
default_sysctls = []
default_ulimits = ["nofile=$files:$files", "nproc=$processes:$processes"]
[engine]
runtime = "$ENGINES_RUNTIME"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
echo '{"default": [{"type": "insecureAcceptAnything"}]}' > /etc/containers/policy.json
mkdir -p "/run/user/$user" "$dir/volume"
chmod 700 "/run/user/$user"
echo text > "$dir/volume/file"
chown -R "$user:$user" "/run/user/$user" "$dir/volume"
pm load -qi "$dir/../images/box.tar" > /dev/null

# --- run
is 'run' hello 'pm run --rm box echo hello'
is 'standard input' in 'echo in | pm run --rm -i box cat'
is 'standard error' err 'pm run --rm box sh -c "echo err >&2" 2>&1 > /dev/null'
is 'a terminal' '/dev/pts/0' 'script -qec "pm run --rm -it box tty" /dev/null'
is 'environment, directory, host name' 'a b /tmp inside' 'pm run --rm -e "X=a b" -w /tmp -h inside box sh -c "echo \$X \$PWD \$(hostname)"'
is 'inherited descriptors' fd 'pm run --rm --preserve-fds 1 box sh -c "cat <&3" 3< <(echo fd)'
is 'networks' '127.0.0.1/8 10.*' 'pm run --rm box ip -4 -o addr | tr -s " " | cut -d" " -f4 | tr "\n" " "'

# --- exit statuses
exits 'status 0' 0 'pm run --rm box true'
exits 'status 3' 3 'pm run --rm box sh -c "exit 3"'
exits 'status 125: the engine refuses' 125 'pm run --rm --network nosuch box true'
exits 'status 126: not executable' 126 'pm run --rm box /etc/passwd'
exits 'status 126: a directory' 126 'pm run --rm box /etc'
exits 'status 127: not in PATH' 127 'pm run --rm box nosuch'
exits 'status 127: no such file' 127 'pm run --rm box /nosuch'
is 'the message: not in PATH' '*exec: "nosuch": executable file not found in $PATH*' 'pm run --rm box nosuch'
is 'the message: not executable' '*exec: "/etc/passwd": permission denied*' 'pm run --rm box /etc/passwd'
is 'the message is all of it' 'Error: *' 'pm run --rm -v $dir/volume/file:/tmp box true'
is 'status 137: killed' 137 'pm run -d --name killed box sleep 100 > /dev/null; pm kill killed > /dev/null; pm wait killed; pm rm killed > /dev/null'

# --- exec, on one container
pm run -d --name main box sh -c 'trap "echo usr1" USR1; trap "exit 9" TERM; echo started; while :; do sleep 0.1; done' > /dev/null
is 'exec' hi 'pm exec main echo hi'
is 'exec: standard input' in 'echo in | pm exec -i main cat'
is 'exec: a terminal' '/dev/pts/*' 'script -qec "pm exec -it main tty" /dev/null'
exits 'exec: status 7' 7 'pm exec main sh -c "exit 7"'
exits 'exec: status 127' 127 'pm exec main nosuch'
exits 'exec: status 126' 126 'pm exec main /etc/passwd'
is 'exec: the message' '*exec: "nosuch": executable file not found in $PATH*' 'pm exec main nosuch'
is 'exec: user, directory, environment' '1000 /tmp 1' 'pm exec -u user -w /tmp -e A=1 main sh -c "echo \$(id -u) \$PWD \$A"'
is 'exec: detached' /tmp/made 'pm exec -d main touch /tmp/made > /dev/null; soon "pm exec main ls /tmp/made"; pm exec main ls /tmp/made'
is 'exec: 5 in parallel' 5 'for i in 1 2 3 4 5; do pm exec main echo x & done | grep -c x'

# --- watching
is 'logs' started 'pm logs main | head -n1'
is 'top' '*sh*' 'pm top main comm'
is 'top: with options of ps' '*PID*' 'pm top main -o pid,comm'
is 'inspect: state and pid' running 'pm inspect -f "{{.State.Status}}" main; [ -d /proc/$(pm inspect -f "{{.State.Pid}}" main) ]'
is 'ps' '*main*' 'pm ps --format "{{.Names}} {{.Status}}"'
is 'kill: a signal by name' '*usr1*' 'pm kill -s USR1 main > /dev/null; soon "pm logs main | grep usr1"; pm logs main'
is 'events' '*create*start*died*' 'a=$(date +%s); pm run --name ev box true; pm events --since $a --stream=false --filter container=ev --format "{{.Status}}" | tr "\n" " "; pm rm ev > /dev/null'
is 'cp and diff' 'A /tmp/copied' 'pm cp /etc/hostname main:/tmp/copied; pm diff main | grep copied'
is 'attach' '*usr1*' 'timeout 3 bash -c "pm attach --no-stdin --sig-proxy=false main" & sleep 1; pm kill -s USR1 main > /dev/null; wait'
grouped is 'stats' 'main *' 'pm stats --no-stream --format "{{.Name}} {{.PIDS}}" main'

# --- pause, limits, update
grouped is 'pause' 'paused running' 'pm pause main > /dev/null; a=$(pm inspect -f "{{.State.Status}}" main); pm unpause main > /dev/null; echo $a $(pm inspect -f "{{.State.Status}}" main)'
is 'stop: the signal is TERM' 9 'pm stop main > /dev/null; pm inspect -f "{{.State.ExitCode}}" main; pm rm main > /dev/null'
is 'stop: killed after the grace time' 137 'pm run -d --name st box sleep 100 > /dev/null; pm stop -t 1 st > /dev/null 2>&1; pm inspect -f "{{.State.ExitCode}}" st; pm rm st > /dev/null'
is 'restart' running 'pm run -d --name re box sleep 100 > /dev/null; pm restart -t 0 re > /dev/null 2>&1; pm inspect -f "{{.State.Status}}" re; pm rm -ft0 re > /dev/null'
limit() { # FILE of v1, FILE of v2: what the group of the container li says
    local path
    path=$(pm inspect -f '{{.State.CgroupPath}}' li)
    cat "/sys/fs/cgroup/${1%%/*}$path/${1##*/}" "/sys/fs/cgroup$path/$2" 2> /dev/null
}
export -f limit
if [ "$user" = 0 ]; then
    pm run -d --name li --memory 32m --memory-swap 32m --cpus 0.5 --pids-limit 50 box sleep 100 > /dev/null
fi
grouped is 'limits: memory' 33554432 'limit memory/memory.limit_in_bytes memory.max'
grouped is 'limits: CPU' '50000*' 'limit cpu/cpu.cfs_quota_us cpu.max'
grouped is 'limits: processes' 50 'limit pids/pids.max pids.max'
grouped is 'update: memory' 67108864 'pm update --memory 64m --memory-swap 64m li > /dev/null; limit memory/memory.limit_in_bytes memory.max'
grouped is 'update: CPU' '70000*' 'pm update --cpus 0.7 li > /dev/null; limit cpu/cpu.cfs_quota_us cpu.max'
[ "$user" != 0 ] || pm rm -ft0 li > /dev/null
grouped is 'out of memory: status' 137 'pm run --rm --memory 16m --memory-swap 16m box tail /dev/zero > /dev/null 2>&1; echo $?'
grouped is 'processes are limited' '*Resource temporarily unavailable*' 'pm run --rm --pids-limit 5 box sh -c "for i in 1 2 3 4 5 6 7; do sleep 1 & done; wait"'
is 'without cgroups' ok 'pm run --rm --cgroups disabled box echo ok'
is 'cgroup: private' '*:/' 'pm run --rm --cgroupns private box cat /proc/self/cgroup | tail -n1'

# --- security
is 'seccomp: the default profile is in force' 'Seccomp:	2' 'pm run --rm box grep Seccomp: /proc/self/status'
is 'seccomp: unconfined' 'Seccomp:	0' 'pm run --rm --security-opt seccomp=unconfined box grep Seccomp: /proc/self/status'
is 'no new privileges' 'NoNewPrivs:	1' 'pm run --rm --security-opt no-new-privileges box grep NoNewPrivs /proc/self/status'
is 'capabilities: default' 'CapEff:	00000000800405fb' 'pm run --rm box grep CapEff /proc/self/status'
is 'capabilities: none' 'CapEff:	0000000000000000' 'pm run --rm --cap-drop ALL box grep CapEff /proc/self/status'
is 'capabilities: one more' 'CapEff:	00000000800415fb' 'pm run --rm --cap-add NET_ADMIN box grep CapEff /proc/self/status'
is 'privileged' '*ffffff 0 mounted' 'pm run --rm --privileged box sh -c "echo \$(grep -E \"^(CapEff|Seccomp):\" /proc/self/status | cut -f2); mount -t tmpfs x /tmp && echo mounted" | tr "\n" " "'
is 'read-only root' '*Read-only file system*' 'pm run --rm --read-only box touch /x'
is 'read-only root: tmpfs is writable' ok 'pm run --rm --read-only box sh -c "touch /tmp/x && echo ok"'
is 'read-only paths' '*Read-only file system*' 'pm run --rm box sh -c "echo x > /proc/sys/kernel/domainname"'
is 'masked paths' 0 'pm run --rm box sh -c "cat /proc/keys /proc/timer_list | wc -c"'
is 'masked paths: one more, and one less' '0' 'pm run --rm --security-opt mask=/etc/group box sh -c "cat /etc/group | wc -c"'
is 'users and groups' 'uid=1000(user) gid=1000(user)*2000(extra)*' 'pm run --rm -u user --group-add extra box id'
is 'users: umask' 0077 'pm run --rm --umask 0077 box sh -c umask'

# --- mounts, devices, limits, sysctls
is 'volume' text 'pm run --rm -v $dir/volume:/v box cat /v/file'
is 'volume: read-only' '*Read-only file system*' 'pm run --rm -v $dir/volume:/v:ro box touch /v/x'
is 'volume: given to the user' 1000 'mkdir $dir/given; chown $user:$user $dir/given; pm run --rm -u user -v $dir/given:/v:U box stat -c %u /v'
is 'volume: named' kept 'pm run --rm -v named:/v box sh -c "echo kept > /v/x"; pm run --rm -v named:/v box cat /v/x; pm volume rm named > /dev/null'
is 'volume: over a layer of its own' '1 text' 'pm run --rm -v $dir/volume:/v:O box sh -c "echo new > /v/new; ls /v | wc -l" > /dev/null; echo $(ls $dir/volume | wc -l) $(cat $dir/volume/file)'
is 'an image as a volume' root 'pm run --rm --mount type=image,src=box,dst=/i box sh -c "ls -d /i/root | xargs basename"'
is 'tmpfs: size and mode' '1024 1770' 'pm run --rm --tmpfs /x:size=1m,mode=1770 box sh -c "echo \$(df -k /x | tail -n1 | tr -s \" \" | cut -d\" \" -f2) \$(stat -c %a /x)"'
is 'tmpfs: with what the image has' passwd 'pm run --rm --mount type=tmpfs,dst=/etc,tmpcopyup box sh -c "ls /etc/passwd | xargs basename"'
is 'devices: one more' ok 'pm run --rm --device /dev/fuse:/dev/my box sh -c ": < /dev/my && echo ok"'
grouped is 'devices: others are refused' '*Operation not permitted*' 'pm run --rm --cap-add MKNOD box sh -c "mknod /tmp/fuse c 10 229 && : < /tmp/fuse"'
is 'ulimits' '100 200' 'pm run --rm --ulimit nofile=100:200 --ulimit nproc=100:100 box sh -c "echo \$(ulimit -Sn) \$(ulimit -Hn)"'
is 'sysctls' 1 'pm run --rm --sysctl net.ipv4.conf.all.forwarding=1 box cat /proc/sys/net/ipv4/conf/all/forwarding'
is 'shared memory size' 8192 'pm run --rm --shm-size 8m box sh -c "df -k /dev/shm | tail -n1 | tr -s \" \" | cut -d\" \" -f2"'
is 'time zone, personality, hosts' '*1.2.3.4*' 'pm run --rm --add-host x:1.2.3.4 box cat /etc/hosts'

# --- namespaces
is 'init' '*init -- *' 'pm run --rm --init box sh -c "tr \"\\0\" \" \" < /proc/1/cmdline"'
is 'pid: the host' same '[ "$(pm run --rm --pid host box readlink /proc/self/ns/pid)" = "$(readlink /proc/self/ns/pid)" ] && echo same'
pm run -d --name other box sleep 100 > /dev/null
is 'pid: of a container' '*sleep 100*' 'pm run --rm --pid container:other box ps'
is 'ipc: of a container' same '[ "$(pm run --rm --ipc container:other box readlink /proc/self/ns/ipc)" = "$(pm exec other readlink /proc/self/ns/ipc)" ] && echo same'
is 'net: of a container' same '[ "$(pm run --rm --net container:other box readlink /proc/self/ns/net)" = "$(pm exec other readlink /proc/self/ns/net)" ] && echo same'
is 'net: the host' same '[ "$(pm run --rm --net host box readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo same'
is 'net: none' '1' 'pm run --rm --net none box ip -o addr | grep -c "inet "'
is 'uts: the host' same '[ "$(pm run --rm --uts host box hostname)" = "$(hostname)" ] && echo same'
is 'user namespace: chosen map' '0 * 100 0' 'echo $(pm run --rm --uidmap 0:1:100 --gidmap 0:1:100 box sh -c "cat /proc/self/uid_map; id -u")'
if [ "$user" = 0 ]; then
    is 'user namespace: given by podman' '0 * 0' 'echo $(pm run --rm --userns auto:size=1000 box sh -c "cat /proc/self/uid_map; id -u")'
else
    is 'user namespace: my id is kept' "$user" 'pm run --rm --userns keep-id box id -u'
fi
is 'user namespace: exec' 0 'pm run -d --name ue --uidmap 0:1:100 --gidmap 0:1:100 box sleep 100 > /dev/null; pm exec ue id -u'
is 'user namespace: of a container' same '[ "$(pm run --rm --userns container:ue box readlink /proc/self/ns/user)" = "$(pm exec ue readlink /proc/self/ns/user)" ] && echo same'
pm rm -ft0 other ue > /dev/null 2>&1 || true

# --- pods
is 'pod: one network' pong 'pm pod create --infra-image box --infra-command "sleep 1000" --name po > /dev/null; pm run -d --pod po --name po1 box sh -c "while :; do echo pong | nc -l -p 80; done" > /dev/null; soon "pm run --rm --pod po box nc -w1 127.0.0.1 80 < /dev/null | grep pong"; pm run --rm --pod po box nc -w1 127.0.0.1 80 < /dev/null'
is 'pod: one pid namespace' '*sleep 1000*' 'pm pod rm -ft0 po > /dev/null; pm pod create --infra-image box --infra-command "sleep 1000" --share pid,ipc,net,uts --name po > /dev/null; pm run --rm --pod po box ps'
grouped is 'pod: pause' 'Paused Running' 'pm pod pause po > /dev/null; a=$(pm pod inspect po | jq -r .State); pm pod unpause po > /dev/null; echo $a $(pm pod inspect po | jq -r .State)'
is 'pod: stop and start' Running 'pm pod stop -t0 po > /dev/null; pm pod start po > /dev/null; pm pod inspect po | jq -r .State; pm pod rm -ft0 po > /dev/null'

# --- long lives
is 'health check' healthy 'pm run -d --name he --health-cmd "ls /etc/passwd" --health-interval disable box sleep 100 > /dev/null; pm healthcheck run he; pm inspect -f "{{.State.Health.Status}}" he; pm rm -ft0 he > /dev/null'
is 'restart policy' 2 'pm run -d --name rp --restart on-failure:2 box sh -c "exit 1" > /dev/null; soon "[ \$(pm inspect -f {{.RestartCount}}{{.State.Status}} rp) = 2exited ]"; pm inspect -f "{{.RestartCount}}" rp; pm rm -ft0 rp > /dev/null'
is 'readiness is told' ready 'pm run -d --name no --sdnotify container -v /usr/bin/busybox:/bb:ro box sh -c "echo \$NOTIFY_SOCKET; sleep 100" > /dev/null; echo ready; pm rm -ft0 no > /dev/null'
is '10 in parallel' 10 'for i in $(seq 10); do pm run --rm box echo up & done | grep -c up'
is 'commit' kept 'pm run --name co box sh -c "echo kept > /x"; pm commit -q co mine > /dev/null; pm run --rm mine cat /x; pm rm co > /dev/null; pm rmi mine > /dev/null'

# --- build
mkdir -p "$dir/build"
printf 'FROM box\nRUN echo "$(id -u)" > /who && mkdir /d && chown user /d\nUSER user\nRUN touch /d/file\nCMD cat /who; ls /d\n' > "$dir/build/Containerfile"
is 'build' '0
file' 'pm build --runtime $ENGINES_RUNTIME --isolation oci --network host -q -t built $dir/build > /dev/null 2> $dir/err || cat $dir/err; pm run --rm built; pm rmi -f built > /dev/null'
exits 'build: a failing step' 3 'printf "FROM box\nRUN exit 3\n" > $dir/build/Bad; pm build --runtime $ENGINES_RUNTIME --isolation oci --network host -f $dir/build/Bad $dir/build'

if [ "$user" = 0 ]; then
    documented 'Podman and Buildah'
    documented CRI-O
    buildah rm b > /dev/null 2>&1 || true
fi

# --- what is left
is 'no container is left' '' 'pm ps -aq'
is 'no state is left' '' 'find /run/rrun /run/runc /run/user -name state.json 2> /dev/null'
[ "$user" = 0 ] || pm system migrate
