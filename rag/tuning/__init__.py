"""``python -m rag tune``: the bundled reader learns the words and turns of the documents of one store."""
