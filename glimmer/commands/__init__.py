"""One file a subcommand: HELP, add_arguments(parser) and run(args); thin, over the rooms below.

A command's module imports what is heavy (jax above all) inside `run`, so that `--help` stays quick.
"""
