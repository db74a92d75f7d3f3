"""How far a training of `kerasgen train` is: a line that is redrawn on a terminal."""

import shutil
import sys
import time

import keras

BAR = 20
SECONDS = 0.1  # between drawings
FIRST = ("fd", "val_psnr")  # of the values shown: what says how good it is
NARROWEST = 40  # columns


class Progress(keras.callbacks.Callback):
    """Shows epoch, speed, time left and the last values; to be the first of the callbacks.

    On a terminal one line is redrawn; elsewhere nothing is written, so that logs stay short.

    Args:
        batch_size: int. Pictures or clips of a step.
        unit: str. What they are: "pictures" or "clips".
        limit: `kerasgen.callbacks.TimeLimit` of the same training, or None where epochs bound it.
            Defaults to None.
    """

    def __init__(self, batch_size, unit, limit=None):
        super().__init__()
        self.batch_size = batch_size
        self.unit = unit
        self.limit = limit

    def get_state(self):
        return {}

    def set_state(self, state):
        """Nothing: speed and time left are this process's own."""

    def on_train_begin(self, logs=None):
        self._terminal = sys.stdout.isatty()
        self._epoch = self._step = self._trained = 0
        self._busy = self._counted = self._drawn = 0
        self._first_end = self._left = None
        self._logs, self._open = {}, False

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._step = epoch + 1, 0
        if self._first_end is not None:
            self._busy = self._counted = 0

    def on_train_batch_begin(self, batch, logs=None):
        self._begun = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if self._first_end is None:  # it was traced as well
            self._first_end = now
        else:
            self._busy += now - self._begun
            self._counted += 1
            self._trained += batch + 1 - self._step
        self._step = batch + 1
        self._left = self._seconds_left(now)
        self._logs = self._logs | (logs or {})
        if now - self._drawn >= SECONDS:
            self._draw(now)

    def on_epoch_end(self, epoch, logs=None):
        self._logs = {} if logs is None else logs  # later callbacks add to it
        self._draw(time.monotonic())

    def on_train_end(self, logs=None):
        self.close()

    def close(self, line=None):
        """Leaves the line that is redrawn, if there is one, so that others can write.

        Args:
            line: str or None. What is to remain. Defaults to None: what is shown.
        """
        if line is not None:
            print(f"\r{line}\033[K" if self._open else line, flush=True)
        elif self._open:
            print(flush=True)
        self._open = False

    def line(self, columns=None):
        """What is shown.

        Args:
            columns: int or None. Most characters: values that don't fit are left out. Defaults to
                None: all.

        Returns:
            str.
        """
        epochs, steps = self.params.get("epochs"), self.params.get("steps")
        parts = [f"Epoch {self._epoch}" + ("" if self.limit or not epochs else f"/{epochs}")]
        if steps:
            done = min(BAR, BAR * self._step // steps)
            parts[0] += f" [{'#' * done}{'.' * (BAR - done)}] {self._step}/{steps}"
        if self._busy:
            rate = self.batch_size * self._counted / self._busy
            parts.append(
                f"{rate:,.0f} {self.unit}/s" if rate >= 10 else f"{rate:.2g} {self.unit}/s"
            )
        if self._left is not None:
            parts.append(f"{duration(self._left)} left")
        names = sorted(self._logs, key=lambda name: (name not in FIRST, "loss" not in name))
        parts += [f"{name} {float(self._logs[name]):.4g}" for name in names]
        while columns is not None and len(parts) > 1 and len("  ".join(parts)) >= columns:
            parts.pop()
        return "  ".join(parts)

    def _draw(self, now):
        self._drawn = now
        if self._terminal:
            columns = max(NARROWEST, shutil.get_terminal_size().columns)
            # The rest of the line is cleared: what stood there may have been longer.
            print(f"\r{self.line(columns)}\033[K", end="", flush=True)
            self._open = True

    def _seconds_left(self, now):
        if self.limit is not None:
            return max(0.0, self.limit.seconds_left)
        epochs, steps = self.params.get("epochs"), self.params.get("steps")
        if not epochs or not steps or not self._trained:
            return None
        ahead = (epochs - self._epoch) * steps + steps - self._step
        return (now - self._first_end) / self._trained * ahead


class EpochLines(keras.callbacks.Callback):
    """Leaves a line of each epoch with all its values; to be after those that add some.

    Args:
        progress: `Progress` of the same training.
    """

    def __init__(self, progress):
        super().__init__()
        self.progress = progress

    def get_state(self):
        return {}

    def set_state(self, state):
        """Nothing is remembered."""

    def on_epoch_end(self, epoch, logs=None):
        self.progress.close(self.progress.line())


def duration(seconds):
    """Seconds as "0:42", "12:05" or "3:04:05"."""
    seconds = round(seconds)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
