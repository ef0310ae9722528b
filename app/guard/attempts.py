"""How often a wrong password or key may be tried: per address, and in all."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

FREE = 5  # wrong tries of one address before it has to wait
LONGEST = 900.0  # seconds
FORGET = 3600.0  # seconds after which an address starts afresh
ALL = 100  # wrong tries of everybody in a minute, against guessing from many addresses at once
_MINUTE = 60.0
_ADDRESSES = 10_000


def _group(address: str) -> str:
    """An IPv6 customer has 2**64 addresses: they count as one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if ip.version == 6:
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


class Attempts:
    """Counts tries. From the sixth wrong one on, an address waits 2, 4, 8 … seconds, at most 15 minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()  # address -> (failures, the last one)
        self._recent: deque[float] = deque(maxlen=ALL)

    def take(self, address: str) -> float:
        """Seconds this address has to wait; 0 when it may try now. The try then counts as a wrong one until
        `succeeded`, so that a hundred at the same moment are not one."""
        now = self._clock()
        group = _group(address)
        with self._lock:
            count, last = self._wrong.get(group, (0, now))
            if now - last >= FORGET:
                count = 0
            mine = last + min(2.0 ** (count - FREE + 1), LONGEST) - now if count >= FREE else 0.0
            everybody = self._recent[0] + _MINUTE - now if len(self._recent) == ALL else 0.0
            if max(mine, everybody) > 0:
                return max(mine, everybody)
            self._wrong.pop(group, None)
            self._wrong[group] = (min(count + 1, 64), now)
            while len(self._wrong) > _ADDRESSES:
                self._wrong.popitem(last=False)
            self._recent.append(now)
        return 0.0

    def succeeded(self, address: str) -> None:
        with self._lock:
            self._wrong.pop(_group(address), None)
            if self._recent:
                self._recent.pop()
