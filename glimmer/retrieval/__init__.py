"""GTR encoder, BM25 control, exact search over embedding shards, and the relevance filter."""
