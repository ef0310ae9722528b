"""What a parsing process gives up before it sees a document: memory, writing files, and every kind of network.

The network is closed twice: by a network namespace of its own where the system permits one, and by a filter of system
calls (seccomp), which needs no permission, under which no socket can be made at all.
"""

from __future__ import annotations

import ctypes
import platform
import resource
import signal
import struct

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 38, 22
_SECCOMP_MODE_FILTER = 2
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
# Of linux/audit.h and the tables of system calls: architecture -> (its audit number, the calls that reach a network or
# another process: socket, socketpair, io_uring_setup, ptrace, process_vm_readv, process_vm_writev, bpf).
_CALLS = {
    "x86_64": (0xC000003E, (41, 53, 425, 101, 310, 311, 321)),
    "aarch64": (0xC00000B7, (198, 199, 425, 117, 270, 271, 280)),
}
_X32 = 0x40000000  # numbers from here on are the same calls of x86-64 by another name
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JGE|K, BPF_RET|K
_ALLOW, _DENY = 0x7FFF0000, 0x00050000 | 13  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with EACCES


def confine(memory: int) -> None:
    """Limit this process and its children to ``memory`` bytes each, no file writing, no core file and no network.

    Steps that the system does not offer (on anything but Linux) are passed over.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an attempt to write is an error, not the end
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if libc.unshare(_CLONE_NEWNET) != 0:
            libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    except (OSError, AttributeError):  # not Linux
        return
    _filter_calls(libc)


def _filter_calls(libc: ctypes.CDLL) -> None:
    """Install the filter; a call of another architecture is denied whatever it is."""
    known = _CALLS.get(platform.machine())
    if known is None:
        return
    architecture, calls = known
    denied = [_step(_EQUAL, number, len(calls) - n, 0) for n, number in enumerate(calls)]
    program = [
        _step(_LOAD, 4),
        _step(_EQUAL, architecture, 0, len(calls) + 3),
        _step(_LOAD, 0),
        _step(_AT_LEAST, _X32, len(calls) + 1, 0),
        *denied,
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _DENY),
    ]
    code = ctypes.create_string_buffer(b"".join(program), 8 * len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    wanted = Program(len(program), ctypes.cast(code, ctypes.c_void_p))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(wanted), 0, 0)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
