"""Weights of other families: config.json and tensors by other names, tokenizers, chat templates, the hub's cache."""
