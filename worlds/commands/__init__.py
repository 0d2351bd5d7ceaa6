"""The subcommands of `glimmer` that make generated studies: the benchmark, its vocabulary, its checkpoint."""
