# shellcheck shell=bash disable=SC2016
# The list for Docker Engine: sourced by sandbox.sh.

set -euo pipefail

dir=$ENGINES_DIR
export dir DOCKER_HOST=unix:///run/docker.sock
mkdir -p "$dir/path" /etc/docker
# BuildKit inside dockerd takes no notice of the default runtime: it looks for "runc" in PATH.
ln -s "$ENGINES_RUNTIME" "$dir/path/runc"

# start_docker [FLAG…]: starts dockerd and waits for it. Live-restore: containers outlive the daemon.
start_docker() {
    jq '. + {"default-runtime": "rrun", "live-restore": true}' /usr/local/share/rrun/docker-daemon.json \
        > /etc/docker/daemon.json
    PATH=$dir/path:$PATH dockerd --storage-driver overlay2 --oom-score-adjust 0 -H "$DOCKER_HOST" "$@" >> "$dir/log/dockerd" 2>&1 &
    dockerd=$!
    soon 'docker version'
    docker image inspect box > /dev/null 2>&1 || docker load -qi "$dir/../images/box.tar" > /dev/null
}

stop_docker() {
    kill "${1:--TERM}" "$dockerd"
    wait "$dockerd" 2> /dev/null || true
}

start_docker

# --- run
is 'run' hello 'docker run --rm box echo hello'
is 'standard input' in 'echo in | docker run --rm -i box cat'
is 'standard error' err 'docker run --rm box sh -c "echo err >&2" 2>&1 > /dev/null'
is 'a terminal' '/dev/pts/0*1' 'script -qec "docker run --rm -it box sh -c \"tty; ls /dev/pts | grep -c 0\"" /dev/null'
is 'the size of the terminal' '24 80' 'script -qec "stty rows 24 cols 80; docker run --rm -it box sh -c \"sleep 0.5; stty size\"" /dev/null'
is 'environment' 'a b' 'docker run --rm -e "X=a b" box sh -c "echo \$X"'
is 'working directory' /made/here 'docker run --rm -w /made/here box pwd'
is 'host name' inside 'docker run --rm -h inside box hostname'
is 'first process' 1 'docker run --rm box sh -c "echo \$\$"'
is 'networks' '127.0.0.1' 'docker run --rm box sh -c "ping -c1 127.0.0.1 | sed -n \"s/^PING \([^ ]*\).*/\1/p\""'
is 'a port is published' pong 'docker run -d --name port -p 8080:80 box sh -c "while :; do echo pong | nc -l -p 80; done" > /dev/null; soon "busybox nc -w1 127.0.0.1 8080 < /dev/null | grep -q pong"; echo pong; docker rm -f port > /dev/null'

# --- exit statuses
exits 'status 0' 0 'docker run --rm box true'
exits 'status 3' 3 'docker run --rm box sh -c "exit 3"'
exits 'status 125: the engine refuses' 125 'docker run --rm --network nosuch box true'
exits 'status 126: not executable' 126 'docker run --rm box /etc/passwd'
exits 'status 126: a directory' 126 'docker run --rm box /etc'
exits 'status 127: not in PATH' 127 'docker run --rm box nosuch'
exits 'status 127: no such file' 127 'docker run --rm box /nosuch'
is 'the message: not in PATH' '*exec: "nosuch": executable file not found in $PATH*' 'docker run --rm box nosuch'
is 'the message: no such file' '*exec: "/nosuch": stat /nosuch: no such file or directory*' 'docker run --rm box /nosuch'
is 'the message: not executable' '*exec: "/etc/passwd": permission denied*' 'docker run --rm box /etc/passwd'
is 'the message: file mounted over a directory' '*not a directory*Are you trying to mount a directory onto a file*' 'docker run --rm -v /etc/passwd:/tmp box true'
is 'status 137: killed' 137 'docker run -d --name killed box sleep 100 > /dev/null; docker kill killed > /dev/null; docker wait killed; docker rm killed > /dev/null'
is 'status of create and start' 5 'docker create --name cs box sh -c "exit 5" > /dev/null; docker start -a cs > /dev/null; echo $?; docker rm cs > /dev/null'

# --- exec, on one container
docker run -d --name main box sh -c 'trap "echo usr1" USR1; trap "exit 9" TERM; echo started; while :; do sleep 0.1; done' > /dev/null
is 'exec' hi 'docker exec main echo hi'
is 'exec: standard input' in 'echo in | docker exec -i main cat'
is 'exec: a terminal' '/dev/pts/*' 'script -qec "docker exec -it main tty" /dev/null'
exits 'exec: status 7' 7 'docker exec main sh -c "exit 7"'
exits 'exec: status 126 for a missing program' 126 'docker exec main nosuch'
is 'exec: the message' '*exec failed: unable to start container process: exec: "nosuch": executable file not found in $PATH*' 'docker exec main nosuch'
exits 'exec: status 126, not executable' 126 'docker exec main /etc/passwd'
is 'exec: user and groups' 'uid=1000(user) gid=1000(user) groups=1000(user)*' 'docker exec -u user main id'
is 'exec: ids' '1234 2345' 'docker exec -u 1234:2345 main sh -c "echo \$(id -u) \$(id -g)"'
is 'exec: directory and environment' '/tmp 1' 'docker exec -w /tmp -e A=1 main sh -c "echo \$PWD \$A"'
is 'exec: detached' made 'docker exec -d main touch /tmp/made; soon "docker exec main ls /tmp/made"; docker exec main sh -c "echo \$(ls /tmp)"'
is 'exec: same namespaces' same 'docker exec main sh -c "for n in ipc mnt net pid uts; do [ \$(readlink /proc/1/ns/\$n) = \$(readlink /proc/self/ns/\$n) ] || echo \$n; done; echo same"'
is 'exec: capabilities as the container' 'CapEff:	00000000a80425fb' 'docker exec main grep CapEff /proc/self/status'
is 'exec: 10 in parallel' 10 'for i in $(seq 10); do docker exec main echo x & done | grep -c x'
is 'exec: a closed pipe is no error' y 'docker exec main yes 2> /dev/null | head -n1'

# --- watching
is 'logs' 'started*' 'docker logs main'
is 'logs: follow ends with the container' 'one
two' 'docker run -d --name lo box sh -c "echo one; sleep 1; echo two" > /dev/null; docker logs -f lo; docker rm lo > /dev/null'
is 'top' '*PID*sleep 0.1*' 'soon "docker top main | grep sleep"; docker top main; docker top main | grep -q "sleep 0.1" || echo sleep 0.1'
is 'top: with options of ps' '*PID*COMMAND*' 'docker top main -o pid,comm'
is 'stats' 'main *' 'docker stats --no-stream --format "{{.Name}} {{.PIDs}} {{.MemUsage}}" main'
is 'inspect: state and pid' 'running true' '[ -d /proc/$(docker inspect -f "{{.State.Pid}}" main) ] && docker inspect -f "{{.State.Status}} {{.State.Running}}" main'
is 'kill: a signal by name' '*usr1*' 'docker kill -s USR1 main > /dev/null; soon "docker logs main | grep usr1"; docker logs main'
is 'attach' '*usr1*' 'timeout 2 docker attach --no-stdin --sig-proxy=false main & sleep 1; docker kill -s USR1 main > /dev/null; wait'
is 'events' '*create*start*die*' 'a=$(date +%s); docker run --rm --name ev box true; docker events --since $a --until $(($(date +%s) + 1)) --filter container=ev --format "{{.Status}}" | tr "\n" " "'
is 'diff and cp' 'A /tmp/copied' 'docker run -d --name dc box sleep 100 > /dev/null; docker cp /etc/hostname dc:/tmp/copied; docker diff dc | grep copied; docker rm -f dc > /dev/null'
is 'wait' 4 'docker run -d --name wa box sh -c "sleep 0.3; exit 4" > /dev/null; docker wait wa; docker rm wa > /dev/null'

# --- pause, limits, update
is 'pause' 'paused running' 'docker pause main > /dev/null; a=$(docker inspect -f "{{.State.Status}}" main); docker unpause main > /dev/null; echo $a $(docker inspect -f "{{.State.Status}}" main)'
is 'pause: exec is refused' '*is paused*' 'docker pause main > /dev/null; docker exec main true; docker unpause main > /dev/null'
# Docker moves its containers to a private cgroup namespace on v2 only; on v1 the limits are below the host's paths.
limit() { # NAME OF v1/FILE, FILE of v2: what the container main says
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then docker exec main cat "/sys/fs/cgroup/$2"; else docker exec main cat "/sys/fs/cgroup/$1"; fi
}
export -f limit
docker rm -f main > /dev/null
docker run -d --name main --memory 32m --memory-swap 32m --cpus 0.5 --pids-limit 50 --cpu-shares 512 box sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done' > /dev/null
is 'limits: memory' 33554432 'limit memory/memory.limit_in_bytes memory.max'
is 'limits: CPU' '50000*' 'limit cpu/cpu.cfs_quota_us cpu.max'
is 'limits: processes' 50 'limit pids/pids.max pids.max'
is 'update: memory' 67108864 'docker update --memory 64m --memory-swap 64m main > /dev/null; limit memory/memory.limit_in_bytes memory.max'
is 'update: CPU' '70000*' 'docker update --cpus 0.7 main > /dev/null; limit cpu/cpu.cfs_quota_us cpu.max'
is 'update: processes' 60 'docker update --pids-limit 60 main > /dev/null; limit pids/pids.max pids.max'
is 'update: the rest stays' '67108864 70000*' 'echo $(limit memory/memory.limit_in_bytes memory.max) $(limit cpu/cpu.cfs_quota_us cpu.max)'
is 'update: restart policy only' main 'docker update --restart no main'
is 'processes are limited' '*Resource temporarily unavailable*' 'docker run --rm --pids-limit 5 box sh -c "for i in 1 2 3 4 5 6 7; do sleep 1 & done; wait" 2>&1 | sed "s/can.t fork: //"'
# When the first process is the victim, Docker may hear of its end before it hears of the reason, with any runtime.
measured is 'out of memory is reported' '137 true' 'docker run --name oom --memory 16m --memory-swap 16m box sh -c "tail /dev/zero; a=\$?; sleep 0.5; exit \$a" > /dev/null 2>&1; docker inspect -f "{{.State.ExitCode}} {{.State.OOMKilled}}" oom; docker rm oom > /dev/null'
is 'cpuset' 0 'docker run --rm --cpuset-cpus 0 box sh -c "grep Cpus_allowed_list /proc/self/status | cut -f2"'
is 'block IO weight and shares are taken' ok 'docker run --rm --cpu-shares 100 box echo ok'
is 'cgroup parent' '*/mine/*' 'docker run --rm --cgroup-parent /mine box cat /proc/self/cgroup'
is 'stop: the signal is TERM' 9 'docker stop main > /dev/null; docker inspect -f "{{.State.ExitCode}}" main; docker rm main > /dev/null'
is 'stop: killed after the grace time' 137 'docker run -d --name st box sleep 100 > /dev/null; docker stop -t 1 st > /dev/null; docker inspect -f "{{.State.ExitCode}}" st; docker rm st > /dev/null'
is 'restart' 'running' 'docker run -d --name re box sleep 100 > /dev/null; docker restart -t 0 re > /dev/null; docker inspect -f "{{.State.Status}}" re; docker rm -f re > /dev/null'

# --- security
is 'seccomp: the default profile is in force' 'Seccomp:	2' 'docker run --rm box grep Seccomp: /proc/self/status'
is 'seccomp: keyctl, mount and unshare are refused' '*Operation not permitted*' 'docker run --rm --cap-add SYS_ADMIN --security-opt no-new-privileges box sh -c "unshare -U true" ; docker run --rm box unshare -U true'
is 'seccomp: unconfined' 'Seccomp:	0' 'docker run --rm --security-opt seccomp=unconfined box grep Seccomp: /proc/self/status'
is 'seccomp: a profile of the user' '*Operation not permitted*' 'echo "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\",\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\"}]}" > $dir/sc.json; docker run --rm --security-opt seccomp=$dir/sc.json box mkdir /x'
is 'no new privileges' 'NoNewPrivs:	1' 'docker run --rm --security-opt no-new-privileges box grep NoNewPrivs /proc/self/status'
is 'capabilities: default' 'CapEff:	00000000a80425fb' 'docker run --rm box grep CapEff /proc/self/status'
is 'capabilities: none' 'CapEff:	0000000000000000' 'docker run --rm --cap-drop ALL box grep CapEff /proc/self/status'
is 'capabilities: one more' 'CapEff:	00000000a80435fb' 'docker run --rm --cap-add NET_ADMIN box grep CapEff /proc/self/status'
is 'capabilities: a user has none' 'CapEff:	0000000000000000' 'docker run --rm -u 1000 box grep CapEff /proc/self/status'
is 'privileged' '*ffffff 0 mounted' 'docker run --rm --privileged box sh -c "echo \$(grep -E \"^(CapEff|Seccomp):\" /proc/self/status | cut -f2); mount -t tmpfs x /tmp && echo mounted" | tr "\n" " "'
is 'privileged: exec' 'CapEff:	*ffffff' 'docker run -d --name pe box sleep 100 > /dev/null; docker exec --privileged pe grep CapEff: /proc/self/status; docker rm -f pe > /dev/null'
is 'read-only root' '*Read-only file system*' 'docker run --rm --read-only box touch /x'
is 'read-only root: tmpfs is writable' ok 'docker run --rm --read-only --tmpfs /tmp box sh -c "touch /tmp/x && echo ok"'
is 'read-only paths' '*Read-only file system*' 'docker run --rm box sh -c "echo x > /proc/sys/kernel/domainname"'
is 'masked paths' '0' 'docker run --rm box sh -c "cat /proc/keys /proc/timer_list | wc -c"'
is '/sys is read-only' '*Read-only file system*' 'docker run --rm box sh -c "echo 1 > /sys/kernel/profiling"'
is 'cgroups are read-only' '*Read-only file system*Read-only file system*' 'docker run --rm box sh -c "mkdir /sys/fs/cgroup/x; echo > /sys/fs/cgroup/pids/tasks"'
is 'users: name' 'uid=1000(user) gid=1000(user)*' 'docker run --rm -u user box id'
is 'users: more groups' '*2000(extra)*' 'docker run --rm -u user --group-add extra box id'
is 'users: HOME' '/home/user' 'docker run --rm -u user box sh -c "echo \$HOME"'

# --- mounts, devices, limits, sysctls
mkdir -p "$dir/volume" && echo text > "$dir/volume/file"
is 'volume' text 'docker run --rm -v $dir/volume:/v box cat /v/file'
is 'volume: read-only' '*Read-only file system*' 'docker run --rm -v $dir/volume:/v:ro box touch /v/x'
is 'volume: a file' text 'docker run --rm -v $dir/volume/file:/v box cat /v'
is 'volume: named' kept 'docker run --rm -v named:/v box sh -c "echo kept > /v/x"; docker run --rm -v named:/v box cat /v/x; docker volume rm named > /dev/null'
is 'volume: what the image has is copied' passwd 'docker run --rm -v etc:/etc box ls /etc/passwd | xargs basename; docker volume rm etc > /dev/null'
mount --bind "$dir/volume" "$dir/volume" && mount --make-shared "$dir/volume" && mkdir "$dir/volume/sub"
is 'propagation: slave sees later mounts' later 'docker run -d --name pr -v $dir/volume:/v:rslave box sleep 100 > /dev/null; mount -t tmpfs x $dir/volume/sub; touch $dir/volume/sub/later; docker exec pr ls /v/sub; umount $dir/volume/sub; docker rm -f pr > /dev/null'
is 'propagation: private does not' 0 'docker run -d --name pr -v $dir/volume:/v box sleep 100 > /dev/null; mount -t tmpfs x $dir/volume/sub; touch $dir/volume/sub/later; docker exec pr ls /v/sub | wc -l; umount $dir/volume/sub; docker rm -f pr > /dev/null'
is 'propagation: shared goes out' inside 'docker run --rm --cap-add SYS_ADMIN --security-opt seccomp=unconfined -v $dir/volume:/v:rshared box sh -c "mount -t tmpfs x /v/sub; touch /v/sub/inside"; ls $dir/volume/sub; umount $dir/volume/sub'
is 'bind without submounts' 0 'mount -t tmpfs x $dir/volume/sub; touch $dir/volume/sub/x; docker run --rm --mount type=bind,src=$dir/volume,dst=/v,bind-nonrecursive box ls /v/sub | wc -l; umount $dir/volume/sub'
is 'tmpfs: size and mode' '1024 1770' 'docker run --rm --tmpfs /x:size=1m,mode=1770 box sh -c "echo \$(df -k /x | tail -n1 | tr -s \" \" | cut -d\" \" -f2) \$(stat -c %a /x)"'
is 'shared memory size' 8192 'docker run --rm --shm-size 8m box sh -c "df -k /dev/shm | tail -n1 | tr -s \" \" | cut -d\" \" -f2"'
is 'resolv.conf, hosts' '*1.2.3.4*' 'docker run --rm --dns 1.2.3.4 box cat /etc/resolv.conf'
is 'devices: the usual ones' '*1, *3*' 'docker run --rm box ls -l /dev/null'
is 'devices: one more' ok 'docker run --rm --device /dev/fuse:/dev/my:r box sh -c ": < /dev/my && echo ok"'
is 'devices: only to read' '*not permitted*' 'docker run --rm --device /dev/fuse:/dev/my:r box sh -c ": > /dev/my"'
is 'devices: others are refused' '*Operation not permitted*' 'docker run --rm box sh -c "mknod /tmp/fuse c 10 229 && : < /tmp/fuse"'
is 'devices: a rule with a wildcard' ok 'docker run --rm --device-cgroup-rule "c 10:* rmw" box sh -c "mknod /tmp/fuse c 10 229 && : < /tmp/fuse && echo ok"'
is 'ulimits' '100 200' 'docker run --rm --ulimit nofile=100:200 box sh -c "echo \$(ulimit -Sn) \$(ulimit -Hn)"'
is 'sysctls' 1 'docker run --rm --sysctl net.ipv4.conf.all.forwarding=1 box cat /proc/sys/net/ipv4/conf/all/forwarding'
is 'sysctls: of the IPC namespace' 77 'docker run --rm --sysctl kernel.msgmax=77 box cat /proc/sys/kernel/msgmax'
exits 'sysctls: an unknown one' 127 'docker run --rm --sysctl net.ipv4.nosuch=1 box true'
is 'OOM score' 500 'docker run --rm --oom-score-adj 500 box cat /proc/self/oom_score_adj'

# --- namespaces
is 'init' '*/sbin/docker-init -- *' 'docker run --rm --init box sh -c "tr \"\\0\" \" \" < /proc/1/cmdline"'
is 'pid: the host' same 'docker run --rm --pid host box sh -c "readlink /proc/self/ns/pid" | grep -qxF "$(readlink /proc/self/ns/pid)" && echo same'
docker run -d --name other box sleep 100 > /dev/null
is 'pid: of a container' '*sleep 100*' 'docker run --rm --pid container:other box ps'
is 'ipc: the host' same '[ "$(docker run --rm --ipc host box readlink /proc/self/ns/ipc)" = "$(readlink /proc/self/ns/ipc)" ] && echo same'
is 'ipc: of a container' same 'docker run -d --ipc shareable --name sh box sleep 100 > /dev/null; [ "$(docker run --rm --ipc container:sh box readlink /proc/self/ns/ipc)" = "$(docker exec sh readlink /proc/self/ns/ipc)" ] && echo same; docker rm -f sh > /dev/null'
is 'net: the host' same '[ "$(docker run --rm --net host box readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo same'
is 'net: of a container' same '[ "$(docker run --rm --net container:other box readlink /proc/self/ns/net)" = "$(docker exec other readlink /proc/self/ns/net)" ] && echo same'
is 'net: none' 'lo' 'docker run --rm --net none box ls /sys/class/net | grep -v tunl0 | grep -v sit0 | head -n1'
is 'uts: the host' same '[ "$(docker run --rm --uts host box readlink /proc/self/ns/uts)" = "$(readlink /proc/self/ns/uts)" ] && echo same'
is 'cgroup: private' '*:/' 'docker run --rm --cgroupns private box cat /proc/self/cgroup | tail -n1'
docker rm -f other > /dev/null

# --- long lives
is 'health check' healthy 'docker run -d --name he --health-cmd "ls /etc/passwd" --health-interval 1s box sleep 100 > /dev/null; soon "[ \$(docker inspect -f {{.State.Health.Status}} he) = healthy ]"; docker inspect -f "{{.State.Health.Status}}" he; docker rm -f he > /dev/null'
is 'health check: fails' unhealthy 'docker run -d --name he --health-cmd "exit 1" --health-interval 1s --health-retries 1 box sleep 100 > /dev/null; soon "[ \$(docker inspect -f {{.State.Health.Status}} he) = unhealthy ]"; docker inspect -f "{{.State.Health.Status}}" he; docker rm -f he > /dev/null'
is 'restart policy' 2 'docker run -d --name rp --restart on-failure:2 box sh -c "exit 1" > /dev/null; soon "[ \$(docker inspect -f {{.RestartCount}}{{.State.Status}} rp) = 2exited ]"; docker inspect -f "{{.RestartCount}}" rp; docker rm -f rp > /dev/null'
is '20 in parallel' 20 'for i in $(seq 20); do docker run --rm box echo up & done | grep -c up'
is 'commit' kept 'docker run --name co box sh -c "echo kept > /x"; docker commit co mine > /dev/null; docker run --rm mine cat /x; docker rm co > /dev/null; docker rmi mine > /dev/null'

# --- build
mkdir "$dir/build"
cat > "$dir/build/Dockerfile" <<'END'
FROM box
ARG who=nobody
ENV WHO=$who
RUN echo "$WHO $(id -u)" > /who && mkdir /d && chown user /d
USER user
RUN touch /d/file
COPY Dockerfile /d/
CMD cat /who; ls /d
END
is 'build: classic' 'me 0
Dockerfile
file' 'DOCKER_BUILDKIT=0 docker build -q --build-arg who=me -t built $dir/build > /dev/null; docker run --rm built; docker rmi -f built > /dev/null'
is 'build: BuildKit' 'me 0
Dockerfile
file' 'DOCKER_BUILDKIT=1 docker build -q --build-arg who=me -t built $dir/build > /dev/null; docker run --rm built; docker rmi -f built > /dev/null'
exits 'build: a failing step' 3 'printf "FROM box\nRUN exit 3\n" > $dir/build/Bad; DOCKER_BUILDKIT=0 docker build -f $dir/build/Bad $dir/build'
is 'build: a failing step, BuildKit' '*exit code: 3*' 'DOCKER_BUILDKIT=1 docker build --progress plain -f $dir/build/Bad $dir/build'

# --- the daemon dies and comes back while containers run
if wanted 'the daemon is killed: containers go on'; then
    docker run -d --name alive box sh -c 'while :; do sleep 0.1; done' > /dev/null
    pid=$(docker inspect -f '{{.State.Pid}}' alive)
    export pid
    stop_docker -KILL
    start_docker
    is 'the daemon is killed: containers go on' "$pid hi" 'echo $(docker inspect -f "{{.State.Pid}}" alive) $(docker exec alive echo hi)'
    docker rm -f alive > /dev/null
fi

# --- user namespaces for all containers
if wanted 'userns-remap: ids' || wanted 'userns-remap: exec' || wanted 'userns-remap: volumes'; then
    stop_docker
    start_docker --userns-remap engines
    is 'userns-remap: ids' '0 200000 65536' 'echo $(docker run --rm box cat /proc/self/uid_map)'
    is 'userns-remap: exec' '0 200000' 'docker run -d --name ur box sleep 100 > /dev/null; echo $(docker exec ur id -u) $(stat -c %u /proc/$(docker inspect -f "{{.State.Pid}}" ur)); docker rm -f ur > /dev/null'
    is 'userns-remap: volumes' '*Permission denied*' 'chmod 700 $dir/volume; docker run --rm -v $dir/volume:/v box ls /v'
    is 'userns-remap: the host on demand' '0 0 4294967295' 'echo $(docker run --rm --userns host box cat /proc/self/uid_map)'
fi

documented Docker

# --- what is left
docker rm -f main > /dev/null 2>&1 || true
is 'no state is left' '' 'docker ps -aq; find /run/docker /run/rrun /run/runc -name state.json 2> /dev/null'
is 'no cgroup is left' '' 'find /sys/fs/cgroup -type d -path "*/docker/*" | grep -v buildkit'
stop_docker
