"""What decides a reader: its settings, how alpha and beta split its layers, and the id of a run."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from glimmer.errors import InputError
from glimmer.files import canonical_json

TASK_NAMES = {
    "nq": "NQ",
    "triviaqa": "TriviaQA",
    "hotpotqa": "HotpotQA",
    "fever": "FEVER",
    "zsre": "zsRE",
    "trex": "T-REx",
}
"""How the paper writes each task."""

TASKS = tuple(TASK_NAMES)
"""The six KILT data sets of the paper, in the order that every table uses."""

Proportion = Fraction | str | int
"""How alpha and beta may be given: Fraction(1, 3), "1/3", 0 or 1; never as a float."""

SCIENCE_VERSION = 3
"""Raised by hand whenever a change of the code changes the numbers that equal settings give.

A change in the order of float operations does not count, as another version of jax does not: a result file names both.
2: train rows were given, after a run's first dev evaluation, the answers of dev rows of the same number. 3: relevance
filter, retriever, training answers, cut questions, dev slices and frozen memory are others (docs/science.md).
"""


class LayerSplit(NamedTuple):
    """How many encoder layers run on the passage alone, on [question; passage], and before the scorer."""

    memory_layers: int
    live_layers: int
    rerank_layers: int


def round_half_up(value: Fraction) -> int:
    """The nearest integer, ties upwards; exact, since fractions have no rounding error of their own."""
    return math.floor(value + Fraction(1, 2))


def split_layers(layers: int, alpha: Proportion, beta: Proportion | None = None) -> LayerSplit:
    """Splits an encoder of `layers` layers (docs/layers.md has the table for 8, 12 and 24).

    memory = round((1 - alpha) L), live = L - memory, rerank = round(beta live), with ties rounded up in both:
    a tied layer goes to the memory, respectively to the reranker. `beta` None (no reranker) gives rerank 0.
    Raises InputError for alpha or beta outside [0, 1].
    """
    alpha = fraction(alpha, "alpha")
    memory = round_half_up((1 - alpha) * layers)
    live = layers - memory
    return LayerSplit(memory, live, 0 if beta is None else round_half_up(fraction(beta, "beta") * live))


def fraction(value: Proportion, where: object) -> Fraction:
    """A number of [0, 1] from "1/3", "0.125", 0 or 1. Floats are refused: 1/3 has no float."""
    if isinstance(value, float | bool) or not isinstance(value, Fraction | str | int):
        raise InputError("not a fraction", where=where, expected='a string such as "1/3"', found=repr(value))
    try:
        exact = Fraction(value)
    except (ValueError, ZeroDivisionError):
        raise InputError("not a fraction", where=where, expected='e.g. "1/3"', found=repr(value)) from None
    if not 0 <= exact <= 1:
        raise InputError("outside its range", where=where, expected="a fraction in [0, 1]", found=value)
    return exact


_WITH_RERANKER, _WITH_MEMORY, _EVERY_READER = ("glimmer",), ("lumen", "glimmer"), ("fid", "lumen", "glimmer")


def _choice(*choices: str, readers: tuple[str, ...] = _WITH_RERANKER) -> Any:
    """A field that takes one of `choices`, the first by default; readers not named can have no other."""
    return dataclasses.field(default=choices[0], metadata={"choices": choices, "readers": readers})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReaderSettings:
    """One reader, completely: FiD, LUMEN or GLIMMER with every choice the paper varies.

    `alpha` and `beta` are exact fractions; `m` passages of the `k` retrieved are kept (k = 0 is closed book); `lambda_`
    is spelled "lambda" in JSON. The constructors `fid`, `lumen` and `glimmer` fill in what the name implies. Raises
    InputError for whatever is out of range or contradicts the name.

    A new option is one line here: a field whose default is what readers did before. `to_json`, and with it every id,
    leaves out what has its default, so that results of before stay valid; what differs from the defaults is
    named by `differences`, and with it in every table.
    """

    name: str = dataclasses.field(metadata={"choices": ("fid", "lumen", "glimmer")})
    alpha: Fraction
    beta: Fraction | None
    k: int
    m: int
    reranker: str = _choice("shared", "separate", "scratch")
    scorer: str = _choice("first_token", "mean_pool")
    memory: str = _choice("trained", "frozen", readers=_WITH_MEMORY)
    question_encoder: str = _choice("shared", "separate", readers=_WITH_MEMORY)
    lambda_: float = 1.0
    tau: float = dataclasses.field(default=1.0, metadata={"readers": _WITH_RERANKER})
    kl: str = _choice("rank_lm", "lm_rank")
    token_reduction: str = _choice("sum", "mean")
    teacher_gradient: str = _choice("stopped", "flows")
    question_in_decoder: bool = False
    train_tasks: tuple[str, ...] = TASKS
    trained: bool = True
    labels: str = _choice("given", "shuffled", readers=_EVERY_READER)
    """A control: "shuffled" trains every question on the answer of another of its task, by the run's seed."""
    evidence: str = _choice("as_retrieved", "first", readers=_EVERY_READER)
    """A control: "first" puts the gold passages before what was retrieved, found there or not, in train and dev."""
    dev_evidence: str = _choice("as_trained", "first", "of_another_question", readers=_EVERY_READER)
    """What the trained reader is given on dev, by another rule than it was trained with: the gold passages first, or
    what was retrieved for another question of the task, by the run's seed. No such reader is trained: `as_trained`."""
    draw: int = 0
    """A twin: the same run, with the order of its rows and whatever else fine-tuning draws by lot drawn again. Where
    seeds redraw the world too, twins alone say by how much fine-tuning's chance changes answers."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            choices = field.metadata.get("choices")
            _require(not choices or value in choices, field.name, f"one of {', '.join(choices or ())}", value)
            _require(field.type != "bool" or type(value) is bool, field.name, "true or false", repr(value))
        _set(self, "alpha", fraction(self.alpha, "reader.alpha"))
        if self.beta is not None:
            _set(self, "beta", fraction(self.beta, "reader.beta"))
        for key in ("k", "m", "draw"):
            value = getattr(self, key)
            _require(type(value) is int and value >= 0, key, "a whole number, 0 or more", repr(value))
        for key, least in (("lambda_", 0), ("tau", None)):
            value = getattr(self, key)
            _require(_is_number(value), key, "a finite number", repr(value))
            _require(value >= 0 if least == 0 else value > 0, key, "0 or more" if least == 0 else "above 0", value)
            _set(self, key, float(value))
        self._check_tasks()
        self._check_what_the_name_implies()

    def _check_tasks(self):
        tasks = self.train_tasks
        unknown = [task for task in tasks if task not in TASKS] if not isinstance(tasks, str) else [tasks]
        _require(tasks and not unknown, "train_tasks", "some of " + ", ".join(TASKS), unknown or "none")
        _set(self, "train_tasks", tuple(task for task in TASKS if task in tasks))

    def _check_what_the_name_implies(self):
        _require(self.m <= self.k, "m", f"at most k = {self.k}", self.m)
        _require((self.m == 0) == (self.k == 0), "m", "at least 1 passage kept of those retrieved", self.m)
        for field in dataclasses.fields(self):
            readers, value = field.metadata.get("readers"), getattr(self, field.name)
            why = f"{field.default}, since only {' and '.join(readers or ())} can have another"
            _require(not readers or self.name in readers or value == field.default, field.name, why, value)
        if self.name == "glimmer":
            _require(self.beta is not None, "beta", "a fraction in [0, 1], since the reader is glimmer", None)
            return
        _require(self.beta is None, "beta", f"none, since {self.name} has no reranker", self.beta)
        _require(self.m == self.k, "m", f"k = {self.k}, since {self.name} keeps every passage", self.m)
        _require(self.lambda_ == 0, "lambda", f"0, since {self.name} has no scorer to distil into", self.lambda_)
        _require(self.name != "fid" or self.alpha == 1, "alpha", "1, since fid runs every layer live", self.alpha)

    @property
    def is_drawn(self) -> bool:
        """Whether a seed changes it: it is trained, starts from random layers, or is given passages by lot."""
        return self.trained or self.reranker == "scratch" or self.dev_evidence == "of_another_question"

    @property
    def is_trained_by_its_run(self) -> bool:
        """Whether its run trains it: an untrained reader's does not, nor one's that has another run's parameters."""
        return self.trained and self.dev_evidence == "as_trained"

    @property
    def distils(self) -> bool:
        """Whether training distils into a scorer."""
        return self.name == "glimmer" and self.lambda_ > 0

    def change(self, **changes: Any) -> ReaderSettings:
        """These settings with some fields changed, checked again; a reader that keeps every passage moves m with k."""
        if "k" in changes and "m" not in changes and self.name != "glimmer":
            changes["m"] = changes["k"]
        return dataclasses.replace(self, **changes)

    @property
    def learns_to_select(self) -> bool:
        """Whether what it answers hangs on an order that training teaches: it keeps fewer passages than it reads."""
        return self.name == "glimmer" and self.trained and self.m < self.k

    @property
    def as_trained(self) -> ReaderSettings:
        """The reader whose parameters this one has."""
        return dataclasses.replace(self, dev_evidence="as_trained")

    def split(self, layers: int) -> LayerSplit:
        """How an encoder of `layers` layers is split under these settings."""
        return split_layers(layers, self.alpha, self.beta)

    def resolved(self, layers: int) -> ReaderSettings:
        """The one spelling of the model that an encoder of `layers` layers really becomes; idempotent.

        alpha and beta turn into the proportions that whole layers give. A lumen without memory layers is a fid (the
        same function and, unless frozen memory holds its embeddings, the same training), and without passages (k = 0)
        there is nothing to store, to rerank or to put first, so every reader is the closed-book fid. Gold passages put
        first in train and dev are first on dev. Settings that are equal after this describe the same run.
        """
        if self.evidence == self.dev_evidence == "first":
            return self.as_trained.resolved(layers)
        no_memory = self.name == "lumen" and self.memory == "trained" and self.split(layers).memory_layers == 0
        if self.k == 0:
            return dataclasses.replace(self._as_fid(), evidence="as_retrieved", dev_evidence="as_trained")
        if no_memory:
            return self._as_fid()
        split = self.split(layers)
        if self.name == "glimmer":
            beta = Fraction(split.rerank_layers, split.live_layers) if split.live_layers else Fraction(0)
        else:
            beta = None
        return dataclasses.replace(self, alpha=Fraction(split.live_layers, layers), beta=beta)

    def _as_fid(self) -> ReaderSettings:
        """The fid with the same k and, of everything that a fid can have, the same choices."""
        others = {
            f.name: f.default for f in dataclasses.fields(self) if "fid" not in f.metadata.get("readers", ("fid",))
        }
        return dataclasses.replace(self, name="fid", alpha=Fraction(1), beta=None, m=self.k, lambda_=0.0, **others)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict; fractions become strings ("1/3"). A later field is left out at its default."""
        return {
            _JSON_NAMES.get(field.name, field.name): _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name in _ALWAYS_SPELLED or getattr(self, field.name) != field.default
        }

    def differences(self, tasks: tuple[str, ...] = TASKS) -> dict[str, Any]:
        """What a description of this reader has to say besides name, alpha, beta, k and m: JSON key -> value of every
        field that is not what it is in a plain reader of that name, trained on all of `tasks`."""
        usual = {"lambda_": 1.0 if self.name == "glimmer" else 0.0, "train_tasks": tasks}
        return {
            _JSON_NAMES.get(field.name, field.name): _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name not in _IN_EVERY_DESCRIPTION
            and getattr(self, field.name) != usual.get(field.name, field.default)
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], where: object = None) -> ReaderSettings:
        """The inverse of `to_json`; what is left out takes the default that the reader's name implies.

        Raises InputError, which names `where` the settings stand, for what is unknown, missing or not allowed.
        """
        value = {"lambda_" if key == "lambda" else key: item for key, item in value.items()}
        unknown = sorted(set(value) - {field.name for field in dataclasses.fields(cls)})
        if unknown or "name" not in value or "k" not in value:
            raise InputError(
                "not reader settings",
                where=where,
                expected="name, k and known keys only",
                found=f"unknown {unknown}" if unknown else sorted(value),
            )
        if value["name"] != "glimmer":
            value = {"beta": None, "m": value["k"], "lambda_": 0.0} | value
        if value["name"] == "fid":
            value = {"alpha": "1"} | value
        missing = sorted({"alpha", "beta", "m"} - set(value))
        if missing:
            raise InputError("settings missing", where=where, expected=", ".join(missing), found=sorted(value))
        if isinstance(value.get("train_tasks"), list):
            value["train_tasks"] = tuple(value["train_tasks"])
        try:
            return cls(**value)
        except InputError as error:
            path = error.where if where is None else f"{where}: {error.where}"
            raise InputError(error.what, where=path, expected=error.expected, found=error.found) from None


_JSON_NAMES = {"lambda_": "lambda"}
_IN_EVERY_DESCRIPTION = ("name", "alpha", "beta", "k", "m")
_ALWAYS_SPELLED = (*_IN_EVERY_DESCRIPTION, "train_tasks")
"""The fields that ids hold whatever their value: those without a default, and tasks, of which there may be more."""


def fid(*, k: int, **others: Any) -> ReaderSettings:
    """Fusion-in-Decoder over k passages: every encoder layer live."""
    implied = {"name": "fid", "alpha": Fraction(1), "beta": None, "m": k, "lambda_": 0.0}
    return ReaderSettings(k=k, **implied | others)


def lumen(*, alpha: Proportion, k: int, **others: Any) -> ReaderSettings:
    """LUMEN over k passages: the share `alpha` of the encoder layers is live, none rerank."""
    implied = {"name": "lumen", "beta": None, "m": k, "lambda_": 0.0}
    return ReaderSettings(alpha=alpha, k=k, **implied | others)


def glimmer(*, alpha: Proportion, beta: Proportion, k: int, m: int, **others: Any) -> ReaderSettings:
    """GLIMMER: of k passages the best m are kept after the share `beta` of the live layers."""
    return ReaderSettings(name="glimmer", alpha=alpha, beta=beta, k=k, m=m, **others)


def run_id(settings: Mapping[str, Any]) -> str:
    """The id of a run: the first 12 hex digits of the sha256 of its settings' canonical JSON."""
    return hashlib.sha256(canonical_json(settings).encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:
    """A field's value as JSON spells it."""
    if isinstance(value, Fraction):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _set(settings: ReaderSettings, key: str, value: Any) -> None:
    object.__setattr__(settings, key, value)  # the one way to normalise a field of a frozen dataclass


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require(condition: bool, key: str, expected: str, found: Any) -> None:
    if not condition:
        raise InputError("not allowed", where=f"reader.{key.rstrip('_')}", expected=expected, found=found)
