"""GTR (Ni et al. 2021): one T5 encoder for questions and passages, mean over real tokens, a dense layer, unit length.

Letters in shapes: B rows, T tokens, D model width, E embedding width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int
from safetensors.numpy import save_file

from glimmer.errors import InputError
from glimmer.files import atomic_directory, existing, read_json, write_json
from glimmer.models.checkpoint import open_checkpoint, read_parameters
from glimmer.models.config import T5Config, to_hugging_face
from glimmer.models.forms import folder_of, is_t5x, tokenizer_file
from glimmer.models.layers import MaybeKey, dropout, split_key
from glimmer.models.parameter_names import TORCH, Naming, Origin, origins
from glimmer.models.t5 import T5
from glimmer.models.tokenizer import tokenizer_json
from glimmer.models.weights import Weights, open_weights

_MODULE_TYPES = ("Transformer", "Pooling", "Dense", "Normalize")
_PROJECTION = "projection_layer.kernel"  # in T5X
_IDENTITY = "torch.nn.modules.linear.Identity"


class GTR(nnx.Module):
    """e = normalise(W^T mean_t encoder(tokens)_t), the shared tower of a dual encoder; scores are inner products."""

    def __init__(self, encoder: T5, projection: Float[Array, "D E"]):
        """Takes the embedding, encoder and final norm of `encoder`; its decoder is not kept."""
        self.config = encoder.config
        self.embedding_table = encoder.embedding.table
        self.encoder = encoder.encoder
        self.encoder_norm = encoder.encoder_norm
        self.projection = nnx.Param(projection)

    @property
    def dimension(self) -> int:
        """Width E of an embedding."""
        return self.projection.shape[1]

    def __call__(self, tokens: Int[Array, "B T"], key: MaybeKey = None) -> Float[Array, "B E"]:
        """Unit-length float32 embeddings of token rows padded on the right; a row without tokens gives zeros."""
        mask = tokens != self.config.pad_id
        input_key, layers_key, output_key = split_key(key, 3)
        x = self.embedding_table[...].astype(self.config.dtype)[tokens]
        x = self.encoder(dropout(x, self.config.dropout, input_key), mask, layers_key)
        x = dropout(self.encoder_norm(x), self.config.dropout, output_key)
        # The mean over real tokens; the end token is one of them, as in sentence-transformers.
        total = jnp.einsum("btd,bt->bd", x.astype(jnp.float32), mask.astype(jnp.float32))
        mean = total / jnp.maximum(mask.sum(axis=1, keepdims=True), 1)
        projected = mean @ self.projection[...]
        return projected * jax.lax.rsqrt(jnp.maximum(jnp.sum(projected**2, axis=1, keepdims=True), 1e-24))


def with_activations(gtr: GTR, *, dtype: str | None = None, dropout: float | None = None) -> GTR:
    """The same parameters under another dtype of activations or rate of dropout."""
    changes = {name: value for name, value in (("dtype", dtype), ("dropout", dropout)) if value is not None}
    flat = {path: variable[...] for path, variable in nnx.to_flat_state(nnx.state(gtr))}
    return _assemble(dataclasses.replace(gtr.config, **changes), flat)


def gtr_from_t5(directory: str | Path, *, dimension: int | None = None, dtype: str = "float32", seed: int = 0) -> GTR:
    """An untrained GTR tower on the encoder of a T5 checkpoint, in any form that is read.

    The dense layer starts as the identity when E = D (the pooled encoder as it is), else as a random matrix with
    orthonormal columns (or rows), which keeps inner products as well as a width of E can.
    """
    weights, config = open_checkpoint(directory)
    config = dataclasses.replace(config, dtype=dtype)
    dimension = dimension or config.d_model
    projection = jnp.eye(config.d_model)
    if dimension != config.d_model:
        initial = jax.nn.initializers.orthogonal()
        projection = initial(jax.random.key(seed), (config.d_model, dimension), jnp.float32)
    return _assemble(config, _read_encoder(weights, config) | {("projection",): projection})


def save_gtr(gtr: GTR, directory: str | Path, tokenizer: str | Path, *, tokens: int = 512) -> None:
    """Writes a sentence-transformers directory (float32), whole or not at all.

    Args: tokenizer: a file or folder of one; tokens: the longest input that the directory declares (`max_seq_length`).
    """
    config = gtr.config
    with atomic_directory(directory) as root:
        save_file(_encoder_tensors(gtr), root / "model.safetensors", metadata={"format": "pt"})
        described = to_hugging_face(config) | {"architectures": ["T5EncoderModel"], "is_encoder_decoder": False}
        write_json(root / "config.json", described)
        (root / "tokenizer.json").write_bytes(tokenizer_json(tokenizer))
        write_json(root / "sentence_bert_config.json", {"max_seq_length": tokens, "do_lower_case": False})
        paths = ("", "1_Pooling", "2_Dense", "3_Normalize")
        write_json(
            root / "modules.json",
            [
                {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
                for i, (path, kind) in enumerate(zip(paths, _MODULE_TYPES, strict=True))
            ],
        )
        for path in paths[1:]:
            (root / path).mkdir()
        write_json(
            root / "1_Pooling/config.json",
            {
                "word_embedding_dimension": config.d_model,
                "pooling_mode_cls_token": False,
                "pooling_mode_mean_tokens": True,
                "pooling_mode_max_tokens": False,
                "pooling_mode_mean_sqrt_len_tokens": False,
            },
        )
        write_json(
            root / "2_Dense/config.json",
            {
                "in_features": config.d_model,
                "out_features": gtr.dimension,
                "bias": False,
                "activation_function": _IDENTITY,
            },
        )
        weight = np.ascontiguousarray(np.asarray(gtr.projection[...], np.float32).T)
        save_file({"linear.weight": weight}, root / "2_Dense/model.safetensors", metadata={"format": "pt"})


def load_gtr(directory: str | Path, *, dtype: str = "float32") -> GTR:
    """Reads a sentence-transformers directory such as gtr-t5-base (encoder, mean pooling, dense, normalisation).

    T5X's own checkpoint of a dual encoder is read too: it has the same parts, and no settings of them.
    Raises InputError if a part is missing or another one: leaving out the dense layer or the normalisation would give
    other embeddings without a sign of it.
    """
    root = existing(directory)
    if is_t5x(root):
        weights, config = open_checkpoint(root)
        projection = weights.tensor(_PROJECTION).read()
    else:
        modules = _modules(root)
        _check_pooling(root / modules["Pooling"] / "config.json")
        weights, config = open_checkpoint(root / modules["Transformer"])
        projection = _dense(root / modules["Dense"], config)
    config = dataclasses.replace(config, dtype=dtype)
    return _assemble(config, _read_encoder(weights, config) | {("projection",): jnp.array(projection)})


def is_gtr(directory: str | Path) -> bool:
    """Whether a folder holds a dual encoder, and not a T5."""
    root = existing(directory)
    if (root / "modules.json").exists():
        return True
    return is_t5x(root) and _PROJECTION in open_weights(root).tensors


def tokenizer_path(directory: str | Path) -> Path:
    """Where a sentence-transformers directory keeps its vocabulary; a T5X checkpoint has it beside its files."""
    root = existing(directory)
    return tokenizer_file(folder_of(root) if is_t5x(root) else root / _modules(root)["Transformer"])


def _modules(root: Path) -> dict[str, str]:
    path = root / "modules.json"
    listed = read_json(path)
    try:
        kinds = {str(module["type"]).rsplit(".", 1)[-1]: str(module["path"]) for module in listed}
    except (TypeError, KeyError):
        raise InputError("not a list of modules", where=path, expected="type and path of each", found=listed) from None
    if tuple(kinds) != _MODULE_TYPES:
        raise InputError("not a GTR model", where=path, expected=" > ".join(_MODULE_TYPES), found=" > ".join(kinds))
    for name in kinds.values():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError("a module outside the directory", where=path, expected="a path below it", found=name)
    return kinds


def _check_pooling(path: Path) -> None:
    described = read_json(path)
    chosen = sorted(name for name, on in described.items() if name.startswith("pooling_mode_") and on is True)
    newer = described.get("pooling_mode")  # sentence-transformers 5 spells the choice as one string
    if chosen != ["pooling_mode_mean_tokens"] and newer != "mean":
        raise InputError("another pooling than GTR's", where=path, expected="mean over tokens", found=chosen or newer)


def _dense(directory: Path, config: T5Config) -> np.ndarray:
    """float32 [D, E]; the file holds PyTorch's [E, D]."""
    path = directory / "config.json"
    described = read_json(path)
    if described.get("bias") is not False or described.get("activation_function") != _IDENTITY:
        raise InputError(
            "another dense layer than GTR's",
            where=path,
            expected=f"no bias, {_IDENTITY}",
            found=f"bias {described.get('bias')}, {described.get('activation_function')}",
        )
    tensor = open_weights(directory).tensor("linear.weight")
    expected = (described.get("out_features"), config.d_model)
    if tensor.shape != expected:
        raise InputError("dense layer of the wrong shape", where=directory, expected=expected, found=tensor.shape)
    return tensor.transposed().read()


def _encoder_origins(config: T5Config, naming: Naming = TORCH) -> Iterator[Origin]:
    """Where every parameter of a tower but the projection comes from."""
    for origin in origins(config, naming):
        if origin.path == ("embedding", "table"):
            yield dataclasses.replace(origin, path=("embedding_table",))
        elif origin.path[0].startswith("encoder"):
            yield origin


def _read_encoder(weights: Weights, config: T5Config) -> dict[tuple[str, ...], jax.Array]:
    shapes = dict(nnx.to_flat_state(nnx.state(_abstract(config, (config.d_model, 1)))))
    listed = [(origin, shapes[origin.path].shape) for origin in _encoder_origins(config, weights.naming)]
    return dict(read_parameters(weights, listed))


def _encoder_tensors(gtr: GTR) -> dict[str, np.ndarray]:
    flat = dict(nnx.to_flat_state(nnx.state(gtr)))
    return dict(pair for origin in _encoder_origins(gtr.config) for pair in origin.tensors(flat[origin.path][...]))


def _assemble(config: T5Config, values: dict[tuple[str, ...], jax.Array]) -> GTR:
    definition, state = nnx.split(_abstract(config, values[("projection",)].shape))
    filled = [(path, variable.replace(values[path])) for path, variable in nnx.to_flat_state(state)]
    return nnx.merge(definition, nnx.from_flat_state(filled))


def _abstract(config: T5Config, projection: tuple[int, int]) -> GTR:
    """A tower of shapes without numbers."""
    return nnx.eval_shape(lambda: GTR(T5(config, rngs=nnx.Rngs(0)), jnp.zeros(projection)))
