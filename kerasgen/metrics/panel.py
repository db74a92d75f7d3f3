"""The whole panel of measures of a generator: quality, diversity, memorisation, classes."""

import dataclasses

import numpy as np
import tensorflow as tf

from kerasgen.metrics import functional
from kerasgen.metrics.evaluator import Evaluator, cached_features

SSIM_PAIRS = 500
CLASSIFIER_PICTURES = 10_000
COPYING = -3.0  # C_T scores are z values
PIXEL_SIDE = 32
DRAWN = 0.1  # of a class's share in the data: fewer may be the classifier's errors
# Shares of the floor below which a value is remarked on.
_LITTLE_COVERAGE, _LITTLE_DIVERSITY = 0.5, 0.6


@dataclasses.dataclass
class Row:
    """One measure.

    Attributes:
        name: str.
        value: float.
        floor: float or None. What real pictures get in the generated ones' place.
        better: "lower", "higher", "near" (the nearer to the floor the better) or "".
        meaning: str. What it says, in a few words.
        protocol: str. What it was measured in, and generated against real pictures.
    """

    name: str
    value: float
    floor: float | None
    better: str
    meaning: str
    protocol: str


@dataclasses.dataclass
class Neighbours:
    """The nearest training pictures of some pictures.

    Attributes:
        pixel_distances, feature_distances: float arrays `(N,)`, Euclidean; pixels of pictures
            shrunk to at most 32x32.
        pixel_indices, feature_indices: int arrays `(N,)` into the training pictures.
    """

    pixel_distances: np.ndarray
    pixel_indices: np.ndarray
    feature_distances: np.ndarray
    feature_indices: np.ndarray


@dataclasses.dataclass
class Panel:
    """What `evaluate_panel` found.

    Attributes:
        rows: list of `Row`.
        verdicts: list of str. What the numbers say together.
        generated: `Neighbours` of the generated pictures.
        held_out: `Neighbours` of the held-out ones, or None.
        classes: dict of class name -> (real share, generated share), or None without labels.
    """

    rows: list
    verdicts: list
    generated: Neighbours
    held_out: Neighbours | None
    classes: dict | None

    def to_dict(self):
        """Rows, verdicts and class shares as plain Python values, for JSON."""
        return {
            "measures": {row.name: _without_name(row) for row in self.rows},
            "verdicts": self.verdicts,
            "classes": self.classes,
        }

    def __str__(self):
        head = ("measure", "value", "floor", "better", "meaning")
        cells = [head] + [
            (
                row.name,
                f"{row.value:.4g}",
                "" if row.floor is None else f"{row.floor:.4g}",
                row.better,
                row.meaning,
            )
            for row in self.rows
        ]
        widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in cells]
        lines.insert(1, "  ".join("-" * width for width in widths))
        protocols = {}
        for row in self.rows:
            protocols.setdefault(row.protocol, []).append(row.name)
        how = [f"{', '.join(names)} [{protocol}]" for protocol, names in protocols.items()]
        return "\n".join([*(line.rstrip() for line in lines), "", *how, "", *self.verdicts])


def evaluate_panel(
    generated,
    train,
    held_out=None,
    train_labels=None,
    class_names=None,
    extractor="fashion-cnn",
    num_reference=5000,
    seed=0,
):
    """Measures generated pictures in every way that the data allow.

    Args:
        generated: uint8 array `(N, H, W, C)`, N at least 10. The more, the surer: 2,000 is a
            sensible least.
        train: uint8 array. All pictures the generator was trained on.
        held_out: uint8 array, or None. Real pictures it was not trained on: distances are
            measured against them, and they are what memorisation is told by. Defaults to None:
            distances are measured against the training pictures.
        train_labels: int array `(len(train),)` or None. Classes of the training pictures; those
            of the samples are only told where there are several.
        class_names: list of str or None.
        extractor, num_reference: as in `Evaluator`.
        seed: int. Defaults to 0.

    Returns:
        A `Panel`. Where fewer real pictures than twice N are there, only as many generated ones
        are measured as leave half of the real ones for the reference.

    Reference:
        See the functions of `kerasgen.metrics.functional`.
    """
    if train_labels is not None:
        train_labels = np.asarray(train_labels)
        if train_labels.shape != (len(train),):
            raise ValueError(
                "`train_labels` must be one class a training picture. Received: "
                f"train_labels.shape={train_labels.shape}, {len(train)} training pictures"
            )
    real = train if held_out is None else held_out
    evaluator = Evaluator(real, extractor, len(generated), num_reference, seed=seed)
    generated = generated[: evaluator.num_samples]
    extractor = evaluator.extractor
    features = extractor(generated)
    train_features = cached_features(extractor, train)
    rows = _quality_rows(evaluator, features)
    rows += _diversity_rows(evaluator, generated, features, real, seed)
    near = find_neighbours(generated, features, train, train_features)
    near_held_out = None
    if held_out is not None:
        held_out_features = cached_features(extractor, held_out)
        near_held_out = find_neighbours(held_out, held_out_features, train, train_features)
        rows += _memory_rows(evaluator, features, train_features, held_out_features, seed)
    classes = None
    if train_labels is not None and len(np.unique(train_labels)) > 1:
        more, classes = _class_rows(
            evaluator, features, train_features, train_labels, class_names, seed
        )
        rows += more
    verdicts = _verdicts({row.name: row for row in rows}, near, near_held_out)
    return Panel(rows, verdicts, near, near_held_out, classes)


def _quality_rows(evaluator, features):
    values = evaluator.evaluate_features(features)
    distance = evaluator.extractor.distance_name
    measures = (
        ("fd", distance, "lower", "Fréchet distance of the features: quality and diversity"),
        ("kd", "KD", "lower", "kernel distance of the features, unbiased"),
        ("kd_standard_error", "KD standard error", "", "of the line above"),
        ("precision", "precision", "higher", "share of samples among real pictures: quality"),
        ("recall", "recall", "higher", "share of real pictures among samples: diversity"),
        ("density", "density", "near", "how deep samples lie among real pictures"),
        ("coverage", "coverage", "higher", "share of real pictures with a sample near: diversity"),
    )
    return [
        Row(
            label,
            float(values[key]),
            float(evaluator.floor[key]),
            better,
            meaning,
            evaluator.protocol,
        )
        for key, label, better, meaning in measures
    ]


def _diversity_rows(evaluator, generated, features, real, seed):
    count = len(generated)
    # Activations are never negative: uncentred, all pictures would look alike.
    centre = evaluator.reference_features.mean(0)
    rows = [
        Row(
            "Vendi score",
            functional.vendi_score(features - centre),
            functional.vendi_score(evaluator.floor_features - centre),
            "near",
            "effective number of different samples",
            f"{evaluator.extractor.id}, centred, {count}",
        )
    ]
    scales = functional.num_scales(*generated.shape[1:3])
    if scales:
        real = real[np.random.default_rng(seed).permutation(len(real))[:count]]
        pairs = min(SSIM_PAIRS, count * (count - 1) // 2)
        rows.append(
            Row(
                f"MS-SSIM-{scales}",
                functional.ms_ssim_diversity(generated, pairs=pairs, seed=seed),
                functional.ms_ssim_diversity(real, pairs=pairs, seed=seed),
                "near",
                "likeness of two samples",
                f"{generated.shape[1]}x{generated.shape[2]} pixels, {pairs} pairs",
            )
        )
    return rows


def find_neighbours(images, features, train, train_features):
    """The nearest training pictures of some pictures, as `Neighbours`.

    Args:
        images: uint8 array `(N, H, W, C)`.
        features: float array `(N, D)`, theirs.
        train: uint8 array `(M, H, W, C)`.
        train_features: float array `(M, D)`.
    """
    pixel = functional.nearest_neighbours(_small(images), _small(train))
    feature = functional.nearest_neighbours(features, train_features)
    return Neighbours(*(part[:, 0] for part in (*pixel, *feature)))


def _small(images):
    """Pictures as vectors of at most 32x32 pixels: large ones by the thousand fill the memory."""
    sides = tuple(min(side, PIXEL_SIDE) for side in images.shape[1:3])
    chunks = [images[start : start + 1000] for start in range(0, len(images), 1000)]
    if sides != images.shape[1:3]:
        chunks = [tf.image.resize(chunk, sides, antialias=True).numpy() for chunk in chunks]
    return np.concatenate(chunks).reshape(len(images), -1).astype(np.float32)


def _memory_rows(evaluator, features, train_features, held_out_features, seed):
    protocol = (
        f"{evaluator.extractor.id}, {len(features)} vs {len(train_features)} training and "
        f"{len(held_out_features)} held-out"
    )
    # As many held-out pictures in the samples' place as there are samples.
    half = np.random.default_rng(seed).permutation(len(held_out_features))
    half, rest = np.array_split(half, 2)
    rows = [
        Row(
            "authenticity",
            functional.authenticity(train_features, features),
            functional.authenticity(train_features, held_out_features),
            "near",
            "share of samples that are no close variant of a training picture",
            protocol,
        )
    ]
    try:
        scores = [
            functional.ct_score(train_features, real, samples, seed=seed)
            for real, samples in (
                (held_out_features, features),
                (held_out_features[half], held_out_features[rest]),
            )
        ]
    except ValueError:  # too few pictures for a test in any cell
        return rows
    meaning = "far below 0: copies of the training data; far above: underfitting"
    return [Row("C_T", *scores, "near", meaning, protocol), *rows]


def _class_rows(evaluator, features, train_features, train_labels, class_names, seed):
    """Classes of the samples, by a classifier of the features that learns from the real ones."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    num_classes = int(train_labels.max()) + 1
    chosen = np.random.default_rng(seed).permutation(len(train_labels))[:CLASSIFIER_PICTURES]
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    classifier.fit(train_features[chosen], train_labels[chosen])
    known = classifier.classes_
    probabilities = [classifier.predict_proba(f) for f in (features, evaluator.floor_features)]
    found, floor = (known[p.argmax(1)] for p in probabilities)
    protocol = f"logistic regression on {evaluator.extractor.id}, {len(features)}"
    modes = functional.mode_coverage(train_labels, found, num_modes=num_classes)
    real_modes = functional.mode_coverage(train_labels, floor, num_modes=num_classes)
    data, drawn, real_drawn = (
        np.bincount(labels, minlength=num_classes) / len(labels)
        for labels in (train_labels, found, floor)
    )
    counts = [int((shares > DRAWN * data).sum()) for shares in (drawn, real_drawn)]
    score, real_score = (functional.classifier_score(p, seed=seed) for p in probabilities)
    rows = [
        Row("classes", *counts, "higher", "classes drawn, at a tenth of their share", protocol),
        Row("class KL", modes.kl, real_modes.kl, "lower", "of the class shares, nats", protocol),
        Row(
            "classifier score",
            score.value,
            real_score.value,
            "near",
            "as the Inception score, with this classifier",
            protocol,
        ),
    ]
    names = class_names or [str(c) for c in range(num_classes)]
    return rows, {names[c]: (float(data[c]), float(drawn[c])) for c in np.flatnonzero(data)}


def _verdicts(rows, near, near_held_out):
    words = []
    copies = int((near.pixel_distances == 0).sum())
    if copies:
        samples = "1 sample equals" if copies == 1 else f"{copies} samples equal"
        words.append(f"{samples} a training picture pixel by pixel.")
    if near_held_out is None:
        words.append(
            "Whether training pictures were memorised can't be told without held-out ones."
        )
    elif "C_T" not in rows:
        words.append("There are too few pictures to tell whether training ones were memorised.")
    elif rows["C_T"].value < COPYING:
        words.append(
            f"Memorisation: samples lie closer to training pictures than held-out pictures do "
            f"(C_T {rows['C_T'].value:.1f})."
        )
    else:
        words.append(f"No sign of memorised training pictures (C_T {rows['C_T'].value:.1f}).")
    coverage, vendi = rows["coverage"], rows["Vendi score"]
    if (
        coverage.value < _LITTLE_COVERAGE * coverage.floor
        or vendi.value < _LITTLE_DIVERSITY * vendi.floor
    ):
        words.append(
            f"Much of the data is not drawn: coverage {coverage.value:.2f} where real pictures "
            f"get {coverage.floor:.2f}, Vendi score {vendi.value:.3g} where they get "
            f"{vendi.floor:.3g}."
        )
    if "classes" in rows and rows["classes"].value < rows["classes"].floor:
        missing = int(rows["classes"].floor - rows["classes"].value)
        classes = "1 class is" if missing == 1 else f"{missing} classes are"
        words.append(f"{classes} never or hardly drawn.")
    return words


def _without_name(row):
    facts = dataclasses.asdict(row)
    facts["protocol"] = f"{facts.pop('name')}[{row.protocol}]"
    return facts
