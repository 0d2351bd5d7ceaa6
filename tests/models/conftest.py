"""Compiles without optimising: tests of tiny models spend their time in the compiler, not in the arithmetic."""

import jax

jax.config.update("jax_disable_most_optimizations", True)
