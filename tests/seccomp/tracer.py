#!/usr/bin/env python3
"""Answers traced calls as a tracer of seccomp would (seccomp(2), SECCOMP_RET_TRACE; ptrace(2)).

    tracer.py PID VALUE

Attaches to PID, prints "ready"; at each traced call prints the number that the filter sent with it, and lets the call
return VALUE in place of being made. Ends with the process. x86-64 only.
"""
import ctypes, os, signal, struct, sys

SEIZE, CONT, GETEVENTMSG, GETREGS, SETREGS = 0x4206, 7, 0x4201, 12, 13
TRACESECCOMP, EVENT_SECCOMP = 0x80, 7
RAX, ORIG_RAX = 10, 15

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, address, data):
    if libc.ptrace(request, pid, address, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


pid, value = int(sys.argv[1]), int(sys.argv[2])
ptrace(SEIZE, None, TRACESECCOMP)
print("ready", flush=True)
while True:
    _, status = os.waitpid(pid, 0x40000000)  # __WALL
    if not os.WIFSTOPPED(status):
        break
    event = status >> 16
    if event == EVENT_SECCOMP:
        message = ctypes.c_ulong()
        ptrace(GETEVENTMSG, None, ctypes.byref(message))
        print(message.value, flush=True)
        registers = (ctypes.c_ulong * 27)()
        ptrace(GETREGS, None, registers)
        # A call with the number -1 is skipped, and its result is what stands there.
        registers[ORIG_RAX] = 2**64 - 1
        registers[RAX] = value
        ptrace(SETREGS, None, registers)
    ptrace(CONT, None, os.WSTOPSIG(status) if event == 0 and os.WSTOPSIG(status) != signal.SIGTRAP else None)
