#!/usr/bin/python3
"""A small client of the Kubernetes Container Runtime Interface (CRI, v1), as the kubelet is one.

cri.py SOCKET METHOD JSON: calls a method of runtime.v1.RuntimeService and prints the answer as JSON. ExecSync ends with the
status of the program. The messages are written here as tables of field numbers; only what the checks need is there.
"""

import json
import sys

import grpc

# A message: name of a field -> (number, type). A type is another table, a wrapped one in a list if repeated.
KEY_VALUE = {"key": (1, str), "value": (2, str)}
INT64 = {"value": (1, int)}
NAMESPACES = {"network": (1, int), "pid": (2, int), "ipc": (3, int), "target_id": (4, str)}
SECCOMP = {"profile_type": (1, int), "localhost_ref": (2, str)}
RESOURCES = {"cpu_period": (1, int), "cpu_quota": (2, int), "cpu_shares": (3, int), "memory_limit_in_bytes": (4, int),
             "oom_score_adj": (5, int), "cpuset_cpus": (6, str)}
POD = {
    "metadata": (1, {"name": (1, str), "uid": (2, str), "namespace": (3, str), "attempt": (4, int)}),
    "hostname": (2, str),
    "log_directory": (3, str),
    "labels": (6, [KEY_VALUE]),
    "annotations": (7, [KEY_VALUE]),
    "linux": (8, {
        "cgroup_parent": (1, str),
        "security_context": (2, {"namespace_options": (1, NAMESPACES), "privileged": (6, bool), "seccomp": (9, SECCOMP)}),
        "sysctls": (3, [KEY_VALUE]),
    }),
}
CONTAINER = {
    "metadata": (1, {"name": (1, str), "attempt": (2, int)}),
    "image": (2, {"image": (1, str)}),
    "command": (3, [str]),
    "args": (4, [str]),
    "working_dir": (5, str),
    "envs": (6, [KEY_VALUE]),
    "mounts": (7, [{"container_path": (1, str), "host_path": (2, str), "readonly": (3, bool), "propagation": (5, int)}]),
    "log_path": (11, str),
    "tty": (14, bool),
    "linux": (15, {
        "resources": (1, RESOURCES),
        "security_context": (2, {
            "capabilities": (1, {"add_capabilities": (1, [str]), "drop_capabilities": (2, [str])}),
            "privileged": (2, bool),
            "namespace_options": (3, NAMESPACES),
            "run_as_user": (5, INT64),
            "readonly_rootfs": (7, bool),
            "supplemental_groups": (8, [int]),
            "no_new_privs": (11, bool),
            "run_as_group": (12, INT64),
            "masked_paths": (13, [str]),
            "readonly_paths": (14, [str]),
            "seccomp": (15, SECCOMP),
        }),
    }),
}
POD_ID = {"pod_sandbox_id": (1, str)}
CONTAINER_ID = {"container_id": (1, str)}
METHODS = {
    "Version": ({"version": (1, str)}, {"version": (1, str), "runtime_name": (2, str)}),
    "RunPodSandbox": ({"config": (1, POD), "runtime_handler": (2, str)}, POD_ID),
    "StopPodSandbox": (POD_ID, {}),
    "RemovePodSandbox": (POD_ID, {}),
    "PodSandboxStatus": (POD_ID, {"status": (1, {"id": (1, str), "state": (3, int)})}),
    "CreateContainer": ({"pod_sandbox_id": (1, str), "config": (2, CONTAINER), "sandbox_config": (3, POD)}, CONTAINER_ID),
    "StartContainer": (CONTAINER_ID, {}),
    "StopContainer": ({"container_id": (1, str), "timeout": (2, int)}, {}),
    "RemoveContainer": (CONTAINER_ID, {}),
    "ContainerStatus": (CONTAINER_ID, {"status": (1, {"id": (1, str), "state": (3, int), "exit_code": (7, int), "reason": (10, str)})}),
    "UpdateContainerResources": ({"container_id": (1, str), "linux": (2, RESOURCES)}, {}),
    "ExecSync": ({"container_id": (1, str), "cmd": (2, [str]), "timeout": (3, int)},
                 {"stdout": (1, str), "stderr": (2, str), "exit_code": (3, int)}),
    "ContainerStats": (CONTAINER_ID, {"stats": (1, {"memory": (3, {"working_set_bytes": (2, INT64)})})}),
}


def varint(number):
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def encode(table, message):
    out = b""
    for name, values in message.items():
        number, kind = table[name]
        if isinstance(kind, list):
            kind = kind[0]
        else:
            values = [values]
        for value in values:
            if kind in (int, bool):
                out += varint(number << 3) + varint(int(value))
            else:
                body = value.encode() if kind is str else encode(kind, value)
                out += varint(number << 3 | 2) + varint(len(body)) + body
    return out


def read_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at


def decode(table, data):
    names = {number: (name, kind) for name, (number, kind) in table.items()}
    # What is not sent has the value 0.
    message = {name: 0 for name, (_, kind) in table.items() if kind is int}
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        name, kind = names.get(tag >> 3, (None, None))
        if tag & 7 == 0:
            value, at = read_varint(data, at)
        elif tag & 7 == 2:
            size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
            if isinstance(kind, dict):
                value = decode(kind, value)
            elif name:
                value = value.decode(errors="replace")
        else:
            raise ValueError(f"wire type {tag & 7}")
        if name:
            message[name] = value
    return message


def main():
    socket, method, text = sys.argv[1:4]
    request, answer = METHODS[method]
    channel = grpc.insecure_channel(f"unix://{socket}")
    call = channel.unary_unary(f"/runtime.v1.RuntimeService/{method}")
    try:
        reply = decode(answer, call(encode(request, json.loads(text)), timeout=60))
    except grpc.RpcError as error:
        sys.exit(f"{method}: {error.details()}")
    if method == "ExecSync":
        print(reply.get("stdout", ""), end="")
        print(reply.get("stderr", ""), end="", file=sys.stderr)
        sys.exit(reply["exit_code"])
    print(json.dumps(reply))


main()
