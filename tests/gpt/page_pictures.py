"""The pictures in ``docs/images/gpt``, drawn anew by the commands that stand beneath them in the manual:

python -m tests.gpt.page_pictures
"""

from __future__ import annotations

import shlex
from pathlib import Path

from gpt.__main__ import main as gpt

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*/1[2-4]-*.md"))


def commands(page: Path) -> list[list[str]]:
    """The arguments of every indented ``python -m gpt …`` of a page, continued lines joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    start = "    python -m gpt "
    return [shlex.split(line.removeprefix(start)) for line in text.splitlines() if line.startswith(start)]


if __name__ == "__main__":
    for page in PAGES:
        for argv in commands(page):
            if "--png" in argv:
                at = argv.index("--png") + 1
                argv[at] = str(ROOT / argv[at])
                if gpt(argv):
                    raise SystemExit(f"{page.name}: {shlex.join(argv)} failed")
