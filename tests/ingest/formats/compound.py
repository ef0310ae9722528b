"""A compound file (MS-CFB) and an Outlook message in it, written from the specification: small, of version 3."""

from __future__ import annotations

import struct
from itertools import pairwise

SECTOR, FREE, END, FAT = 512, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD

Tree = dict[str, "bytes | Tree"]


def outlook(subject: str, body: str, attachments: dict[str, bytes], html: str = "") -> bytes:
    """A .msg file with a text body, an HTML body where given, and attachments."""
    tree: Tree = {
        "__substg1.0_0037001F": subject.encode("utf-16-le"),
        "__substg1.0_1000001F": body.encode("utf-16-le"),
        "__substg1.0_0C1A001F": "Ada Quill".encode("utf-16-le"),
        "__substg1.0_0E04001F": "the keepers".encode("utf-16-le"),
    }
    if html:
        tree["__substg1.0_10130102"] = html.encode()
    for number, (name, data) in enumerate(attachments.items()):
        tree[f"__attach_version1.0_#{number:08X}"] = {
            "__substg1.0_3707001F": name.encode("utf-16-le"),
            "__substg1.0_37010102": data,
        }
    return compound(tree)


def compound(tree: Tree) -> bytes:
    """The file of ``{name: stream or folder}``; streams under 4096 bytes lie in the mini stream of the root."""
    entries: list[tuple[str, int, list[int], bytes]] = []  # name, kind, children, data

    def add(name: str, node: bytes | Tree, kind: int) -> int:
        number = len(entries)
        entries.append((name, kind, [], node if isinstance(node, bytes) else b""))
        if isinstance(node, dict):
            entries[number][2].extend(
                add(key, value, 2 if isinstance(value, bytes) else 1) for key, value in node.items()
            )
        return number

    add("Root Entry", tree, 5)
    sectors: list[bytes] = []
    chain: list[int] = []

    def store(data: bytes) -> int:
        first = len(sectors)
        count = max(1, -(-len(data) // SECTOR))
        for n in range(count):
            sectors.append(data[n * SECTOR : (n + 1) * SECTOR].ljust(SECTOR, b"\0"))
            chain.append(first + n + 1 if n + 1 < count else END)
        return first

    mini, mini_chain = b"", []
    places: list[int] = []
    for _, kind, _, data in entries:
        if kind != 2:
            places.append(0)
        elif len(data) >= 4096:
            places.append(store(data))
        else:
            first, count = len(mini_chain), max(1, -(-len(data) // 64))
            mini_chain += [*range(first + 1, first + count), END]
            mini += data.ljust(64 * count, b"\0")
            places.append(first)
    places[0] = store(mini) if mini else END
    mini_table = store(
        struct.pack(f"<{len(mini_chain)}I", *mini_chain).ljust(SECTOR * -(-len(mini_chain) * 4 // SECTOR), b"\xff")
    )
    right = dict.fromkeys(range(len(entries)), FREE)
    child = dict.fromkeys(range(len(entries)), FREE)
    for number, (_, _, children, _) in enumerate(entries):
        ordered = sorted(children, key=lambda n: (len(entries[n][0]), entries[n][0].upper()))
        if ordered:
            child[number] = ordered[0]
        for one, following in pairwise(ordered):
            right[one] = following
    directory = b""
    for number, (name, kind, _, data) in enumerate(entries):
        label = name.encode("utf-16-le") + b"\0\0"
        directory += struct.pack(
            "<64sHBBIII16sIQQIQ", label.ljust(64, b"\0"), len(label), kind, 1, FREE, right[number], child[number],
            bytes(16), 0, 0, 0, places[number], len(mini) if kind == 5 else len(data),
        )  # fmt: skip
    root = store(directory)
    tables = 1
    while (len(chain) + tables) * 4 > tables * SECTOR:
        tables += 1
    table_at = len(sectors)
    chain += [FAT] * tables
    table = struct.pack(f"<{len(chain)}I", *chain).ljust(tables * SECTOR, b"\xff")
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 0x3E, 3, 0xFFFE, 9, 6, bytes(6),
        0, tables, root, 0, 4096, mini_table, -(-len(mini_chain) * 4 // SECTOR), END, 0,
    )  # fmt: skip
    difat = [table_at + n if n < tables else FREE for n in range(109)]
    return header + struct.pack("<109I", *difat) + b"".join(sectors) + table
