"""`TimeLimit`: a training that takes so many minutes, however long an epoch is."""

import time

import keras

from kerasgen import distribution


class TimeLimit(keras.callbacks.Callback):
    """Ends the training after the step during which the time runs out.

    Args:
        minutes: float. Minutes from the start of `fit`, above 0.

    Attributes:
        seconds_left: float. Seconds from now to the end; below 0 after it. Only during `fit`.

    Raises:
        ValueError: minutes that aren't positive.

    Example:

    ```python
    model.fit(dataset, epochs=10**6, callbacks=[kerasgen.callbacks.TimeLimit(minutes=10)])
    ```
    """

    def __init__(self, minutes):
        super().__init__()
        if not 0 < minutes < float("inf"):
            raise ValueError(f"`minutes` must be positive. Received: minutes={minutes!r}")
        self.minutes = minutes

    def on_train_begin(self, logs=None):
        self._end = time.monotonic() + 60 * self.minutes

    @property
    def seconds_left(self):
        return self._end - time.monotonic()

    def get_state(self):
        return {"left": self.seconds_left}

    def set_state(self, state):
        self._end = time.monotonic() + state["left"]

    def on_train_batch_end(self, batch, logs=None):
        strategy = self.model.distribute_strategy
        (over,) = distribution.from_chief(strategy, lambda: [time.monotonic() >= self._end], 1)
        if over:
            self.model.stop_training = True
