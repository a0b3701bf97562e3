# shellcheck shell=bash disable=SC2016
# The list for Buildah, which calls the runtime itself, without conmon: sourced by sandbox.sh.

set -euo pipefail

# Buildah gives no log file, and asks for ambient capabilities that are not inheritable. The kernel refuses them, and the
# specification wants a warning: it goes to stderr, which the checks of what a program prints leave out.

dir=$ENGINES_DIR
export dir BUILDAH_ISOLATION=oci BUILDAH_RUNTIME=$ENGINES_RUNTIME
cd /
echo '{"default": [{"type": "insecureAcceptAnything"}]}' > /etc/containers/policy.json
buildah pull -q "docker-archive:$dir/../images/box.tar" > /dev/null
mkdir "$dir/build"
cat > "$dir/build/Containerfile" << 'END'
FROM box
ARG who=nobody
RUN echo "$who $(id -u)" > /who && mkdir /d && chown user /d
USER user
RUN touch /d/file
COPY Containerfile /d/
END
# bud: builds and prints what the image has.
bud() { buildah bud -q -t built "$@" "$dir/build" > /dev/null 2> "$dir/err" || cat "$dir/err"; c=$(buildah from built); cat "$(buildah mount "$c")/who"; ls "$(buildah mount "$c")/d"; buildah rm "$c" > /dev/null; }
# run …: buildah run, without what is said beside the program.
run() { buildah run "$@" 2> /dev/null; }
export -f bud run

is 'bud' 'me 0
Containerfile
file' 'bud --build-arg who=me'
is 'bud: without layers' 'nobody 0
Containerfile
file' 'bud --layers=false --no-cache'
exits 'bud: a failing step' 3 'printf "FROM box\nRUN exit 3\n" > $dir/build/Bad; buildah bud -f $dir/build/Bad $dir/build'
is 'bud: the message' '*executable file not found in $PATH*' 'printf "FROM box\nRUN [\"nosuch\"]\n" > $dir/build/Bad; buildah bud -f $dir/build/Bad $dir/build'
is 'bud: limits' 33554432 'printf "FROM box\nRUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2> /dev/null | head -n1\n" > $dir/build/Limit; buildah bud --memory 32m --memory-swap 32m --cgroup-parent /mine -f $dir/build/Limit $dir/build 2> /dev/null | grep -x "[0-9]*"'
is 'bud: a mounted secret' hidden 'echo hidden > $dir/secret; printf "FROM box\nRUN --mount=type=secret,id=s cat /run/secrets/s\n" > $dir/build/Secret; buildah bud --secret id=s,src=$dir/secret -f $dir/build/Secret $dir/build 2> /dev/null | grep -x hidden'
c=$(buildah from box)
export c
is 'run' hi 'run $c echo hi'
exits 'run: status' 7 'buildah run $c sh -c "exit 7"'
is 'run: a terminal' '/dev/pts/*' 'script -qec "run -t $c tty" /dev/null'
is 'run: user' 1000 'run --user user $c id -u'
is 'run: a volume' text 'mkdir $dir/v; echo text > $dir/v/f; run -v $dir/v:/v:ro $c cat /v/f'
is 'run: capabilities' 1 'run --cap-add CAP_NET_ADMIN $c sh -c "echo \$((0x\$(grep CapEff /proc/self/status | cut -f2) >> 12 & 1))"'
is 'run: the host network' same '[ "$(run --network host $c readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo same'
is 'run: standard input' in 'echo in | run $c cat'
is 'run: seccomp' 'Seccomp:	2' 'run $c grep Seccomp: /proc/self/status'
buildah rm "$c" > /dev/null
is 'no state is left' '' 'find /run/rrun /run/runc -name state.json 2> /dev/null'
