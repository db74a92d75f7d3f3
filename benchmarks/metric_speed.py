"""Measures the Fréchet and the kernel distance of kerasgen against the published packages' ways.

All contenders get the same float32 features, as the packages hold them, and the same random
subsets. The published ways are written anew here:

- Fréchet distance, sqrtm: means and `np.cov` in float64, `scipy.linalg.sqrtm` of the product of
  the covariances (pytorch-fid, clean-fid).
- Kernel distance, clean-fid and torch-fidelity: for each subset the three kernel matrices as
  NumPy expressions with `** 3`, put together each in its package's way.
- Kernel distance, scikit-learn: for each subset three calls of `polynomial_kernel` (the original
  code of the KID, dgm-eval).

kerasgen's times include its checks of the features and, for the kernel distance, drawing the
subsets, which the others are given. Each contender runs once a round, another one first each
round. The features are those of no network: rectified mixtures of 256 latents plus noise.

With `--memory` nothing is compared: the peak memory of the process is printed after each of
kerasgen's measures, on sets of the given size.
"""

import argparse
import dataclasses
import resource

import numpy as np
import scipy.linalg
from reporting import Stopwatch, print_header, print_table, rotated
from sklearn.metrics.pairwise import polynomial_kernel

from kerasgen.metrics.functional import frechet_distance, kernel_distance, prdc
from kerasgen.metrics.functional.kernel import draw_subsets

LATENTS = 256
ROWS_AT_A_TIME = 2000
MEMORY_SAMPLES = 50_000


@dataclasses.dataclass
class Contender:
    """A way to compute a distance.

    Attributes:
        run: callable without arguments that returns the distance as a float.
        value: float. The last result.
        wall, cpu: lists of floats. Seconds of each run.
    """

    run: object
    value: float = float("nan")
    wall: list = dataclasses.field(default_factory=list)
    cpu: list = dataclasses.field(default_factory=list)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--samples", nargs="+", type=int, help="of each set; default 5000 10000, of memory 50000"
    )
    parser.add_argument("--width", type=int, default=2048, help="features of a sample")
    parser.add_argument("--subsets", type=int, default=100)
    parser.add_argument("--subset-size", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", action="store_true", help="peak memory instead of times")
    arguments = parser.parse_args()
    arguments.samples = arguments.samples or (
        [MEMORY_SAMPLES] if arguments.memory else [5000, 10000]
    )
    return arguments


def make_features(samples, arguments):
    """Two sets of float32 features, the second slightly different."""
    width = arguments.width
    mixing = np.random.default_rng(arguments.seed).normal(size=(LATENTS, width)).astype(np.float32)
    mixing /= np.sqrt(LATENTS)
    sets = []
    for number in (0, 1):
        rng = np.random.default_rng([arguments.seed, number])
        features = np.empty((samples, width), np.float32)
        for start in range(0, samples, ROWS_AT_A_TIME):
            part = features[start : start + ROWS_AT_A_TIME]
            latents = rng.standard_normal((len(part), LATENTS), np.float32) + 0.1 * number
            noise = rng.standard_normal(part.shape, np.float32)
            np.maximum(latents @ mixing + 0.3 * noise, 0, out=part)
        sets.append(features)
    return sets


# Published ways


def frechet_by_sqrtm(real, generated):
    (m1, s1), (m2, s2) = (
        (x.mean(axis=0, dtype=np.float64), np.cov(x, rowvar=False)) for x in (real, generated)
    )
    root = scipy.linalg.sqrtm(s1 @ s2)
    root = root[0] if isinstance(root, tuple) else root
    return float(np.square(m1 - m2).sum() + np.trace(s1) + np.trace(s2) - 2 * np.trace(root).real)


def kernel_as_clean_fid(x, y):
    size, width = x.shape
    within = (x @ x.T / width + 1) ** 3 + (y @ y.T / width + 1) ** 3
    across = (x @ y.T / width + 1) ** 3
    total = (within.sum() - np.diag(within).sum()) / (size - 1) - across.sum() * 2 / size
    return total / size


def cubic_kernel(x, y):
    return (np.matmul(x, y.T) * (1.0 / x.shape[1]) + 1) ** 3


def kernel_as_torch_fidelity(x, y):
    return estimate(cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y))


def kernel_by_sklearn(x, y):
    settings = {"degree": 3, "coef0": 1}
    return estimate(
        polynomial_kernel(x, **settings),
        polynomial_kernel(y, **settings),
        polynomial_kernel(x, y, **settings),
    )


def estimate(k_xx, k_yy, k_xy):
    """Unbiased estimate from three square kernel matrices, by sums of their rows."""
    size = len(k_xx)
    within = sum((k.sum(axis=1) - np.diagonal(k)).sum() for k in (k_xx, k_yy))
    return within / (size * (size - 1)) - 2 * k_xy.sum(axis=0).sum() / size**2


# Measuring


def frechet_contenders(real, generated):
    return {
        "kerasgen": Contender(lambda: frechet_distance(real, generated)),
        "sqrtm": Contender(lambda: frechet_by_sqrtm(real, generated)),
    }


def kernel_contenders(real, generated, arguments):
    subsets, size, seed = arguments.subsets, arguments.subset_size, arguments.seed
    rows = draw_subsets(len(real), len(generated), subsets, size, seed)

    def ours():
        return kernel_distance(real, generated, "subsets", subsets, size, seed).value

    def subset_by_subset(formula):
        values = [formula(real[i], generated[j]) for i, j in zip(*rows, strict=True)]
        return float(np.mean(values, dtype=np.float64))

    return {
        "kerasgen": Contender(ours),
        "clean-fid": Contender(lambda: subset_by_subset(kernel_as_clean_fid)),
        "torch-fidelity": Contender(lambda: subset_by_subset(kernel_as_torch_fidelity)),
        "scikit-learn": Contender(lambda: subset_by_subset(kernel_by_sklearn)),
    }


def measure(contenders, rounds):
    for turn in range(rounds):
        for name in rotated(list(contenders), turn):
            contender = contenders[name]
            watch = Stopwatch()
            contender.value = contender.run()
            wall, cpu = watch.read()
            contender.wall.append(wall)
            contender.cpu.append(cpu)


def report(title, contenders):
    ours = contenders["kerasgen"]
    rows = []
    for name, contender in contenders.items():
        ratios = np.divide(contender.wall, ours.wall)
        rows.append(
            [
                f"{title} {name}",
                f"{np.median(contender.wall):.2f}",
                f"{np.median(contender.cpu):.2f}",
                f"{np.median(contender.wall) / np.median(ours.wall):.2f}",
                f"{ratios.min():.2f} to {ratios.max():.2f}",
                f"{np.median(contender.cpu) / np.median(ours.cpu):.2f}",
                f"{contender.value:.8g}",
                f"{contender.value - ours.value:.1e}",
            ]
        )
    columns = ["distance", "median s", "CPU s", "this / kerasgen", "of the rounds", "CPU ratio"]
    print_table([*columns, "result", "less kerasgen's"], rows)


def report_memory(samples, arguments):
    real, generated = make_features(samples, arguments)
    subsets, size = arguments.subsets, arguments.subset_size
    measures = {
        "features": lambda: None,
        "frechet_distance": lambda: frechet_distance(real, generated),
        "kernel_distance, subsets": lambda: kernel_distance(
            real, generated, "subsets", subsets, size
        ),
        "prdc": lambda: prdc(real, generated),
    }
    rows = []
    for name, run in measures.items():
        watch = Stopwatch()
        run()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append([f"{samples} {name}", f"{watch.read()[0]:.1f}", f"{peak:.2f}"])
        print(*rows[-1], flush=True)
    print_table(["after", "s", "peak memory so far, GiB"], rows)


def main():
    arguments = parse_arguments()
    print_header("Speed of the measures", **vars(arguments))
    for samples in arguments.samples:
        if arguments.memory:
            report_memory(samples, arguments)
            continue
        real, generated = make_features(samples, arguments)
        for title, contenders in (
            ("FD", frechet_contenders(real, generated)),
            ("KD", kernel_contenders(real, generated, arguments)),
        ):
            measure(contenders, arguments.rounds)
            report(f"{samples} x {arguments.width} {title}", contenders)


if __name__ == "__main__":
    main()
