"""Orbax checkpoints of a run: the latest to resume from, the best and the last to evaluate; whole or absent.

Orbax restores other numbers, without a word, from files in which a bit has changed. So what it wrote is sealed.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import jax
import orbax.checkpoint as ocp

from glimmer import processes
from glimmer.errors import InputError
from glimmer.files import SEAL, add_to_seal, check_seal, disk_is_full, existing, full_disk_named

Which = Literal["best", "last"]
"""Parameters of the best dev average, or of the last step."""
# Of a full disk, Orbax logs a traceback for each of its threads, and then raises the same error.
logging.getLogger("absl").addFilter(lambda record: not (record.exc_info and disk_is_full(record.exc_info[1])))


class RunCheckpoints:
    """`latest/` holds the whole training state and the run's progress, `best/` and `last/` parameters to evaluate.

    `between/` is a `latest` of a later step, between two evaluations, written in the background. Training goes on from
    there where it is whole and belongs to the evaluations of `latest`; else from `latest`, which it never endangers.
    `last/` is written when training ends; where the last step is the best one, `best/` holds its parameters and there
    is no `last/`.
    """

    def __init__(self, directory: str | Path):
        options = ocp.CheckpointManagerOptions(max_to_keep=1, create=True, enable_async_checkpointing=False)
        root = Path(directory).absolute()
        self._latest = ocp.CheckpointManager(root / "latest", options=options)
        self._best = ocp.CheckpointManager(root / "best", options=options)
        self._root, self._options = root, options
        self._between = self._background_manager()
        self._sealer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="seal")
        self._sealed: Future | None = None
        self.saved_step: int | None = None
        """The newest step that training would go on from, once what is being written is there."""

    def _background_manager(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(max_to_keep=1, create=True, enable_async_checkpointing=True)
        return ocp.CheckpointManager(self._root / "between", options=options)

    @property
    def best_step(self) -> int | None:
        """The step of the best parameters that are kept here; None without any."""
        return self._best.latest_step()

    def save_latest(self, step: int, state: Any, progress: dict[str, Any]) -> None:
        """Saves the training state after `step` steps, with `progress` (JSON-able)."""
        self.settle()
        with self._room("latest"):
            _save(self._latest, step, _whole(state, progress))
            self._seal("latest", step)
        self.saved_step = step

    def save_between(self, step: int, state: Any, progress: dict[str, Any]) -> None:
        """The same between two evaluations: returns when the state is copied, and writes and seals in the background.

        Does nothing for the step that was saved last.
        """
        self.settle()
        if step != self.saved_step:
            with self._room("between"):
                self._between.save(step, args=_whole(state, progress), force=True)
            self._sealed = self._sealer.submit(self._seal_when_written, step)
            self.saved_step = step

    def _seal_when_written(self, step: int) -> None:
        self._between.wait_until_finished()
        self._seal("between", step)

    def settle(self) -> None:
        """Waits for what is written in the background, and raises what went wrong there."""
        if self._sealed is not None:
            sealed, self._sealed = self._sealed, None
            with self._room("between"):
                try:
                    sealed.result()
                except Exception:
                    self.saved_step = self._latest.latest_step()
                    self._between = self._background_manager()  # the old one would raise the same error again
                    raise

    @contextlib.contextmanager
    def _room(self, which: str) -> Iterator[None]:
        """Around writing: a full disk is said in one line, and what Orbax leaves of a step then is removed."""
        with full_disk_named(self._root / which):
            try:
                yield
            except Exception:
                for half in (self._root / which).glob("*.orbax-checkpoint-tmp"):
                    shutil.rmtree(half, ignore_errors=True)
                raise

    def save_best(self, step: int, parameters: Any) -> None:
        """Saves the best parameters so far, replacing those of before."""
        self.settle()
        with self._room("best"):
            _save(self._best, step, ocp.args.StandardSave(_plain(parameters)))
            self._seal("best", step)

    def save_last(self, step: int, parameters: Any) -> None:
        """Saves the parameters of the last step, where they are not the best."""
        self.settle()
        with self._room("last"), ocp.CheckpointManager(self._root / "last", options=self._options) as manager:
            _save(manager, step, ocp.args.StandardSave(_plain(parameters)))
        self._seal("last", step)

    def restore_latest(self, like: Any, identity: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        """The latest state, shaped and placed like `like`, and its progress; None if there is none of this identity.

        All processes take part, and each reads its parts, however many there were when it was saved.
        Raises InputError for files that are not those that were saved; of `between`, they are passed over and said.
        A step directory that lacks one of the two, as a writer that was killed can leave it, counts as none; and so
        does one beside which the best parameters, of another step, are gone.
        """
        latest = self._progress("latest", identity)
        if latest is not None:
            if _best_of(latest[1]) not in (self.best_step, latest[0]):
                latest = None
            else:
                check_seal(self._root, f"best/{self.best_step}/")
        step, progress = latest or (0, {"curve": []})
        try:
            later = self._progress("between", identity)
        except InputError as error:
            if processes.is_first():
                print(f"passed over, for step {step} before it: {error}", flush=True)
            later = None
        steps = [latest and latest[0], later and later[0], self.best_step]
        processes.require_alike("the checkpoints that they see", steps)
        # Of other evaluations it is of before them, or of a run whose latest state is lost.
        belongs = later is not None and later[1]["curve"] == progress["curve"]
        if belongs and later[0] > step and _best_of(progress) in (None, self.best_step):
            return self._state("between", later[0], like), later[1]
        _empty(self._between)
        return None if latest is None else (self._state("latest", step, like), progress)

    def _progress(self, which: str, identity: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """Step and progress of a whole state of this identity."""
        manager: ocp.CheckpointManager = getattr(self, f"_{which}")
        step = manager.latest_step()
        parts = ("state", "progress")
        if step is None or not all((self._root / which / str(step) / part).is_dir() for part in parts):
            return None
        check_seal(self._root, f"{which}/{step}/")
        progress = manager.restore(step, args=ocp.args.Composite(progress=ocp.args.JsonRestore()))["progress"]
        return (step, progress) if progress.get("identity") == identity else None

    def _state(self, which: str, step: int, like: Any) -> Any:
        manager: ocp.CheckpointManager = getattr(self, f"_{which}")
        self.saved_step = step
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(_plain(like)))
        return _unplain(like, manager.restore(step, args=arguments)["state"])

    def forget(self) -> None:
        """Deletes all that another run left here."""
        self.settle()
        for manager in (self._between, self._latest, self._best):
            _empty(manager)
        if processes.is_first():
            shutil.rmtree(self._root / "last", ignore_errors=True)
            (self._root / SEAL).unlink(missing_ok=True)

    def _seal(self, which: str, step: int) -> None:
        if not processes.is_first():
            return
        files = (path for path in (self._root / which / str(step)).rglob("*") if path.is_file())
        add_to_seal(self._root, files, instead_of=f"{which}/")

    def close(self) -> None:
        """Waits for what is being written."""
        try:
            self.settle()
        finally:
            self._sealer.shutdown()
            for manager in (self._between, self._latest, self._best):
                manager.close()


def _whole(state: Any, progress: dict[str, Any]) -> ocp.args.CheckpointArgs:
    return ocp.args.Composite(state=ocp.args.StandardSave(_plain(state)), progress=ocp.args.JsonSave(progress))


def _best_of(progress: dict[str, Any]) -> int | None:
    """The step of the best parameters; None before the first evaluation."""
    best = max(progress["curve"], key=lambda entry: entry["dev_average"], default=None)
    return None if best is None else best["step"]


def _empty(manager: ocp.CheckpointManager) -> None:
    for step in manager.all_steps():
        manager.delete(step)


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
