"""What goes along with a training of `kerasgen train`: evaluation, guard, and Ctrl-C."""

import contextlib
import math
import signal
import warnings

from kerasgen.cli import UserError

EVALUATIONS = 10
MOST_OFTEN = 0.5  # minutes between evaluations where the length is given in minutes
HELD_OUT_PICTURES = 500  # fewer say less than the training pictures do


def picture_watchers(arguments, dataset, validation, directory, epochs):
    """The callbacks that measure the samples, keep the best weights and guard the training."""
    if not arguments.evaluate:
        return []
    import kerasgen
    from kerasgen.metrics.evaluator import FEWEST

    held_out = validation is not None and validation.num_images >= HELD_OUT_PICTURES
    real = validation if held_out else dataset
    if real.num_images < FEWEST and real.crop == "center":
        print(f"No evaluation: {real.num_images} pictures are too few to compare with.")
        return []
    if arguments.minutes is None:
        when = {"every": math.ceil(epochs / EVALUATIONS)}
    else:
        when = {"minutes": max(MOST_OFTEN, arguments.minutes / (2 * EVALUATIONS))}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        evaluate = kerasgen.callbacks.EvaluateSamples(
            real, path=directory / "evaluations.jsonl", data=dataset, **when
        )
        guard = kerasgen.callbacks.CollapseGuard(dataset, path=directory / "verdicts.jsonl")
    for warning in caught:
        print(f"Note: {warning.message}")
    print(
        f"Evaluation: {evaluate.evaluator.protocol}; the weights with the least FD are kept "
        "(--no-evaluate keeps the last)."
    )
    return [evaluate, guard]


def tensorboard(directory, every, batch, evaluate):
    """The callbacks that write for TensorBoard: Keras' own for the scalars, then kerasgen's.

    Args:
        directory: `pathlib.Path`. Gets the files.
        every, batch, evaluate: as in `kerasgen.callbacks.TensorBoardSamples`.

    Returns:
        List of `keras.callbacks.Callback`.

    Raises:
        UserError: TensorBoard isn't installed.
    """
    import keras

    import kerasgen

    try:
        samples = kerasgen.callbacks.TensorBoardSamples(directory, every, batch, evaluate)
    except ImportError as error:
        raise UserError(error) from None
    return [keras.callbacks.TensorBoard(directory, write_graph=False), samples]


@contextlib.contextmanager
def interruptible(callbacks, strategy):
    """Turns a first Ctrl-C, on any machine, into a clean end of `fit`; a second is immediate."""
    import keras

    from kerasgen import distribution

    state = {"count": 0}

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            (asked,) = distribution.sum_of_workers(strategy, [float(state["count"])])
            if asked:
                self.model.stop_training = True

    def on_signal(number, frame):
        state["count"] += 1
        if state["count"] > 1:
            raise KeyboardInterrupt
        print("\nStopping after this step and saving; Ctrl-C again stops at once.", flush=True)

    callbacks.append(Stop())
    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield state
    finally:
        signal.signal(signal.SIGINT, before)
