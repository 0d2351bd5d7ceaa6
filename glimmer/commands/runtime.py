"""What a command that computes sets up before jax is imported: threads, and the cache of compiled programs."""

from __future__ import annotations

import os

from glimmer.files import cache_directory


def add_runtime_arguments(parser) -> None:
    """Adds `--threads`, which every command that runs jax takes."""
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of the compiled program (default: all)")


def prepare(args) -> None:
    """Applies `--threads`, and keeps compiled programs in $GLIMMER_CACHE (default ~/.cache/glimmer) across processes.

    Must run before jax is imported: XLA sizes its thread pool once, from NPROC.
    """
    if getattr(args, "threads", None):
        os.environ["NPROC"] = str(args.threads)
        os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_directory() / "compiled"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    # The cached form of CPU programs names features that LLVM prefers; loading it warns about them, harmlessly.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pretend_devices(count: int) -> None:
    """Has jax see `count` devices, all of them this machine's CPU. Must run before jax is imported."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    flag = f"--xla_force_host_platform_device_count={count}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
