"""The glass box: tokens, probabilities, attention, embeddings and layers as data and as pictures."""
