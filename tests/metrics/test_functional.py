"""What the functional measures share, and the measures of classes and of diversity in features."""

import subprocess
import sys

import numpy as np
import pytest

from kerasgen.metrics import functional


def clusters(count, centres, seed=0, spread=0.1):
    """Normal samples around centres, equally many around each, with their labels."""
    labels = np.arange(count) % len(centres)
    noise = np.random.default_rng(seed).normal(0, spread, (count, np.shape(centres)[1]))
    return np.asarray(centres)[labels] + noise, labels


def normal(count, width=6, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width))


def probabilities(count=60, classes=5, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.3), count)


PAIRWISE = {
    "frechet_distance": functional.frechet_distance,
    "fd_infinity": functional.fd_infinity,
    "kernel_distance": functional.kernel_distance,
    "prdc": functional.prdc,
    "authenticity": functional.authenticity,
    "nearest_neighbours": functional.nearest_neighbours,
    "ct_score": lambda a, b: functional.ct_score(a, a + 0.01, b),
}
SINGLE = {
    "feature_stats": functional.feature_stats,
    "vendi_score": functional.vendi_score,
}


def test_import_takes_neither_tensorflow_nor_keras():
    code = (
        "import sys, kerasgen.metrics.functional as f; "
        "assert not {'tensorflow', 'keras', 'torch'} & set(sys.modules); "
        "print(all(hasattr(f, name) for name in f.__all__))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "True", result.stderr


def spoilt(rows):
    features = normal(200)
    features[rows, 1] = np.nan
    features[rows, 2] = -np.inf
    return features


@pytest.mark.parametrize(
    "features, error, message",
    [
        (normal(200).astype(int), TypeError, r"astype\('float32'\).*Received: \w+.dtype=int64$"),
        (normal(200)[:, 0], ValueError, r"one row. Received: \w+.shape=\(200,\)$"),
        (normal(200)[:, :0], ValueError, r"Received: \w+.shape=\(200, 0\)$"),
        (spoilt([3, 7, 9]), ValueError, "3 of its 200 rows hold NaN or infinity"),
        (normal(0), ValueError, r"at least \d+ samples: give more. Received: \w+.shape=\(0, 6\)$"),
        (np.zeros((200, 6), complex), TypeError, "floating point"),
    ],
)
@pytest.mark.parametrize("name", [*PAIRWISE, *SINGLE])
def test_features_that_measure_nothing_are_refused(name, features, error, message):
    if name in SINGLE:
        with pytest.raises(error, match=message):
            SINGLE[name](features)
        return
    sides = [(normal(200), features)]
    if name != "ct_score":
        sides.append((features, normal(200)))
    for pair in sides:
        with pytest.raises(error, match=message):
            PAIRWISE[name](*pair)


@pytest.mark.parametrize("name", PAIRWISE)
def test_different_widths_are_refused(name):
    message = "same extractor. Received: .* with 6 features, .* with 7"
    with pytest.raises(ValueError, match=message):
        PAIRWISE[name](normal(200), normal(200, 7))


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda n: functional.prdc(normal(20), normal(20), k=n), "k"),
        (lambda n: functional.nearest_neighbours(normal(20), normal(20), k=n), "k"),
        (lambda n: functional.kernel_distance(normal(20), normal(20), subsets=n), "subsets"),
        (
            lambda n: functional.kernel_distance(normal(20), normal(20), subset_size=n),
            "subset_size",
        ),
        (lambda n: functional.fd_infinity(normal(99), normal(99), points=n), "points"),
        (lambda n: functional.classifier_score(probabilities(), splits=n), "splits"),
        (lambda n: functional.ct_score(normal(50), normal(50), normal(50), cells=n), "cells"),
        (lambda n: functional.mode_coverage([0], [0], num_modes=n), "num_modes"),
    ],
)
def test_counts_are_whole_and_positive(call, name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least .* Received: {name}=0$"):
        call(0)
    for value in (2.0, "3", True):
        with pytest.raises(TypeError, match=f"`{name}` must be an int. Received: {name}="):
            call(value)


SEEDED = {
    "subsets": lambda seed: functional.kernel_distance(
        normal(60), normal(60, seed=1), "subsets", 3, 20, seed=seed
    ),
    "blocks": lambda seed: functional.kernel_distance(
        normal(60), normal(60, seed=1), "blocks", subset_size=20, seed=seed
    ),
    "fd_infinity": lambda seed: functional.fd_infinity(normal(200), normal(200, seed=1), seed=seed),
    "classifier_score": lambda seed: functional.classifier_score(probabilities(), seed=seed),
    "ms_ssim_diversity": lambda seed: functional.ms_ssim_diversity(
        np.random.default_rng(0).integers(0, 256, (20, 11, 11, 1), np.uint8), pairs=5, seed=seed
    ),
}


@pytest.mark.filterwarnings("ignore:A Fréchet distance from")
@pytest.mark.parametrize("name", SEEDED)
def test_seed_alone_decides(name):
    measure = SEEDED[name]
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    first = measure(1)
    np.random.seed(1)
    assert measure(1) == first
    assert measure(2) != first
    np.random.seed(0)
    measure(1)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


# Classifier score


def test_classifier_score_of_the_extremes():
    # Always the same answer, be it sure or not: 1. Sure and balanced: the number of classes.
    assert functional.classifier_score(np.full((40, 8), 1 / 8)).value == pytest.approx(1)
    assert functional.classifier_score(np.eye(8)[np.zeros(40, int)]) == (1, 0)
    sure = functional.classifier_score(np.eye(8)[np.arange(40) % 8], splits=1)
    assert sure.value == pytest.approx(8) and sure.spread == 0
    half = functional.classifier_score(np.eye(8)[np.arange(40) % 4], splits=1)
    assert half.value == pytest.approx(4)


def test_classifier_score_by_its_definition():
    rows, splits = probabilities(61), 4
    order = np.random.default_rng(5).permutation(61)
    scores = []
    for part in np.array_split(order, splits):
        mean, total = rows[part].mean(0), 0.0
        for row in rows[part]:
            total += sum(p * (np.log(p) - np.log(m)) for p, m in zip(row, mean, strict=True))
        scores.append(np.exp(total / len(part)))
    result = functional.classifier_score(rows, splits, seed=5)
    assert result.value == pytest.approx(np.mean(scores), rel=1e-12)
    assert result.spread == pytest.approx(np.std(scores), rel=1e-10)


def test_classifier_score_takes_low_precision_but_no_logits():
    rows = probabilities()
    low = functional.classifier_score(rows.astype(np.float16)).value
    exact = functional.classifier_score(rows).value
    assert low == pytest.approx(exact, rel=2e-3)
    assert functional.classifier_score(1.0005 * rows).value == pytest.approx(exact, rel=1e-12)
    with pytest.raises(ValueError, match="softmax to logits. Received: values from -"):
        functional.classifier_score(np.log(rows))
    with pytest.raises(ValueError, match="softmax to logits"):
        functional.classifier_score(rows * 1.01)
    with pytest.raises(ValueError, match="at least 10 samples"):
        functional.classifier_score(rows[:9])


# Modes


def test_mode_coverage_by_hand():
    assert functional.mode_coverage([0, 1, 2, 3], [0, 0, 1, 1]) == (2, 4, pytest.approx(np.log(2)))
    assert functional.mode_coverage([0, 1, 1, 7], [7, 1, 0, 1, 1, 7, 1, 0]) == (3, 3, 0)
    uneven = functional.mode_coverage([0, 0, 0, 1], [0, 1, 1, 1]).kl
    assert uneven == pytest.approx(0.25 * np.log(1 / 3) + 0.75 * np.log(3))


def test_modes_without_real_samples_count_as_one():
    result = functional.mode_coverage([0, 0, 0], [0, 5])
    assert result == (2, 1, pytest.approx(0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)))


def test_mode_coverage_of_a_half_missing():
    real, generated = np.arange(1000) % 10, np.arange(1000) % 5
    assert functional.mode_coverage(real, generated, 10) == (5, 10, pytest.approx(np.log(2)))


@pytest.mark.parametrize(
    "labels, error, message",
    [
        ([0.0, 1.0], TypeError, "argmax of probabilities. Received: generated_labels.dtype=float"),
        ([[0], [1]], ValueError, r"one label a sample. Received: .*\(2, 1\)"),
        ([], ValueError, "one label a sample"),
        ([0, 3], ValueError, "Received: labels from 0 to 3, num_modes=3"),
        ([-1, 2], ValueError, "Received: labels from -1 to 2, num_modes=3"),
    ],
)
def test_labels_that_are_none_are_refused(labels, error, message):
    with pytest.raises(error, match=message):
        functional.mode_coverage([0, 1], labels, num_modes=3)


# Vendi score


@pytest.mark.parametrize("count, width", [(6, 6), (4, 9), (12, 6)])
def test_vendi_score_counts_different_rows(count, width):
    # Orthogonal rows, each as often as any other: as many as there are different ones.
    rows = 7.5 * np.eye(width)[np.arange(count) % min(count, width)]
    assert functional.vendi_score(rows) == pytest.approx(min(count, width), rel=1e-12)
    assert functional.vendi_score(np.tile(rows[:1], (count, 1))) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (2100, 3), (8, 2100)])
def test_vendi_score_by_its_definition(shape):
    rows = normal(*shape).astype(np.float32) + 1
    unit = rows / np.linalg.norm(rows.astype(float), axis=1)[:, None]
    values = np.linalg.svd(unit, compute_uv=False) ** 2 / len(rows)
    expected = np.exp(-np.sum(values * np.log(values)))
    assert functional.vendi_score(rows) == pytest.approx(expected, rel=1e-9)


def test_vendi_score_falls_with_the_modes_and_with_collapse():
    every, _ = clusters(400, 3 * np.eye(10))
    half, _ = clusters(400, 3 * np.eye(10)[:5])
    assert functional.vendi_score(every) > 1.7 * functional.vendi_score(half)
    assert functional.vendi_score(np.ones((50, 10)) + 1e-6 * normal(50, 10)) < 1.001


def test_vendi_score_refuses_rows_that_point_nowhere():
    rows = normal(20)
    rows[[2, 3]] = 0
    with pytest.raises(ValueError, match="no row of zeros. Received: 2 of them"):
        functional.vendi_score(rows)
