"""From text to weights: rows, losses, gradients, optimisers, checkpoints, and the three stages."""
