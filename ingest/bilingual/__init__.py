"""The bundled encoder: Chinese and English texts as vectors of one space, small enough to ship and fast on a CPU.

English goes through two transformer layers distilled from all-MiniLM-L6-v2 (``transformer.py``); Chinese is the sum of
a table's rows for its characters, pairs of characters and Latin word-pieces (``table.py``), trained into the same
space. ``model.py`` sends each text the right way; ``module.py`` is the whole as a sentence-transformers module;
``python -m ingest.bilingual`` trains it.
"""

from pathlib import Path

FOLDER = Path(__file__).parent / "weights"
DICTIONARY = FOLDER / "dictionary.safetensors"
