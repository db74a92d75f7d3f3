"""`Evaluator`: generated pictures against real ones, always beside what real ones would get."""

import hashlib
import os
import pathlib

import numpy as np

from kerasgen.data.collect import sample_images
from kerasgen.files import write_beside
from kerasgen.metrics import functional
from kerasgen.metrics.extractors import get_extractor
from kerasgen.metrics.extractors.extractor import check_images

FEWEST = 20


class Evaluator:
    """Measures sets of generated pictures against one fixed set of real ones.

    The real pictures are parted in two: a reference, and as many pictures as will be generated.
    The latter are measured as if they had been generated: this is the floor, what perfect
    samples of this number would get. Without it no such number can be read, since all of them
    depend on how many pictures there are.

    Args:
        real: uint8 array `(N, H, W, C)` or pipeline of `kerasgen.data`; at least 20 pictures.
            `num_samples + num_reference` of them are used: any of an array, the first of a
            pipeline, which therefore should shuffle where it holds more.
        extractor: what `kerasgen.metrics.get_extractor` takes. Defaults to "fashion-cnn".
        num_samples: int. Generated pictures to measure each time. Half of the real pictures if
            that is less. Defaults to 2000.
        num_reference: int. Most real pictures to compare with. Defaults to 5000.
        k: int. Neighbours that precision, recall, density and coverage go by. Defaults to 5.
        seed: int. What parts the real pictures. Defaults to 0.

    Attributes:
        num_samples: int. Pictures that `evaluate` expects.
        protocol: str, such as "fashion-cnn-1a2b3c, 32px, 2000 vs 5000": extractor, size, and
            generated against real pictures.
        floor: dict. What `evaluate` gives for real pictures.
        reference, reference_features: the reference, uint8 `(M, H, W, C)` and float32 `(M, D)`.

    Raises:
        ValueError: too few real pictures.

    Example:

    ```python
    evaluator = kerasgen.metrics.Evaluator(kerasgen.data.load_images("digits"))
    values = evaluator.evaluate(model.generate(evaluator.num_samples, seed=0))
    print(evaluator.describe(values))
    ```

    Reference:
        Heusel et al., 2017 (Fréchet distance); Bińkowski et al.: Demystifying MMD GANs, 2018
        (kernel distance); Kynkäänniemi et al., 2019 (precision, recall); Naeem et al.: Reliable
        Fidelity and Diversity Metrics for Generative Models, 2020 (density, coverage).
    """

    def __init__(
        self, real, extractor="fashion-cnn", num_samples=2000, num_reference=5000, k=5, seed=0
    ):
        for name, value in (("num_samples", num_samples), ("num_reference", num_reference)):
            if not isinstance(value, (int, np.integer)) or value < FEWEST // 2:
                raise ValueError(
                    f"`{name}` must be a whole number of at least {FEWEST // 2}. "
                    f"Received: {name}={value!r}"
                )
        self.extractor = get_extractor(extractor)
        used = num_samples + num_reference
        images = sample_images(real, used, seed)
        if len(images) < FEWEST:
            raise ValueError(
                f"An evaluation needs at least {FEWEST} real pictures. Received: {len(images)}"
            )
        order = np.random.default_rng(seed).permutation(len(images))
        self.num_samples = int(min(num_samples, len(images) // 2))
        self.k = k
        features = cached_features(self.extractor, images)
        self.reference = images[order[self.num_samples :]]
        self.reference_features = features[order[self.num_samples :]]
        self.protocol = f"{self.extractor.id}, {self.num_samples} vs {len(self.reference)}"
        self.floor_features = features[order[: self.num_samples]]
        self.floor = self.evaluate_features(self.floor_features)

    def evaluate(self, generated):
        """Measures generated pictures.

        Args:
            generated: uint8 array `(num_samples, H, W, C)`.

        Returns:
            Dict of floats: `fd` (Fréchet distance), `kd` (kernel distance) and
            `kd_standard_error`, lower is better; `precision`, `recall`, `density` and
            `coverage`, higher is better.

        Raises:
            ValueError: another number of pictures, for which the floor doesn't hold.
        """
        generated = check_images(generated)
        if len(generated) != self.num_samples:
            raise ValueError(
                f"The floor was measured with {self.num_samples} pictures: give as many. "
                f"Received: {len(generated)}"
            )
        return self.evaluate_features(self.extractor(generated))

    def evaluate_features(self, features):
        """As `evaluate`, from features `(num_samples, D)`."""
        kernel = functional.kernel_distance(self.reference_features, features)
        return {
            "fd": functional.frechet_distance(self.reference_features, features),
            "kd": kernel.value,
            "kd_standard_error": kernel.standard_error,
            **functional.prdc(self.reference_features, features, k=self.k)._asdict(),
        }

    def describe(self, values):
        """One line that says the values, each beside its floor, and the protocol."""
        named = [
            f"{label} {values[key]:.4g} (floor {self.floor[key]:.4g})"
            for key, label in (
                ("fd", self.extractor.distance_name),
                ("kd", "KD"),
                ("precision", "precision"),
                ("recall", "recall"),
                ("coverage", "coverage"),
            )
        ]
        return f"{', '.join(named)} [{self.protocol}]"


def cached_features(extractor, images):
    """Features of real pictures, kept in the user's cache directory for the next time.

    Args:
        extractor: `FeatureExtractor`.
        images: uint8 array `(N, H, W, C)`.

    Returns:
        float32 array `(N, D)`.
    """
    digest = hashlib.blake2b(np.ascontiguousarray(images), digest_size=16)
    digest.update(repr((1, extractor.id, images.shape)).encode())
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path("~/.cache").expanduser()
    path = pathlib.Path(home) / "kerasgen" / "features" / f"{digest.hexdigest()}.npy"
    try:
        with open(path, "rb") as file:
            features = np.load(file)
        if features.shape == (len(images), extractor.dim):
            return features
    except Exception:  # noqa: S110  none there, or damaged in any way
        pass
    features = extractor(images)
    try:
        with write_beside(path) as part:
            np.save(part, features)
    except OSError:  # a cache is a convenience
        pass
    return features
