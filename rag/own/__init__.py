"""``python -m rag evaluate --own PATH``: an evaluation made from one's own documents."""
