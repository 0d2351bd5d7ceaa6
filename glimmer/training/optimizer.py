"""Adafactor at a constant rate (section 4.1 of the paper), over stacked layers as if each were a parameter of its own.

Weight matrices of stacked layers carry a layer axis. Factoring, clipping and scaling run once a layer, so that
scanning over layers changes no number.
"""

from __future__ import annotations

import jax
import optax

from glimmer.experiments.sections import Training


def build_optimizer(training: Training) -> optax.GradientTransformation:
    """The optimizer of a study's `training` section: its decay, rates, schedule, warm-up and clipping."""
    rate, scorer = learning_rate(training), scorer_learning_rate(training)
    if training.optimizer == "adafactor":
        transform = adafactor(rate, scorer_rate=scorer, scale_by_parameter=training.scale_by_parameter)
    elif training.scorer_learning_rate is None:
        transform = optax.adamw(rate, b2=training.second_moment_decay, weight_decay=0.0)
    else:
        body, scorer = (optax.adamw(one, b2=training.second_moment_decay, weight_decay=0.0) for one in (rate, scorer))
        transform = optax.partition({True: scorer, False: body}, _are_scorers)
    if training.clip_norm is None:
        return transform
    return optax.chain(optax.clip_by_global_norm(training.clip_norm), transform)


def learning_rate(training: Training) -> optax.Schedule:
    """Linear warm-up, then constant, or decaying to zero over the remaining steps along a line or a cosine."""
    return _scheduled(training.learning_rate, training)


def scorer_learning_rate(training: Training) -> optax.Schedule:
    """The scorer's rate: its own where the section has one, else the body's; the shape is the body's."""
    return _scheduled(training.scorer_learning_rate or training.learning_rate, training)


def _scheduled(peak: float, training: Training) -> optax.Schedule:
    warmup = training.warmup_steps
    rest = max(training.steps - warmup, 1)
    after = {
        "constant": optax.constant_schedule(peak),
        "linear": optax.linear_schedule(peak, 0.0, rest),
        "cosine": optax.cosine_decay_schedule(peak, rest),
    }[training.schedule]
    return optax.join_schedules([optax.linear_schedule(peak / max(warmup, 1), peak, max(warmup, 1)), after], [warmup])


def adafactor(
    rate: optax.ScalarOrSchedule,
    *,
    scorer_rate: optax.ScalarOrSchedule | None = None,
    scale_by_parameter: bool = True,
    min_dim_size_to_factor: int = 128,
) -> optax.GradientTransformation:
    """Adafactor (Shazeer and Stern 2018) without momentum and weight decay, the second moment's decay 1 - t^-0.8.

    `scale_by_parameter` multiplies each update by the parameter's root mean square (at least 1e-3), as T5X does; never
    the scorer's. Second moments are factored where both dimensions reach `min_dim_size_to_factor`. `scorer_rate` None:
    `rate`.
    """

    def transform(rate: optax.ScalarOrSchedule, scaled: bool) -> optax.GradientTransformation:
        return optax.adafactor(
            learning_rate=rate,
            multiply_by_parameter_scale=scaled,
            min_dim_size_to_factor=min_dim_size_to_factor,
        )

    scorer = transform(rate if scorer_rate is None else scorer_rate, False)
    return by_layer(transform(rate, scale_by_parameter), scorer=scorer)


def by_layer(
    transform: optax.GradientTransformation, scorer: optax.GradientTransformation
) -> optax.GradientTransformation:
    """Applies `transform` to every layer of a stack apart, and to every other parameter as it is.

    A stack is what lies below a key `layers`; all parameters of one stack share the length of their first axis. The
    scorer has its own transform: it starts at zero, so updates relative to its size would never move it.
    """

    def stack_of(path, _leaf) -> str:
        names = _names(path)
        if "scorer" in names:
            return "scorer"
        return "/".join(names[: names.index("layers")]) if "layers" in names else ""

    def labels(params):
        return jax.tree_util.tree_map_with_path(stack_of, params)

    def transforms(params) -> optax.GradientTransformation:
        stacks = set(jax.tree.leaves(labels(params)))
        special = {"": transform, "scorer": scorer}
        return optax.partition({stack: special.get(stack) or _vmapped(transform) for stack in stacks}, labels)

    def init(params):
        return transforms(params).init(params)

    def update(gradients, state, params=None):
        return transforms(params).update(gradients, state, params)

    return optax.GradientTransformation(init, update)


def _are_scorers(params):
    return jax.tree_util.tree_map_with_path(lambda path, _leaf: "scorer" in _names(path), params)


def _names(path) -> list[str]:
    return [str(getattr(part, "key", getattr(part, "name", part))) for part in path]


def _vmapped(transform: optax.GradientTransformation) -> optax.GradientTransformation:
    def update(gradients, state, params=None):
        return jax.vmap(transform.update)(gradients, state, params)

    return optax.GradientTransformation(lambda params: jax.vmap(transform.init)(params), update)
