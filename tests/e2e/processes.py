# SPDX-License-Identifier: Apache-2.0
"""What /proc says about the broker and everything that it started."""

import ctypes
import os
import re
import time

PR_SET_CHILD_SUBREAPER = 36
TCP_CLOSE_WAIT = "08"
UNIX_STREAM = "0001"


def become_subreaper():
    """Orphans of the broker become children of the test run, so that none can hide."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def stat_fields(pid):
    """The fields of /proc/PID/stat after the command's name, or None when the process is gone."""
    text = read(f"/proc/{pid}/stat")
    return text[text.rindex(")") + 2 :].split() if ")" in text else None


def parent(pid):
    fields = stat_fields(pid)
    return int(fields[1]) if fields else None


def alive(pid):
    fields = stat_fields(pid)
    return bool(fields) and fields[0] not in "ZX"


def started(pid):
    """Start time in clock ticks: together with the pid it names a process for good."""
    fields = stat_fields(pid)
    return fields[19] if fields else None


def everyone():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children(pid):
    return [other for other in everyone() if parent(other) == pid]


def descendants(pid):
    tree = {}
    for other in everyone():
        tree.setdefault(parent(other), []).append(other)
    found, queue = [], [pid]
    while queue:
        for child in tree.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


def workers(broker):
    """The workers of functions: what the zygote forked."""
    return [pid for zygote in children(broker) for pid in descendants(zygote)]


def identified(pids):
    return {(pid, started(pid)) for pid in pids if started(pid)}


def command(pid):
    return read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()


def reap_orphans(known):
    """Collects zombies that were given to the test run; known are left to their owners."""
    for pid in children(os.getpid()):
        fields = stat_fields(pid)
        if pid not in known and fields and fields[0] == "Z":
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def wait_gone(processes, timeout, known=()):
    """Waits until all (pid, start time) pairs are gone; returns those that are not."""
    deadline = time.monotonic() + timeout
    while True:
        reap_orphans(known)
        left = {(pid, start) for pid, start in processes if started(pid) == start and alive(pid)}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


def pooled_connections(pid):
    """Inodes of what the HTTP client's pool may hold a while: connections whose other end is closed,
    and those to the sockets of workers, where that cannot be seen."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in read(f"/proc/{pid}/net/{table}").splitlines()[1:]:
            fields = line.split()
            if fields[3] == TCP_CLOSE_WAIT:
                inodes.add(fields[9])
    for line in read(f"/proc/{pid}/net/unix").splitlines()[1:]:
        fields = line.split()
        if len(fields) == 7 and fields[4] == UNIX_STREAM:
            inodes.add(fields[6])
    return inodes


def descriptors(pid, pooled=False):
    """The open descriptors as a list of what they point to; pooled counts the HTTP client's, too."""
    idle = set() if pooled else pooled_connections(pid)
    held = []
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return held
    for name in names:
        try:
            target = os.readlink(f"{folder}/{name}")
        except OSError:
            continue
        inode = re.fullmatch(r"socket:\[(\d+)\]", target)
        if not (inode and inode.group(1) in idle):
            held.append(target)
    return held


def cpu_seconds(pid):
    """What the process alone has used, in user mode and in the kernel."""
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def proportional_memory(pids):
    """Bytes of PSS of all the processes together."""
    total = 0
    for pid in pids:
        found = re.search(r"^Pss:\s+(\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.M)
        total += int(found.group(1)) * 1024 if found else 0
    return total
