"""T5.1.1 and, on it, the one reader with three names; checkpoints, tokenizer, and the memory store."""
