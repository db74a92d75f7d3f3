"""`TensorBoardSamples`: what Keras' own `TensorBoard` doesn't show of a generator's training."""

import importlib.util
import pathlib

import keras
import numpy as np
import tensorflow as tf

from kerasgen import distribution
from kerasgen.plots import grid_image

SUBDIRECTORY = "samples"  # beside Keras' "train" and "validation"


class TensorBoardSamples(keras.callbacks.Callback):
    """Writes sample pictures, histograms of the weights and evaluations for TensorBoard.

    Losses and all else in the logs come by `keras.callbacks.TensorBoard`; this callback adds, in
    a subdirectory "samples" of the same directory, so that TensorBoard shows both:
    - each grid of the model's `preview`, tagged by its name (pictures);
    - each trained variable, tagged "weights/" and its path (histograms);
    - each evaluation of an `EvaluateSamples`, tagged "evaluation/fd" and so on, with its floor
      beside it, "evaluation/fd_floor" (scalars).

    Every point stands at its training step. Where several machines train, the chief writes.

    Args:
        directory: str or path. The `log_dir` of `keras.callbacks.TensorBoard`.
        every: int. Epochs between pictures and histograms; the last epoch is always shown.
            Defaults to 1.
        batch: a batch of the data to hand to `preview`, for models that show what they make of
            it. Defaults to None.
        evaluate: `EvaluateSamples` of the same `fit`, before this one in its list, or None, which
            writes no evaluations. Defaults to None.
        histograms: bool. Whether to write the weights. Defaults to True.

    Raises:
        ImportError: TensorBoard isn't installed.
        ValueError: `every` below 1.

    Example:

    ```python
    evaluate = kerasgen.callbacks.EvaluateSamples(dataset, every=5)
    callbacks = [
        evaluate,
        keras.callbacks.TensorBoard("logs", write_graph=False),
        kerasgen.callbacks.TensorBoardSamples("logs", every=5, evaluate=evaluate),
    ]
    model.fit(dataset, epochs=60, callbacks=callbacks)  # then: tensorboard --logdir logs
    ```
    """

    def __init__(self, directory, every=1, batch=None, evaluate=None, histograms=True):
        super().__init__()
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                "TensorBoard isn't installed, and its files are written by it: "
                '`pip install "kerasgen[tensorboard]"`.'
            )
        if not isinstance(every, (int, np.integer)) or every < 1:
            raise ValueError(f"`every` must be at least 1. Received: every={every!r}")
        self.directory = pathlib.Path(directory) / SUBDIRECTORY
        self.every = every
        self.batch = batch
        self.evaluate = evaluate
        self.histograms = histograms

    def on_train_begin(self, logs=None):
        self._writer = None
        if distribution.is_chief(self.model.distribute_strategy):
            self._writer = tf.summary.create_file_writer(str(self.directory))
        self._epoch = self._shown = None
        self._evaluations = 0

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch + 1
        if self._epoch % self.every == 0:
            self._show()
        self._write_evaluations()

    def on_train_end(self, logs=None):
        if self._epoch is not None and self._shown != self._epoch:
            self._show()
        self._write_evaluations()
        if self._writer is not None:
            self._writer.close()

    def get_state(self):
        return {"epoch": self._epoch, "shown": self._shown, "evaluations": self._evaluations}

    def set_state(self, state):
        self._epoch, self._shown = state["epoch"], state["shown"]
        self._evaluations = state["evaluations"]

    def _show(self):
        self._shown = self._epoch
        if self._writer is None:
            return
        step = int(self.model.step.numpy())
        with self._writer.as_default(step):
            for name, grid in self.model.preview(self.batch).items():
                picture = np.asarray(grid_image(grid))
                tf.summary.image(name, picture.reshape(1, *picture.shape[:2], -1))
            for variable in self.model.trainable_variables if self.histograms else ():
                tf.summary.histogram(f"weights/{variable.path}", variable.numpy())
        self._writer.flush()

    def _write_evaluations(self):
        if self._writer is None or self.evaluate is None:
            return
        new = self.evaluate.evaluations[self._evaluations :]
        with self._writer.as_default():
            for record in new:
                for name, floor in record["floor"].items():
                    tf.summary.scalar(f"evaluation/{name}", record[name], record["step"])
                    tf.summary.scalar(f"evaluation/{name}_floor", floor, record["step"])
        self._evaluations += len(new)
        self._writer.flush()
