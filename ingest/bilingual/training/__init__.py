"""Training of the bundled encoder, from corpus shards, parallel sentences and question files; ``stages.py`` is the
whole in order."""
