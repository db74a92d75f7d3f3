"""Checks of what comes into a measure, and the slices in which large arrays are worked through."""

import numbers

import numpy as np

CHUNK = 2048  # rows: large enough for fast products, small enough to keep float64 copies small


def row_slices(count, size=CHUNK):
    """Slices that together cover `count` rows, each at most `size` of them."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def check_features(features, name, least=2):
    """Checks an array of features.

    Args:
        features: array-like `(N, D)`, floating point.
        name: str. What the caller calls it.
        least: int. The smallest N that will do. Defaults to 2.

    Returns:
        The features as an array, of the dtype that came in.

    Raises:
        TypeError: another kind of numbers.
        ValueError: another rank, no columns, too few rows, or values that aren't finite.
    """
    features = np.asarray(features)
    if not np.issubdtype(features.dtype, np.floating):
        raise TypeError(
            f"`{name}` must be floating point: convert it with `.astype('float32')`. "
            f"Received: {name}.dtype={features.dtype}"
        )
    if features.ndim != 2 or not features.shape[1]:
        raise ValueError(
            f"`{name}` must be of shape (samples, features): reshape a sample's values into one "
            f"row. Received: {name}.shape={features.shape}"
        )
    if len(features) < least:
        raise ValueError(
            f"`{name}` must have at least {least} samples: give more. "
            f"Received: {name}.shape={features.shape}"
        )
    broken = sum(
        int((~np.isfinite(features[rows])).any(axis=1).sum()) for rows in row_slices(len(features))
    )
    if broken:
        raise ValueError(
            f"`{name}` must be finite, but {broken} of its {len(features)} rows hold NaN or "
            "infinity: look at the pictures or the extractor they came from. "
            f"Received: {name}.shape={features.shape}"
        )
    return features


def check_pair(first, second, names=("real", "generated"), least=2):
    """Checks two arrays of features that must have equal widths.

    Args:
        first, second: as in `check_features`.
        names: tuple of 2 strs.
        least: int, or tuple of 2 ints. Defaults to 2.

    Returns:
        Tuple of 2 arrays.

    Raises:
        TypeError, ValueError: as `check_features`, and for different widths.
    """
    leasts = least if isinstance(least, tuple) else (least, least)
    pair = [
        check_features(features, name, count)
        for features, name, count in zip((first, second), names, leasts, strict=True)
    ]
    check_widths(*(features.shape[1] for features in pair), names)
    return tuple(pair)


def check_widths(first, second, names):
    """Raises a ValueError unless two numbers of features agree."""
    if first != second:
        raise ValueError(
            f"`{names[0]}` and `{names[1]}` must have the same number of features: take both "
            f"from the same extractor. Received: {names[0]} with {first} features, {names[1]} "
            f"with {second}"
        )


def check_count(value, name, least=1):
    """Checks a whole number of at least `least`, and gives it as an int.

    Raises:
        TypeError: no whole number.
        ValueError: one that is too small.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an int. Received: {name}={value!r}")
    if value < least:
        raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value!r}")
    return int(value)
