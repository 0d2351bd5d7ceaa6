"""Task mixture, losses, optimiser, training loop, checkpoints, and pretraining of the tiny T5."""
