"""How much memory a model will take and how much there is, asked before anything is loaded."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from gpt.config import GPTConfig

CACHED_TOKENS = 2048  # a conversation of this length should fit as well; a longer one asks for its memory as it grows
GB = 1e9


def needed(config: GPTConfig, dtype: torch.dtype, *, packed: bool) -> int:
    """Bytes that a model of ``config`` takes: weights, the largest matrix in fp32 while it is converted, the keys and
    values of a modest cache; ``packed`` adds the unembedding that kernels keep beside a tied embedding.

    Measured for 168 M weights of Llama's shape: 0.65 GB in fp32 and 0.54 while they go to four bits; 0.85 and 0.58
    are counted here.
    """
    table = config.vocab_size * config.width
    largest = max(table, config.hidden * config.width)
    cache = min(config.context, CACHED_TOKENS) * config.cache_bytes_per_token * 2  # kept in fp32 on a CPU
    weights = config.parameters + (table if packed and config.tied else 0)
    return dtype.itemsize * weights + 4 * largest + cache


def available(device: torch.device, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that can still be had on ``device``; None where the system does not say.

    On a CPU what the kernel holds available, or what the control groups (containers) around this process leave,
    whichever is less.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # no Linux
        names = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
        if not all(name in getattr(os, "sysconf_names", {}) for name in names):
            return None
        free = os.sysconf(names[0]) * os.sysconf(names[1])
    return min([free, *_cgroup_room(proc / "self" / "cgroup", cgroups)])


def _cgroup_room(listing: Path, root: Path) -> list[int]:
    """What each control group around this process still allows, for both versions of the interface."""
    try:
        entries = [line.split(":", 2) for line in listing.read_text().splitlines()]
    except OSError:
        return []
    rooms = []
    for _, controllers, path in (entry for entry in entries if len(entry) == 3):
        if controllers == "":  # version 2
            base, limit, usage, cached = root, "memory.max", "memory.current", "inactive_file "
        elif "memory" in controllers.split(","):
            base, limit, usage = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cached = "total_inactive_file "
        else:
            continue
        # Inside a container the path may be the host's and missing here: then only the mount's own root counts.
        folders = [base / path.strip("/"), *(base / path.strip("/")).parents]
        for folder in (f for f in folders if f.is_relative_to(base)):
            try:
                most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
                stat = (folder / "memory.stat").read_text().splitlines()
            except (OSError, ValueError):  # no limit here ("max") or no such folder
                continue
            # File pages that nobody uses are dropped when memory is wanted.
            used -= sum(int(line.split()[1]) for line in stat if line.startswith(cached))
            rooms.append(max(0, most - used))
    return rooms


def check_memory(what: Path, bytes_needed: int, dtype: torch.dtype, device: torch.device) -> None:
    """ValueError, with the numbers, when a model of ``bytes_needed`` has no room on ``device``."""
    room = available(device)
    if room is not None and bytes_needed > room:
        raise ValueError(
            f"{what} needs {bytes_needed / GB:,.1f} GB of memory in {str(dtype).removeprefix('torch.')} and"
            f" {room / GB:,.1f} GB are available on {device}; close other programs or take a smaller model"
        )
