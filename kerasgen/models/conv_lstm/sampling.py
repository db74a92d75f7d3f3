"""Scheduled sampling: how often, in training, the model continues what it drew itself."""

import itertools
import numbers

import tensorflow as tf


def check_schedule(name, schedule):
    """Checks a probability that may change in the course of the training.

    Args:
        name: str. The argument's name, for the message.
        schedule: a probability, or two or more pairs of a step and the probability there.

    Returns:
        A float, or a tuple of tuples of an int and a float.

    Raises:
        ValueError: anything else.
    """
    if _is_probability(schedule):
        return float(schedule)
    points = schedule if isinstance(schedule, (tuple, list)) else ()
    points = [tuple(point) if isinstance(point, (tuple, list)) else () for point in points]
    if len(points) > 1 and all(len(point) == 2 for point in points):
        steps, probabilities = zip(*points, strict=True)
        whole = all(isinstance(step, int) and step >= 0 for step in steps)
        if whole and all(a < b for a, b in itertools.pairwise(steps)):
            if all(map(_is_probability, probabilities)):
                return tuple((step, float(p)) for step, p in points)
    raise ValueError(
        f"`{name}` must be a probability, or pairs of a training step and the probability there, "
        "the steps rising, such as ((0, 0.0), (2000, 1.0)). "
        f"Received: {name}={schedule!r}"
    )


def _is_probability(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 <= value <= 1


def probability(schedule, step):
    """The probability at a step: on straight lines between a schedule's points.

    Args:
        schedule: as `check_schedule` returns it.
        step: integer scalar tensor.

    Returns:
        float32 scalar tensor. Before the first point and after the last it stays as there.
    """
    if isinstance(schedule, float):
        return tf.constant(schedule)
    step = tf.cast(step, tf.float32)
    result = tf.constant(schedule[0][1])
    for (start, low), (end, high) in itertools.pairwise(schedule):
        progress = tf.clip_by_value((step - start) / (end - start), 0.0, 1.0)
        result += (high - low) * progress
    return result


def own_frames(shape, context_frames, scheduled, reverse, step, seed):
    """Decides which inputs are the model's own predictions instead of true frames.

    Args:
        shape: integer tensor or tuple `(B, T)`. Clips, and frames that are put in.
        context_frames: int. Inputs from this one on follow `scheduled`, those before `reverse`.
        scheduled: schedule, as `check_schedule` returns it.
        reverse: the same.
        step: integer scalar tensor. The training step.
        seed: int32 tensor `(2,)`.

    Returns:
        bool tensor `(B, T)`, never true for the first frame; or None, if both schedules are zero
        for ever.
    """
    if scheduled == 0 and reverse == 0:
        return None
    places = tf.range(shape[1])
    chances = tf.where(
        places < context_frames, probability(reverse, step), probability(scheduled, step)
    )
    chances = tf.where(places == 0, 0.0, chances)
    return tf.random.stateless_uniform(shape, seed, alg="philox") < chances
