"""From files to a store that can be searched."""

import os

# An OpenMP thread that waits for another one soon sleeps. By default it spins for 300,000 turns, and reading three
# passages took 5.2 s with two threads while one of two cores was busy with something else, instead of 0.1 s; with 2,000
# turns a product is as fast on an idle machine. Has to be set before torch or FAISS load OpenMP.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
