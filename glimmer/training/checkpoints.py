"""Orbax checkpoints of a run: the latest for resuming, one kept for evaluating; written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from glimmer.files import existing


class RunCheckpoints:
    """`latest/` holds the whole training state and the run's progress, `kept/` the parameters to evaluate."""

    def __init__(self, directory: str | Path):
        options = ocp.CheckpointManagerOptions(max_to_keep=1, create=True, enable_async_checkpointing=False)
        root = Path(directory).absolute()
        self._latest = ocp.CheckpointManager(root / "latest", options=options)
        self._kept = ocp.CheckpointManager(root / "kept", options=options)

    def save_latest(self, step: int, state: Any, progress: dict[str, Any]) -> None:
        """Saves the training state after `step` steps, with `progress` (JSON-able)."""
        arguments = ocp.args.Composite(state=ocp.args.StandardSave(_plain(state)), progress=ocp.args.JsonSave(progress))
        _save(self._latest, step, arguments)

    def save_kept(self, step: int, parameters: Any) -> None:
        """Saves the parameters to keep as things stand, replacing those kept before."""
        _save(self._kept, step, ocp.args.StandardSave(_plain(parameters)))

    def restore_latest(self, like: Any, identity: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        """The latest state, shaped and placed like `like`, and its progress; None if there is none of this identity."""
        step = self._latest.latest_step()
        if step is None:
            return None
        progress = self._latest.restore(step, args=ocp.args.Composite(progress=ocp.args.JsonRestore()))["progress"]
        if progress.get("identity") != identity:
            return None
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(_plain(like)))
        return _unplain(like, self._latest.restore(step, args=arguments)["state"]), progress

    def close(self) -> None:
        """Waits for what is being written."""
        self._latest.close()
        self._kept.close()


def _save(manager: ocp.CheckpointManager, step: int, arguments: ocp.args.CheckpointArgs) -> None:
    # A run that was stopped between its two checkpoints comes to the same step again, which Orbax would refuse.
    if step in manager.all_steps():
        manager.delete(step)
    manager.save(step, args=arguments, force=True)


def restore_kept(directory: str | Path, like: Any) -> Any:
    """The parameters kept under `directory`, shaped and placed like `like`."""
    with ocp.CheckpointManager(existing(Path(directory).absolute() / "kept")) as manager:
        return _unplain(like, manager.restore(manager.latest_step(), args=ocp.args.StandardRestore(_plain(like))))


def _plain(tree: Any) -> dict[str, Any]:
    """The leaves under their paths as names: a form that does not depend on the classes of the tree."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _unplain(like: Any, plain: dict[str, Any]) -> Any:
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(like)]
    return jax.tree.unflatten(jax.tree.structure(like), [plain[name] for name in names])
