"""Orbax checkpoints of a run: the latest to resume from, the best and the last to evaluate; whole or absent.

Orbax restores other numbers, without a word, from files in which a bit has changed. So what it wrote is sealed.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import jax
import orbax.checkpoint as ocp

from glimmer.errors import InputError
from glimmer.files import SEAL, add_to_seal, check_seal, existing

Which = Literal["best", "last"]
"""Parameters of the best dev average, or of the last step."""


class RunCheckpoints:
    """`latest/` holds the whole training state and the run's progress, `best/` and `last/` parameters to evaluate.

    `last/` is written when training ends; where the last step is the best one, `best/` holds its parameters and there
    is no `last/`.
    """

    def __init__(self, directory: str | Path):
        options = ocp.CheckpointManagerOptions(max_to_keep=1, create=True, enable_async_checkpointing=False)
        root = Path(directory).absolute()
        self._latest = ocp.CheckpointManager(root / "latest", options=options)
        self._best = ocp.CheckpointManager(root / "best", options=options)
        self._root, self._options = root, options

    @property
    def best_step(self) -> int | None:
        """The step of the best parameters that are kept here; None without any."""
        return self._best.latest_step()

    def save_latest(self, step: int, state: Any, progress: dict[str, Any]) -> None:
        """Saves the training state after `step` steps, with `progress` (JSON-able)."""
        arguments = ocp.args.Composite(state=ocp.args.StandardSave(_plain(state)), progress=ocp.args.JsonSave(progress))
        _save(self._latest, step, arguments)
        self._seal("latest", step)

    def save_best(self, step: int, parameters: Any) -> None:
        """Saves the best parameters so far, replacing those of before."""
        _save(self._best, step, ocp.args.StandardSave(_plain(parameters)))
        self._seal("best", step)

    def save_last(self, step: int, parameters: Any) -> None:
        """Saves the parameters of the last step, where they are not the best."""
        with ocp.CheckpointManager(self._root / "last", options=self._options) as manager:
            _save(manager, step, ocp.args.StandardSave(_plain(parameters)))
        self._seal("last", step)

    def restore_latest(self, like: Any, identity: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        """The latest state, shaped and placed like `like`, and its progress; None if there is none of this identity.

        Raises InputError for files that are not those that were saved.
        A step directory that lacks one of the two, as a writer that was killed can leave it, counts as none; and so
        does one beside which the best parameters, of another step, are gone.
        """
        step = self._latest.latest_step()
        if step is None or not all(
            (self._root / "latest" / str(step) / part).is_dir() for part in ("state", "progress")
        ):
            return None
        check_seal(self._root, f"latest/{step}/")
        progress = self._latest.restore(step, args=ocp.args.Composite(progress=ocp.args.JsonRestore()))["progress"]
        if progress.get("identity") != identity:
            return None
        best = max(progress["curve"], key=lambda entry: entry["dev_average"], default=None)
        if best is None or best["step"] not in (self.best_step, step):
            return None
        check_seal(self._root, f"best/{self.best_step}/")
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(_plain(like)))
        return _unplain(like, self._latest.restore(step, args=arguments)["state"]), progress

    def forget(self) -> None:
        """Deletes all that another run left here."""
        for manager in (self._latest, self._best):
            for step in manager.all_steps():
                manager.delete(step)
        shutil.rmtree(self._root / "last", ignore_errors=True)
        (self._root / SEAL).unlink(missing_ok=True)

    def _seal(self, which: str, step: int) -> None:
        files = (path for path in (self._root / which / str(step)).rglob("*") if path.is_file())
        add_to_seal(self._root, files, instead_of=f"{which}/")

    def close(self) -> None:
        """Waits for what is being written."""
        self._latest.close()
        self._best.close()


def _save(manager: ocp.CheckpointManager, step: int, arguments: ocp.args.CheckpointArgs) -> None:
    # A run that was stopped between its two checkpoints comes to the same step again, which Orbax would refuse.
    if step in manager.all_steps():
        manager.delete(step)
    manager.save(step, args=arguments, force=True)


def restore_parameters(directory: str | Path, which: Which, like: Any) -> Any:
    """The best or the last parameters under `directory`, shaped and placed like `like`.

    Raises InputError where there are none: of the last step, too, where it is the best one; or an empty step.
    """
    path = existing(Path(directory).absolute() / which)
    with ocp.CheckpointManager(path) as manager:
        step = manager.latest_step()
        if step is None or not any((path / str(step)).iterdir()):
            raise InputError("no checkpoint here", where=path, expected="a step that was written whole", found=step)
        return _unplain(like, manager.restore(step, args=ocp.args.StandardRestore(_plain(like))))


def _plain(tree: Any) -> dict[str, Any]:
    """The leaves under their paths as names: a form that does not depend on the classes of the tree."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _unplain(like: Any, plain: dict[str, Any]) -> Any:
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(like)]
    return jax.tree.unflatten(jax.tree.structure(like), [plain[name] for name in names])
