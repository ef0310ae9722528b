"""What every test relies on."""

from __future__ import annotations

import os
import signal

# One thread for torch, here and in the programs that the tests start: on a busy machine two of them wait for each other,
# and tests of a second took more than five minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts background jobs with Ctrl-C ignored, and programs started by the tests would inherit that: those that
# are to be stopped by it would not hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
