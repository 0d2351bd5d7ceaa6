"""The sections of a study: what config/<study>.yaml may say, with what holds where it says nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from glimmer.compute import MemoryDtype
from glimmer.errors import InputError
from glimmer.experiments.settings import TASKS
from glimmer.experiments.strict import AtLeast, AtMost, Count, CountOrNone, Distinct, Like, Rate, Share

Task = Literal[TASKS]
Tasks = Annotated[tuple[Task, ...], Distinct(1)]
Sha256 = Annotated[str, Like("^[0-9a-f]{64}$")]
Natural = Annotated[int, AtLeast(0)]


def _outside_ids() -> Any:
    """A field that changes no number, such as a directory: no part of a run's id."""
    return dataclasses.field(metadata={"in_ids": False})


_RETRIEVER_WORLD = 1_000_000
"""Added to a world's seed for the retriever's. Pretraining's worlds have no such seeds (worlds/generate/reading.py)."""

# -- data ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneratedData:
    """A world drawn from a seed (worlds/generate)."""

    kind: Literal["generated"]
    tasks: Tasks
    seed: Natural
    pages: Count
    dev_examples: CountOrNone = None
    """Of each task, or as many as its facts give; null: the generator's default."""
    train_examples: Mapping[Task, Count] = dataclasses.field(default_factory=dict)
    """Of the tasks named, or as many as their facts give; of the others the generator's default."""
    world: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Other knobs of the generator that are not at their defaults (worlds/generate/knobs.py)."""

    @property
    def of_retriever(self) -> GeneratedData:
        """Another world of the same sizes: a retriever that is trained learns from its questions."""
        return dataclasses.replace(self, seed=self.seed + _RETRIEVER_WORLD)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subset:
    """A part of KILT-format data, drawn the same way every time."""

    train_examples: Count
    """Of each task."""
    dev_examples: Count
    """Of each task."""
    distractor_pages: Natural
    """Pages that are no example's evidence."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KiltData:
    """Files in KILT's formats, from elsewhere."""

    kind: Literal["kilt"]
    tasks: Tasks
    release: str
    """What data this is, for people and for every run's id."""
    directory: Annotated[str, Like(".")] | None = _outside_ids()
    sha256: Mapping[str, Sha256] | None
    """File name -> sha256 of the file as stored; null where none is published."""
    admitted_missing_provenance: Natural
    subset: Subset | None = None
    """Null: all of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunking:
    """How pages become passages."""

    max_words: Count


# -- the model and what it starts from -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointTokenizer:
    """The vocabulary that the checkpoint brings along."""

    kind: Literal["checkpoint"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnigramTokenizer:
    """A vocabulary trained on the study's own texts (worlds/vocabulary.py)."""

    kind: Literal["unigram"]
    vocabulary_size: Annotated[int, AtLeast(64)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedInitial:
    """A checkpoint pretrained here; worlds/recipe.py reads its stages and examination."""

    kind: Literal["pretrain"]
    seed: Natural
    stages: tuple[Mapping[str, Any], ...] | None = None
    examination: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointInitial:
    """A T5.1.1 checkpoint from elsewhere."""

    kind: Literal["checkpoint"]
    release: str
    directory: Annotated[str, Like(".")] | None = _outside_ids()
    sha256: Sha256 | None
    """Of the file of its weights; null: not pinned. Where they are several, the lock alone holds them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """One of the sizes of T5.1.1."""

    preset: Literal["small", "base", "large", "xl", "xxl"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnModel:
    """A T5.1.1 of any size."""

    d_model: Count
    d_kv: Count
    d_ff: Count
    num_heads: Count
    encoder_layers: Count
    decoder_layers: Count


Initial = PretrainedInitial | CheckpointInitial
Model = PublishedModel | OwnModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizeSection:
    """The model and the checkpoint that stand for one of the paper's sizes."""

    model: Model
    initial: Initial


# -- retrieval -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContrastiveSettings:
    """How a GTR tower is trained, beside its data.

    `temperature` divides cosine similarities; 0.01 is the paper's. `bidirectional` adds the loss of finding the
    question for each gold passage, at equal weight. `balanced` draws the task of each row uniformly; else pairs are
    drawn in proportion to the tasks' sizes. `schedule`: "linear" falls to 0 after the warm-up, as in the paper.
    """

    steps: Natural
    batch_size: Annotated[int, AtLeast(2)]
    learning_rate: Rate
    seed: Natural
    temperature: Rate = 0.01
    optimizer: Literal["adam", "adafactor"] = "adam"
    schedule: Literal["linear", "constant"] = "linear"
    warmup_steps: Natural = 0
    clip_norm: Rate | None = 1.0
    bidirectional: bool = True
    balanced: bool = True
    train_embeddings: bool = True
    dropout: Share = 0.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of activations, in training and while embedding."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gtr(ContrastiveSettings):
    """Dense retrieval by a GTR tower, trained for `steps` steps (0: as it is).

    It never serves questions that it was trained on. Where data are generated, it learns from another world; of given
    data two towers learn from one half of the train questions each, and serve the other (glimmer/retrieval/towers.py).
    """

    kind: Literal["gtr"]
    depth: Count
    """Passages kept a question."""
    dimension: Count
    hard_negatives: Natural = 0
    """Of each question, by BM25."""
    question_tokens: CountOrNone = None
    """Null: as readers have."""
    passage_tokens: CountOrNone = None
    pairs_per_task: CountOrNone = None
    """Train questions of a task that a tower sees, each with its pairs, one a page of its evidence; null: all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnGtr(Gtr):
    """A tower that starts from the encoder of the readers' initial checkpoint."""

    initial: Literal["reader"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedGtr(Gtr):
    """A tower that starts from a published one."""

    initial: Literal["checkpoint"]
    release: str
    directory: Annotated[str, Like(".")] | None = _outside_ids()
    sha256: Sha256 | None
    """Of the file of its weights; null: not pinned. Where they are several, the lock alone holds them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bm25:
    """Sparse retrieval."""

    kind: Literal["bm25"]
    depth: Count


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelevanceSettings:
    """Train examples whose evidence has less confidence than `threshold` are left out; null: none is.

    Confidence is the best over an example's evidence sets of the worst over the parts of a set. `mode` says of which
    passages: "labels": a part has the best support that any passage of the corpus gives it, so the train set does not
    depend on the retriever; "retrieved": the best among the first `k` retrieved, which only this mode takes.
    Raises InputError for a `k` without its mode, or the mode without it.
    """

    threshold: Annotated[float, AtLeast(0), AtMost(1)] | None
    mode: Literal["labels", "retrieved"] = "labels"
    k: CountOrNone = None

    def __post_init__(self):
        if (self.mode == "retrieved") != (self.k is not None):
            expected = "a number of passages" if self.mode == "retrieved" else "null"
            raise InputError("k does not fit", expected=f"{expected} with mode {self.mode}", found=repr(self.k))


# -- readers ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lengths:
    """Tokens of each question, passage and target. A longer question loses its template, then its beginning; the others
    their end."""

    question: Count
    passage: Count
    target: Count


@dataclasses.dataclass(frozen=True, kw_only=True)
class Templates:
    """How a question and a passage become the text that is tokenized."""

    question: Annotated[str, Like(r"\{question\}")]
    passage: Annotated[str, Like(r"\{text\}")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distillation:
    """What the paper leaves open about its loss: filled in where an entry of the registry does not state it."""

    kl: Literal["rank_lm", "lm_rank"]
    token_reduction: Literal["sum", "mean"]
    teacher_gradient: Literal["stopped", "flows"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """One budget for every run of the study."""

    optimizer: Literal["adafactor", "adamw"]
    learning_rate: Rate
    scorer_learning_rate: Rate | None = None
    """Of the scorer, by the same schedule; null: the body's."""
    second_moment_decay: Share = 0.999
    """b2 of adamw. At 0.999 the steep first steps slow down all that a short training has."""
    schedule: Literal["constant", "cosine", "linear"]
    warmup_steps: Natural
    clip_norm: Rate | None
    batch_size: Count
    steps: Count
    dropout: Share
    evaluate_every: Count
    patience: CountOrNone
    """Evaluations without a better one before stopping; null: never."""
    keep: Literal["best", "last"] = "best"
    """The parameters that are evaluated: of the best dev average, or of the last step."""
    dev_examples: Count
    """A task, for the learning curve and for choosing the best; none of them is evaluated."""
    dtype: Literal["float32", "bfloat16"]
    freeze_embeddings: bool
    scale_by_parameter: bool
    """Adafactor's updates relative to each parameter's root mean square, as in T5X."""
    rematerialise: bool
    """Activations computed again on the way back: less memory, more time."""
    examples_per_task: CountOrNone
    """Train examples of a task, spread evenly over its filtered set; null: all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Dev examples a task (null: all that select nothing); batch size and bootstrap samples change no number.

    `both`: the parameters that are not kept (`training.keep`) are evaluated too, where they differ: it costs as much
    again, and changes no number of those that are. `not_in_mean`: tasks that are trained on and shown, and left out of
    every mean of tasks, the one that selects a checkpoint included. `memory_dtype`: how precomputed memory of passages
    is kept; int8 takes half of bfloat16's bytes, and changes numbers (glimmer/models/memory_values.py).
    """

    dev_examples: CountOrNone
    not_in_mean: Annotated[tuple[Task, ...], Distinct()] = ()
    both: bool = dataclasses.field(default=True, metadata={"in_ids": False})
    memory_dtype: MemoryDtype = "bfloat16"
    batch_size: Count = _outside_ids()
    bootstrap_samples: Count = _outside_ids()

    def in_mean(self, tasks: Iterable[str]) -> list[str]:
        """Those of a reader's tasks that its mean is over: all of them where each one is left out."""
        tasks = list(tasks)
        return [task for task in tasks if task not in self.not_in_mean] or tasks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Devices:
    """How training and evaluation lie on devices, which changes no number beyond the order of sums: no part of an id.

    `data` x `fsdp` x `model` devices (data null: as many as there are). A batch's rows are split over `data` and
    `fsdp`; parameters and optimiser state over `fsdp`, their heads, feed-forward width and vocabulary over `model`. A
    step sums the gradients of `microbatches` equal parts of its batch, one after the other: less memory, the same step.
    """

    data: CountOrNone = None
    fsdp: Count = 1
    model: Count = 1
    microbatches: Count = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preemption:
    """What a stop may cost, which changes no number: no part of an id.

    Training leaves a checkpoint `checkpoint_seconds` after the last one (null: at dev evaluations only), so that a kill
    loses no more than that. `grace_seconds` after SIGTERM or SIGUSR1 training and evaluation end, saved or not: less
    than what a cluster leaves between SIGTERM and SIGKILL, which is 30 seconds in SLURM as it comes.
    """

    checkpoint_seconds: CountOrNone = 600
    grace_seconds: Count = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """How many jobs a stage over the knowledge source is split into, which changes no byte: no part of an id.

    Each has a part of the pages, or of the passages, for itself, and one more puts together what they leave. So many
    jobs `remember` the passages of each reader that answers from memory; with one, the job that answers does.
    """

    chunk: Count = 1
    tokenize: Count = 1
    embed: Count = 1
    remember: Count = 1


Data = GeneratedData | KiltData
Tokenizer = UnigramTokenizer | CheckpointTokenizer
Retriever = OwnGtr | PublishedGtr | Bm25
Proportions = Mapping[Fraction, Fraction]
PaperSize = Literal["Small", "Base", "Large", "XL", "XXL"]
Seed = Annotated[int, AtLeast(0), AtMost(2**32 - 1)]
