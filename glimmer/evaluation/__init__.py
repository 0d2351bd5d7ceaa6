"""Decoding a run over dev sets, KILT scoring, and intervals."""
