"""A cold start imports what it needs and nothing heavy: bench/start.py measures the time, this names the culprit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HEAVY = ("transformers", "sympy", "torch._inductor", "torch.onnx", "matplotlib", "pandas", "scipy", "sklearn")
CODE = f"""
import json, sys, torch
already = set(sys.modules)
import gpt
engine = gpt.Engine.load("bundled")
next(iter(engine.generate(engine.prompt("Hello"), max_new_tokens=1)))
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules and name not in already]))
"""


def test_the_first_token_needs_no_heavy_imports() -> None:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == []
