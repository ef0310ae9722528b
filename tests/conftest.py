"""What every test relies on."""

from __future__ import annotations

import signal

# A shell starts background jobs with Ctrl-C ignored, and programs started by the tests would inherit that: those that
# are to be stopped by it would not hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
