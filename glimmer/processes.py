"""Several processes that train or evaluate one run, on one host or many: how they find each other, agree, and end.

A process that is alone agrees with itself: nothing here then computes, waits, or changes a number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import socket
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from glimmer import preemption
from glimmer.errors import CheckFailed, GlimmerError, InputError
from glimmer.files import canonical_json
from glimmer.preemption import Preempted

SLURM = "slurm"
_SLURM_VARIABLES = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
_JOINING = 300  # seconds that a process waits for the others to be there
_ENDING = 20  # seconds that a process which ends with an error waits for the others to end too
_Made, _Thing = TypeVar("_Made"), TypeVar("_Thing")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Which of how many processes this one is, and where they meet: "host:port" of process 0. `of_slurm`: as SLURM's
    variables say, and the other fields say nothing."""

    coordinator: str = ""
    processes: int = 1
    process: int = 0
    of_slurm: bool = False

    @classmethod
    def stated(cls, coordinator: str | None, processes: str | None, process: int | None) -> Place | None:
        """The place that a command line states; None for a process that is alone.

        Raises InputError for a part of it, for a number out of range, or for SLURM where there is no step of it.
        """
        where = "--processes"
        if processes == SLURM:
            missing = [name for name in _SLURM_VARIABLES if name not in os.environ]
            if missing or (coordinator, process) != (None, None):
                found = f"no {', '.join(missing)}" if missing else "--coordinator or --process beside it"
                raise InputError("not a step of SLURM", where=where, found=found,
                                 expected="`srun glimmer ... --processes slurm`, and nothing else of it")  # fmt: skip
            return cls(of_slurm=True)
        if (coordinator, processes, process) == (None, None, None):
            return None
        if None in (coordinator, processes, process):
            raise InputError("not enough to find the others", where=where, expected="--coordinator, --processes and"
                             " --process, or --processes slurm", found="only a part of it")  # fmt: skip
        if not re.fullmatch("[0-9]{1,6}", processes) or not 0 <= process < (count := int(processes)):
            raise InputError("no such process", where="--process", expected="0 <= process < processes, or slurm",
                             found=f"process {process} of {processes}")  # fmt: skip
        if not re.fullmatch(r"[^\s]+:[0-9]{1,5}", coordinator):
            raise InputError("no address", where="--coordinator", expected="host:port", found=coordinator)
        return cls(coordinator=coordinator, processes=count, process=process)

    def __str__(self) -> str:
        if self.of_slurm:
            return f"task {os.environ['SLURM_PROCID']} of {os.environ['SLURM_NTASKS']} of SLURM"
        return f"process {self.process} of {self.processes} at {self.coordinator}"


@contextlib.contextmanager
def joined(place: Place | None) -> Iterator[None]:
    """Joins the other processes before the block, and parts from them after it; does nothing without a `place`.

    Must run before jax computes anything. An error that all processes have ends each as it ends one that is alone. A
    process that has one of its own says it and ends at once, and the others, which wait for it, are ended by jax when
    they miss it. Where not all come, jax ends those that wait for them, with a line before of who waited where. Raises
    InputError for an address that process 0 cannot take.
    """
    if place is None:
        yield
        return
    import jax

    jax.config.update("jax_enable_preemption_service", False)  # it takes SIGTERM for itself
    print(f"{place}: waits for the others, {_JOINING} seconds at most", file=sys.stderr, flush=True)
    _initialize(place)
    any_process(False)  # the first of all waits half a minute for the others, and no later one does
    try:
        yield
    except BaseException as error:
        if not _all_end():
            _leave(error)
        raise
    finally:
        jax.distributed.shutdown()


def _initialize(place: Place) -> None:
    import jax

    if not place.of_slurm:
        if place.process == 0:
            _require_free(place.coordinator)
        where = {"coordinator_address": place.coordinator, "num_processes": place.processes}
        jax.distributed.initialize(
            **where,
            process_id=place.process,
            cluster_detection_method="deactivate",
            initialization_timeout=_JOINING,
        )
        return
    # Of several tasks on a host, jax gives each the one device of its local number. A task that is alone on its host
    # has them all: an empty list restricts nothing.
    alone = os.environ["SLURM_NTASKS"] == os.environ.get("SLURM_STEP_NUM_NODES")
    jax.distributed.initialize(
        local_device_ids=[] if alone else None, cluster_detection_method=SLURM, initialization_timeout=_JOINING
    )


def _require_free(address: str) -> None:
    """Raises InputError where somebody listens at the port: jax would die of it."""
    port, both = int(address.rpartition(":")[2]), socket.has_dualstack_ipv6()
    try:
        family = socket.AF_INET6 if both else socket.AF_INET
        socket.create_server(("", port), family=family, dualstack_ipv6=both).close()
    except (OSError, OverflowError) as error:
        raise InputError("no port to listen at", where=address, expected="a free one", found=str(error)) from None


def _all_end() -> bool:
    """Whether the other processes end too, for the same reason: they come here within _ENDING seconds."""
    from orbax.checkpoint import multihost

    try:
        multihost.get_barrier_sync_fn()(key="glimmer ends", timeout_ms=1000 * _ENDING)
    except Exception:
        return False
    return True


def _leave(error: BaseException) -> None:
    """Ends this process and not the others, without the barrier of a shutdown, in which all would fail."""
    if isinstance(error, GlimmerError):
        print(f"glimmer: process {_index()}: {error}", file=sys.stderr)
    else:
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(getattr(error, "exit_code", 1))


def _index() -> int:
    import jax

    return jax.process_index()


def several() -> bool:
    """Whether there are other processes."""
    import jax

    return jax.process_count() > 1


def is_first() -> bool:
    """Whether this process is the one that writes and reports; a process that is alone is."""
    return _index() == 0


def each_says(answer: bool) -> list[bool]:
    """The answer of each process, in their order; all must say one. One small all-gather, for which all wait."""
    if not several():
        return [answer]
    from jax.experimental import multihost_utils

    return [bool(said) for said in multihost_utils.process_allgather(np.array([answer], np.uint8)).ravel()]


def any_process(wish: bool) -> bool:
    """Whether it is so on any process; all must ask, and wait for it."""
    return any(each_says(wish))


def in_turn(things: Sequence[_Thing], left: Callable[[_Thing], bool]) -> Iterator[tuple[_Thing, bool]]:
    """Those of `things` that are `left` to do, in their order, and of each whether it is this process's turn to write.

    `left` is asked of each thing once, by the process whose turn it is, when those before are done. All processes get
    the same ones, with a look between for a wish to stop; all must go through them.
    """
    import jax

    index, count = jax.process_index(), jax.process_count()
    for start in range(0, len(things), count):
        check_stop()
        group = things[start : start + count]
        for place, is_left in enumerate(each_says(index < len(group) and left(group[index]))):
            if is_left:
                yield group[place], place == index


def check_stop() -> None:
    """Raises Preempted on every process if any of them was asked to stop; all must look."""
    if any_process(preemption.asked()):
        raise Preempted


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A block in which no process waits for another, and which fails on all where it fails on one.

    Raises CheckFailed on those where it did not fail.
    """
    try:
        yield
    except Exception:
        any_process(True)
        raise
    if any_process(False):
        raise CheckFailed("another process of this run failed; it says why")


def after_the_first(make: Callable[[], _Made]) -> _Made:
    """`make` on process 0, and when that is done on the others, which find what it has left."""
    with together():
        if is_first():
            made = make()
    with together():
        if not is_first():
            made = make()
    return made


def of_the_first(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of process 0, a tree of mappings, on every process: to the bit, where hosts may round differently."""
    if not several():
        return dict(numbers)
    import jax
    from jax.experimental import multihost_utils

    leaves, tree = jax.tree.flatten(dict(numbers))
    mine = np.array(leaves, np.float64)  # as bytes: jax has no float64
    bytes_of_first = np.asarray(multihost_utils.broadcast_one_to_all(mine.view(np.uint8)), np.uint8)
    return jax.tree.unflatten(tree, bytes_of_first.view(np.float64).tolist())


def require_alike(what: str, value: Any) -> None:
    """Raises InputError on every process unless all have the same JSON-able `value`; all must ask."""
    if not several():
        return
    from jax.experimental import multihost_utils

    digest = hashlib.sha256(canonical_json(value).encode()).digest()[:16]
    digests = multihost_utils.process_allgather(np.frombuffer(digest, np.uint8))
    kinds = len(np.unique(digests, axis=0))
    if kinds > 1:
        raise InputError(f"processes differ in {what}", where=f"process {_index()}", found=f"{kinds} kinds",
                         expected="the same on all: one command line, one file system")  # fmt: skip


class Wishes:
    """What any process wishes, by name, heard by all of them at the same call of `heard`.

    Alone, a wish is heard at once. Of several processes it is heard `behind` calls later: each call sends off a maximum
    of one byte a name over all devices, behind the step that is on its way, and waits for the one that was sent
    `behind` calls ago. So no process waits for a step that it would not have waited for anyway.
    """

    def __init__(self, *names: str, behind: int):
        self._names, self._behind, self._asked = names, behind, deque()
        self._several = several()
        if self._several:
            self._prepare()

    def _prepare(self) -> None:
        import jax
        from jax.sharding import Mesh, NamedSharding, PartitionSpec

        devices = np.array(jax.devices()).reshape(jax.process_count(), -1)
        mesh = Mesh(devices, ("processes", "devices"))
        self._rows = NamedSharding(mesh, PartitionSpec("processes"))
        self._maximum = jax.jit(lambda x: x.max(axis=0), out_shardings=NamedSharding(mesh, PartitionSpec()))

    def heard(self, **wishes: bool) -> dict[str, bool]:
        """What was wished `behind` calls ago by any process, given what this one wishes now."""
        if not self._several:
            return wishes
        import jax

        mine = np.array([[wishes[name] for name in self._names]], np.uint8)
        self._asked.append(self._maximum(jax.make_array_from_process_local_data(self._rows, mine)))
        if len(self._asked) <= self._behind:
            return dict.fromkeys(self._names, False)
        values = np.asarray(self._asked.popleft().addressable_data(0))
        return {name: bool(value) for name, value in zip(self._names, values, strict=True)}

    def forget(self) -> None:
        """Drops what was wished and not heard; all processes must do so at the same call."""
        self._asked.clear()
