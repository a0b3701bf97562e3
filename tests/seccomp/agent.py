#!/usr/bin/env python3
"""Answers seccomp notifications as an engine's agent would (seccomp_unotify(2)).

    agent.py SOCKET VALUE

Listens on SOCKET, prints "ready"; takes one connection with a document and a descriptor, prints the document on one line;
then answers every notified call with VALUE until the container is gone.
"""
import fcntl, socket, struct, sys

RECEIVE, SEND = 0xC0502100, 0xC0182101

server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("ready", flush=True)
connection, _ = server.accept()
text, fds, _, _ = socket.recv_fds(connection, 65536, 4)
assert len(fds) == 1, fds
print(text.decode(), flush=True)
while True:
    call = bytearray(80)
    try:
        fcntl.ioctl(fds[0], RECEIVE, call)
        # id, value, error, flags
        fcntl.ioctl(fds[0], SEND, struct.pack("=QqiI", struct.unpack_from("=Q", call)[0], int(sys.argv[2]), 0, 0))
    except OSError:
        break
