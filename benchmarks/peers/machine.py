"""Where a run was measured, and with which versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

OF_OURS = ("jax", "jaxlib", "flax", "optax", "numpy", "tokenizers", "snakemake")
OF_PEERS = ("torch", "transformers", "faiss-cpu", "rouge", "kilt")
_SETTINGS = ("GLIBC_TUNABLES", "OPENBLAS_CORETYPE", "XLA_FLAGS", "JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES")
"""Variables that change how fast a library computes."""


def described() -> dict[str, Any]:
    """Processor, cores and memory of this machine, and which variables are set that change speeds."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "settings": {name: os.environ[name] for name in _SETTINGS if name in os.environ},
    }


def versions() -> dict[str, str]:
    """Package -> version, or "not installed"."""
    return {"python": platform.python_version()} | {name: _version(name) for name in (*OF_OURS, *OF_PEERS)}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
