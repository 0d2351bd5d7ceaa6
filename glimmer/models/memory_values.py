"""Memory as bytes: bfloat16, or int8 with one scale a vector.

A vector's scale is its largest absolute value over 127; a value is stored as the nearest whole number of scales, -127
to 127. So a value is off by at most half a scale, as far as float32 can tell (INT8_STEPS). A vector of zeros has scale
0 and reads as zeros.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
from jaxtyping import Float, UInt8

from glimmer.compute import MemoryDtype
from glimmer.errors import InputError

RELATIVE_PRECISION = 2.0**-8
"""bfloat16 keeps 8 bits: a stored value is within a factor 1 +- 2^-8 of the computed one."""
INT8_STEPS = 0.5 + 2.0**-16
"""What an int8 value is off by, in scales: half a one, and what float32 loses in dividing by it and multiplying."""
_LARGEST = np.float32(127)


def to_bytes(memory: Float[np.ndarray, "... D"], dtype: MemoryDtype) -> UInt8[np.ndarray, "... bytes"]:
    """Vectors as they are stored, `bytes_per_vector` (glimmer/compute.py) each, little-endian.

    Raises InputError for a value that is no finite number, where int8 is asked for: it has none.
    """
    if dtype == "bfloat16":
        return np.ascontiguousarray(memory, ml_dtypes.bfloat16).view(np.uint8)
    memory = np.asarray(memory, np.float32)
    scales = _scales(memory)
    counts = np.divide(memory, scales, out=np.zeros_like(memory), where=scales > 0)
    numbers = np.rint(counts, out=counts).astype(np.int8)
    return np.concatenate([numbers.view(np.uint8), scales.astype("<f4").view(np.uint8)], axis=-1)


def from_bytes(stored: UInt8[np.ndarray, "... bytes"], dtype: MemoryDtype) -> Float[np.ndarray, "... D"]:
    """The vectors: bfloat16 as they were stored, of int8 float32."""
    if dtype == "bfloat16":
        return np.ascontiguousarray(stored).view(ml_dtypes.bfloat16)
    numbers, scales = stored[..., :-4].view(np.int8), np.ascontiguousarray(stored[..., -4:]).view("<f4")
    return numbers * scales.astype(np.float32)


def _scales(memory: Float[np.ndarray, "... D"]) -> Float[np.ndarray, "... 1"]:
    largest = np.abs(memory).max(axis=-1, keepdims=True)
    if not np.isfinite(largest).all():
        raise InputError("memory that int8 cannot hold", expected="finite numbers", found="NaN or infinity")
    scales = largest / _LARGEST
    # Near float32's smallest numbers a quotient is rounded far down, and 127 of it would not reach the largest value.
    short = np.divide(largest, scales, out=np.zeros_like(scales), where=scales > 0) > _LARGEST + 0.5
    short |= (scales == 0) & (largest > 0)
    scales = np.where(short, np.nextafter(scales, np.float32(np.inf)), scales)
    with np.errstate(over="ignore"):  # near its largest, 127 of it could be infinite
        return np.where(np.isinf(scales * _LARGEST), np.nextafter(scales, np.float32(0)), scales)
