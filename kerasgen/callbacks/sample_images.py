"""`SampleImages`: pictures of what the model makes, epoch by epoch, and their film."""

import pathlib

import keras
import numpy as np

from kerasgen import distribution
from kerasgen.plots import grid_image, write_film, write_grid

FILMS = ("gif", "webp")


class SampleImages(keras.callbacks.Callback):
    """Writes the model's `preview` as PNG files while it trains, and the film of them at the end.

    The preview shows the same latents (or the same examples) each time, so that the files can be
    compared. Files are `<name>-epoch-0005.png`, `<name>-latest.png` and `<name>.gif`, one set
    for each picture that the model's preview names. What moves (a frame generator's rollouts, from
    its `moving_preview`) is in `<name>-latest.gif`. Where several machines train, the chief writes.

    Args:
        directory: str or path. Where the files go; it is made if need be.
        every: int. Epochs between pictures; the last epoch is always shown. Defaults to 1.
        batch: a batch of the data to hand to `preview`, for models that show what they make of
            it. Defaults to None.
        film: "gif", "webp" (smaller, with all colours) or None, which writes nothing that moves.
            Defaults to "gif".
        max_frames: int. Frames of the film, spread evenly over the training. Defaults to 100.

    Raises:
        ValueError: `every` or `max_frames` below 1, or an unknown kind of film.

    Example:

    ```python
    model.fit(dataset, epochs=60, callbacks=[kerasgen.callbacks.SampleImages("samples")])
    ```
    """

    def __init__(self, directory, every=1, batch=None, film="gif", max_frames=100):
        super().__init__()
        for name, value in (("every", every), ("max_frames", max_frames)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value!r}")
        if film not in (*FILMS, None):
            raise ValueError(f"`film` must be one of {FILMS} or None. Received: film={film!r}")
        self.directory = pathlib.Path(directory)
        self.every = every
        self.batch = batch
        self.film = film
        self.max_frames = max_frames

    def on_train_begin(self, logs=None):
        self._writes = distribution.is_chief(self.model.distribute_strategy)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._frames = {}
        self._epoch = self._shown = None

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch + 1
        if self._epoch % self.every == 0:
            self._write()

    def on_train_end(self, logs=None):
        if self._epoch is not None and self._shown != self._epoch:
            self._write()
        for name, frames in self._frames.items():
            if self.film and self._writes:
                count = min(len(frames), self.max_frames)
                chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
                write_film(self.directory / f"{name}.{self.film}", [frames[i] for i in chosen])

    def get_state(self):
        names = {name: [path.name for path in paths] for name, paths in self._frames.items()}
        return {"frames": names, "epoch": self._epoch, "shown": self._shown}

    def set_state(self, state):
        self._frames = {
            name: [self.directory / frame for frame in frames]
            for name, frames in state["frames"].items()
        }
        self._epoch, self._shown = state["epoch"], state["shown"]

    def _write(self):
        self._shown = self._epoch
        if not self._writes:
            return
        for name, grid in self.model.preview(self.batch).items():
            path = self.directory / f"{name}-epoch-{self._epoch:04d}.png"
            write_grid(path, grid)
            write_grid(self.directory / f"{name}-latest.png", grid)
            self._frames.setdefault(name, []).append(path)
        if self.film:
            for name, grids in self.model.moving_preview(self.batch).items():
                frames = [grid_image(grid) for grid in grids]
                write_film(self.directory / f"{name}-latest.{self.film}", frames)
