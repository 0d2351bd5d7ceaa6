"""Subcommands of `glimmer` over results: nothing here measures, and nothing here imports jax."""
