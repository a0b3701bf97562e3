# shellcheck shell=bash disable=SC2016
# The list for containerd: through its own client ctr, and through its CRI plugin as a kubelet. Sourced by sandbox.sh.

set -euo pipefail

dir=$ENGINES_DIR
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export dir here
export CONTAINERD_ADDRESS=/run/containerd/containerd.sock

mkdir -p /etc/cni/net.d /etc/containerd
rm -f /etc/cni/net.d/*
cat > /etc/cni/net.d/10-engines.conflist << 'END'
{"cniVersion": "0.4.0", "name": "engines", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true,
 "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.80.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
END
# Without CAP_SYS_RESOURCE oom_score_adj may not be lowered; then CRI is told to keep its own as the least.
(( 16#$(awk '/CapBnd/ { print $2 }' /proc/self/status) >> 24 & 1 )) && restrict=false || restrict=true
cat - /usr/local/share/rrun/containerd-1.toml > /etc/containerd/config.toml << END
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.6"
  restrict_oom_score_adj = $restrict
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
END

start_containerd() {
    containerd >> "$dir/log/containerd" 2>&1 &
    containerd=$!
    soon 'ctr version'
    for namespace in default k8s.io; do
        for file in box pause; do
            ctr -n $namespace images import "$dir/../images/$file.tar" > /dev/null
        done
    done
}

# crun FLAGS… ID COMMAND…: a container of the image box, with the runtime under test.
crun() { ctr run --runc-binary "$ENGINES_RUNTIME" "$@"; }
# end ID: kills and removes a detached container.
end() {
    ctr task kill -s KILL "$1"
    soon "ctr task delete $1"
    ctr container rm "$1"
}
export -f crun end
export image=docker.io/library/box:latest

start_containerd

# --- ctr
is 'run' hello 'crun --rm $image c1 echo hello'
exits 'run: status' 3 'crun --rm $image c1 sh -c "exit 3"'
is 'run: the message' '*exec: "nosuch": executable file not found in $PATH*' 'crun --rm $image c1 nosuch'
is 'run: a terminal' '/dev/pts/*' 'script -qec "crun --rm -t $image c1 tty" /dev/null'
is 'run: read-only' '*Read-only file system*' 'crun --rm --read-only $image c1 touch /x'
is 'run: the host network' same '[ "$(crun --rm --net-host $image c1 readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo same'
is 'run: seccomp' 'Seccomp:	2' 'crun --rm --seccomp $image c1 grep Seccomp: /proc/self/status'
is 'run: memory limit' 33554432 'crun -d --memory-limit 33554432 $image c1 sleep 100; cat /sys/fs/cgroup/memory/default/c1/memory.limit_in_bytes /sys/fs/cgroup/default/c1/memory.max 2> /dev/null; end c1'
is 'run: a mount' text 'mkdir -p $dir/v; echo text > $dir/v/f; crun --rm --mount type=bind,src=$dir/v,dst=/v,options=rbind:ro $image c1 cat /v/f'
crun -d "$image" main sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done' || true
is 'exec' hi 'ctr task exec --exec-id e1 main echo hi'
exits 'exec: status' 7 'ctr task exec --exec-id e1 main sh -c "exit 7"'
is 'exec: a terminal' '/dev/pts/*' 'script -qec "ctr task exec -t --exec-id e1 main tty" /dev/null'
is 'exec: user' 1000 'ctr task exec --user 1000 --exec-id e1 main id -u'
is 'exec: the message' '*exec failed: unable to start container process: exec: "nosuch": executable file not found in $PATH*' 'ctr task exec --exec-id e1 main nosuch'
is 'ps' '*PID*INFO*' 'ctr task ps main'
is 'list' '*main*RUNNING*' 'ctr task ls | grep main'
measured is 'metrics' '*memory*' 'ctr task metrics main'
is 'pause' '*PAUSED* *RUNNING*' 'ctr task pause main; a=$(ctr task ls | grep main); ctr task resume main; echo $a $(ctr task ls | grep main)'
is 'kill' STOPPED 'ctr task kill main; soon "ctr task ls | grep STOPPED"; ctr task ls | grep main | tr -s " " | cut -d" " -f3'
is 'delete: status' '*exit code 9*' 'ctr task delete main'
ctr container rm main || true
exits 'kill: gone' 1 'ctr task kill main'
is 'kill all' gone 'crun -d $image c1 sh -c "sleep 100 & sleep 100"; ctr task kill -a -s KILL c1; soon "ctr task delete c1"; ctr container rm c1; echo gone'
is '10 in parallel' 10 'for i in $(seq 10); do crun --rm $image p$i echo up & done | grep -c up'
measured is 'OOM event' '*/tasks/oom*' 'timeout 20 ctr events > $dir/events & sleep 0.5; crun --rm --memory-limit 16777216 $image c1 tail /dev/zero; soon "grep tasks/oom $dir/events"; cat $dir/events | grep oom'

# --- CRI, as a kubelet
cri() { /usr/bin/python3 "$here/cri.py" "$CONTAINERD_ADDRESS" "$1" "$2"; }
# pod NAME [LINUX]: starts a pod and prints its id. LINUX: the field "linux" of its configuration. As the kubelet does it, a
# pod on the host's network has no name of its own.
pod_config() {
    local linux=${2:-\{\}}
    jq -nc --arg name "$1" --arg logs "$dir/logs" --argjson linux "$linux" \
        '{metadata: {name: $name, uid: $name, namespace: "ns"}, hostname: (if $linux.security_context.namespace_options.network == 2 then "" else $name end), log_directory: $logs, linux: ({cgroup_parent: "/pods"} + $linux)}'
}
pod() { cri RunPodSandbox "{\"config\": $(pod_config "$@"), \"runtime_handler\": \"rrun\"}" | jq -r .pod_sandbox_id; }
# container POD NAME CONFIG: creates and starts a container in a pod and prints its id. CONFIG: more fields.
container() {
    local id
    id=$(jq -nc --arg pod "$1" --arg name "$2" --argjson more "$3" --argjson sandbox "$(pod_config pod)" \
        '{pod_sandbox_id: $pod, sandbox_config: $sandbox,
          config: ({metadata: {name: $name}, image: {image: "docker.io/library/box:latest"}, log_path: ($name + ".log"), command: ["sleep", "100"]} + $more)}')
    id=$(cri CreateContainer "$id" | jq -r .container_id) && cri StartContainer "{\"container_id\": \"$id\"}" > /dev/null && echo "$id"
}
# inside CONTAINER SHELL-CODE: runs it in a container.
inside() { cri ExecSync "$(jq -nc --arg id "$1" --arg code "$2" '{container_id: $id, cmd: ["sh", "-c", $code], timeout: 20}')"; }
# remove CONTAINER: stops and removes it.
remove() { cri StopContainer "{\"container_id\": \"$1\"}" > /dev/null; cri RemoveContainer "{\"container_id\": \"$1\"}" > /dev/null; }
remove_pod() { cri StopPodSandbox "{\"pod_sandbox_id\": \"$1\"}" > /dev/null; cri RemovePodSandbox "{\"pod_sandbox_id\": \"$1\"}" > /dev/null; }
state() { cri ContainerStatus "{\"container_id\": \"$1\"}" | jq -r .status.state; }
export -f cri pod pod_config container inside remove remove_pod state
mkdir -p "$dir/logs"

soon 'pod probe | grep -q ..' || true
is 'CRI: version' containerd 'cri Version {} | jq -r .runtime_name'
one=$(pod pod) || true
export one
is 'CRI: a pod runs' 0 'cri PodSandboxStatus "{\"pod_sandbox_id\": \"$one\"}" | jq .status.state'
is 'CRI: the pod has an address' '10.88.80.*' 'c=$(container $one net "{}"); inside $c "ip -4 -o addr show eth0" | sed "s/.*inet //"; remove $c'
is 'CRI: a container runs and writes its log' '*stdout F hello' 'c=$(container $one log "{\"command\": [\"echo\", \"hello\"]}"); soon "[ \$(state $c) = 2 ]"; cat $dir/logs/log.log; remove $c'
is 'CRI: the exit status' '5 Error' 'c=$(container $one status "{\"command\": [\"sh\", \"-c\", \"exit 5\"]}"); soon "[ \$(state $c) = 2 ]"; cri ContainerStatus "{\"container_id\": \"$c\"}" | jq -r "\"\(.status.exit_code) \(.status.reason)\""; remove $c'
is 'CRI: the message' '*exec: *nosuch*: executable file not found in $PATH*' 'container $one bad "{\"command\": [\"nosuch\"]}"'
one_container=$(container "$one" main '{"envs": [{"key": "A", "value": "b"}], "linux": {"resources": {"memory_limit_in_bytes": 33554432, "cpu_quota": 50000, "cpu_period": 100000}}}') || true
export one_container
is 'CRI: exec' 'b pod' 'inside $one_container "echo \$A \$(hostname)"'
exits 'CRI: exec: status' 7 'inside $one_container "exit 7"'
is 'CRI: the pod shares net, ipc and uts' same 'two=$(container $one two "{}"); for n in net ipc uts; do [ "$(inside $one_container "readlink /proc/self/ns/$n")" = "$(inside $two "readlink /proc/self/ns/$n")" ] || echo $n; done; echo same; remove $two'
is 'CRI: one pid namespace for the pod' '*pause*' 'p=$(pod shared "{\"security_context\": {\"namespace_options\": {\"pid\": 0}}}"); c=$(container $p c "{\"linux\": {\"security_context\": {\"namespace_options\": {\"pid\": 0}}}}"); inside $c "ps"; remove $c; remove_pod $p'
is 'CRI: the host network' same 'p=$(pod host "{\"security_context\": {\"namespace_options\": {\"network\": 2}}}"); c=$(container $p c "{\"linux\": {\"security_context\": {\"namespace_options\": {\"network\": 2}}}}"); [ "$(inside $c "readlink /proc/self/ns/net")" = "$(readlink /proc/self/ns/net)" ] && echo same; remove $c; remove_pod $p'
limits() { cat "/sys/fs/cgroup/memory/pods/$one_container/memory.limit_in_bytes" "/sys/fs/cgroup/pods/$one_container/memory.max" 2> /dev/null; cat "/sys/fs/cgroup/cpu/pods/$one_container/cpu.cfs_quota_us" "/sys/fs/cgroup/pods/$one_container/cpu.max" 2> /dev/null; }
export -f limits
is 'CRI: limits' '33554432*50000*' 'limits'
is 'CRI: update' '67108864*80000*' 'cri UpdateContainerResources "{\"container_id\": \"$one_container\", \"linux\": {\"memory_limit_in_bytes\": 67108864, \"cpu_quota\": 80000, \"cpu_period\": 100000}}" > /dev/null; limits'
measured is 'CRI: stats' more 'sleep 1; [ "$(cri ContainerStats "{\"container_id\": \"$one_container\"}" | jq .stats.memory.working_set_bytes.value)" -gt 0 ] && echo more'
measured is 'CRI: out of memory' 'OOMKilled 137' 'c=$(container $one oom "{\"command\": [\"tail\", \"/dev/zero\"], \"linux\": {\"resources\": {\"memory_limit_in_bytes\": 16777216}}}"); soon "[ \$(state $c) = 2 ]"; sleep 0.5; cri ContainerStatus "{\"container_id\": \"$c\"}" | jq -r "\"\(.status.reason) \(.status.exit_code)\""; remove $c'
is 'CRI: user, groups, read-only, no privileges' '1000 2000 3000 1 *Read-only*' 'c=$(container $one user "{\"linux\": {\"security_context\": {\"run_as_user\": {\"value\": 1000}, \"run_as_group\": {\"value\": 2000}, \"supplemental_groups\": [3000], \"readonly_rootfs\": true, \"no_new_privs\": true}}}"); echo $(inside $c "id -u; id -G; grep NoNewPrivs /proc/self/status | cut -f2; touch /tmp/x" 2>&1); remove $c'
is 'CRI: seccomp' '2 0' 'c=$(container $one sc "{\"linux\": {\"security_context\": {\"seccomp\": {\"profile_type\": 0}}}}"); d=$(container $one un "{\"linux\": {\"security_context\": {\"seccomp\": {\"profile_type\": 1}}}}"); echo $(for i in $c $d; do inside $i "grep Seccomp: /proc/self/status | cut -f2"; done); remove $c; remove $d'
is 'CRI: capabilities' '00000000a80435fb 0000000000000000' 'c=$(container $one ca "{\"linux\": {\"security_context\": {\"capabilities\": {\"add_capabilities\": [\"NET_ADMIN\"]}}}}"); d=$(container $one cn "{\"linux\": {\"security_context\": {\"capabilities\": {\"drop_capabilities\": [\"ALL\"]}}}}"); echo $(for i in $c $d; do inside $i "grep CapEff /proc/self/status | cut -f2"; done); remove $c; remove $d'
is 'CRI: mounts' 'text *Read-only*' 'mkdir -p $dir/v; echo text > $dir/v/f; c=$(container $one mo "{\"mounts\": [{\"container_path\": \"/v\", \"host_path\": \"$dir/v\", \"readonly\": true}]}"); echo $(inside $c "cat /v/f; touch /v/x" 2>&1); remove $c'
is 'CRI: masked paths' 0 'c=$(container $one ma "{\"linux\": {\"security_context\": {\"masked_paths\": [\"/proc/keys\"]}}}"); inside $c "cat /proc/keys | wc -c"; remove $c'
is 'CRI: sysctls' 1 'p=$(pod sys "{\"sysctls\": [{\"key\": \"net.ipv4.conf.all.forwarding\", \"value\": \"1\"}]}"); c=$(container $p c "{}"); inside $c "cat /proc/sys/net/ipv4/conf/all/forwarding"; remove $c; remove_pod $p'
is 'CRI: 8 pods in parallel' 8 'for i in $(seq 8); do (p=$(pod many$i) && c=$(container $p many$i "{}") && inside $c "echo up"; remove $c; remove_pod $p) & done | grep -c up'

# --- the daemon dies and comes back
if wanted 'the daemon is killed: containers go on'; then
    kill -KILL "$containerd"
    wait "$containerd" 2> /dev/null || true
    start_containerd
    soon 'cri Version {}'
    is 'the daemon is killed: containers go on' '1 hi' 'echo $(state $one_container) $(inside $one_container "echo hi")'
fi
[ -z "$one_container" ] || remove "$one_container" || true
is 'CRI: pods are removed' '' 'remove_pod $one; ctr -n k8s.io containers ls -q | grep -v "$(ctr -n k8s.io containers ls -q "labels.\"io.cri-containerd.kind\"==sandbox")" || true'

documented 'containerd and Kubernetes'

# --- what is left
for pod in $(ctr -n k8s.io containers ls -q); do remove_pod "$pod" || true; done
is 'no state is left' '' 'find /run/containerd/runc /run/rrun -name state.json 2> /dev/null'
is 'no cgroup is left' '' 'find /sys/fs/cgroup -type d \( -path "*/default/*" -o -path "*/pods/*" \)'
kill "$containerd"
wait "$containerd" 2> /dev/null || true
