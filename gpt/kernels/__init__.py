"""Matrix products that are fast on a CPU without a compiler, and how a model's weights are kept."""
