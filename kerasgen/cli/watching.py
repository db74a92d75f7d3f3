"""What goes along with a training of `kerasgen train`: evaluation, guard, and Ctrl-C."""

import contextlib
import math
import signal
import time
import warnings

from kerasgen.cli import UserError
from kerasgen.cli.report import PAGE, write_extras
from kerasgen.report import write_report

EVALUATIONS = 10
MOST_OFTEN = 0.5  # minutes between evaluations where the length is given in minutes
REPORT_SHARE = 0.05  # of the time, at most, goes into the reports
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


def report_writer(directory, evaluate):
    """The callback that writes a run's report while it is trained; to be after all others.

    Args:
        directory: `pathlib.Path` of the run.
        evaluate: `EvaluateSamples` of the same training, or None: it is written after epochs.
    """
    import keras

    class ReportWriter(keras.callbacks.Callback):
        cache = {}
        shown, next_time = 0, 0.0

        def get_state(self):
            return {}

        def set_state(self, state):
            """Nothing: the page is written from the run's files."""

        def on_train_batch_end(self, batch, logs=None):
            if evaluate is not None:  # which may measure within an epoch
                self._write_if_new()

        def on_epoch_end(self, epoch, logs=None):
            self._write_if_new()

        def _write_if_new(self):
            found = 0 if evaluate is None else len(evaluate.evaluations)
            if (evaluate is None or found != self.shown) and time.monotonic() >= self.next_time:
                self.shown = found
                start = time.monotonic()
                write_run_report(directory, self.cache)
                end = time.monotonic()
                self.next_time = end + (end - start) / REPORT_SHARE

    return ReportWriter()


def write_run_report(directory, cache=None):
    """Writes a run's report; a training outweighs it, so that a failure is only told.

    Args:
        directory: `pathlib.Path` of the run.
        cache: as in `kerasgen.report.write_report`. Defaults to None.
    """
    try:
        write_report(directory, directory / PAGE, cache)
    except Exception as error:
        print(f"\nNote: the report can't be written: {error!r}")


def last_report(directory, model, data):
    """As `write_run_report` at the end of a training, with what takes the model and the data."""
    try:
        write_extras(model, data, directory)
    except Exception as error:
        print(f"Note: no latent walk or nearest neighbours: {error!r}")
    write_run_report(directory)


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
