"""Measures how fast a folder of photographs becomes batches, and how good the pictures are.

A temporary folder of JPEG files of 640x480 is made once: smooth random textures with edges and
grain, or with `--photos` random crops of real photographs. It is read through once, so that all
loaders find it in the system's page cache. Then these go from the folder to float32 batches
`(64, 64, 64, 3)` of its pictures' centre squares, in turns:

- kerasgen: `kerasgen.data.load_images`, shuffled;
- keras: `keras.utils.image_dataset_from_directory(crop_to_aspect_ratio=True)`, shuffled;
- keras, cache: the same with `.cache()` behind it;
- pillow: a plain loop over the files in one thread (open, convert, `ImageOps.fit` with Lanczos,
  stack), which keeps its uint8 batches for later epochs: no shuffling and no tensors, so its later
  epochs only say what a bare conversion to float32 costs.

The first epoch lasts from calling the loader until all batches have been consumed once, later
ones from asking for an iterator. Each contender's data are dropped before the next one's turn.
Whether files were really read (and not) is checked by the bytes that the process read. One pass
over a few pictures goes before, so that imports and the like count for nobody.

Quality is the PSNR against the exact area average: the picture decoded in full, its centre square,
every output pixel the mean over its area of 7.5x7.5 input pixels, in floating point. This is one
notion of a well-made small picture, and Lanczos is deliberately sharper; aliasing costs far more.
"""

import argparse
import gc
import pathlib
import tempfile
import warnings

import keras
import numpy as np
import psutil
from PIL import Image, ImageDraw, ImageOps
from reporting import Stopwatch, print_header, print_table, rotated

import kerasgen
from kerasgen.data.pictures import is_picture
from kerasgen.plots import write_grid

WIDTH, HEIGHT = 640, 480
SIDE = 64
BATCH = 64
QUALITY = 90  # of the JPEG files
OCTAVES = (3, 6, 12, 24, 48, 96, 192)  # cells across the picture
SHOWN = 8
WARM_UP = 64


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--photos", type=pathlib.Path, help="folder of real photographs to crop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cached-epochs", type=int, default=5, help="later epochs in a round")
    parser.add_argument("--quality-pictures", type=int, default=256)
    parser.add_argument("--out", help="PNG file for the same pictures from each loader")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


# === The folder ===


def make_folder(folder, count, photos, seed):
    """Writes `count` JPEG files into `folder`."""
    paths = find_photos(photos) if photos else None
    for index in range(count):
        draws = np.random.default_rng([seed, index])
        if paths:
            picture = cropped_photo(paths[index % len(paths)], draws)
        else:
            picture = made_up_picture(draws)
        picture.save(folder / f"{index:05d}.jpg", quality=QUALITY)


def find_photos(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and is_picture(path))
    large = []
    for path in paths:
        with Image.open(path) as picture:
            if picture.width >= WIDTH and picture.height >= HEIGHT:
                large.append(path)
    if not large:
        raise SystemExit(
            f"Expected photographs of at least {WIDTH}x{HEIGHT} pixels; none of the {len(paths)} "
            f"pictures there is. Received: --photos {folder}"
        )
    return large


def cropped_photo(path, draws):
    """A random crop, shrunk by up to as much as fits."""
    with Image.open(path) as picture:
        scale = draws.uniform(1, min(picture.width / WIDTH, picture.height / HEIGHT))
        width, height = int(WIDTH * scale), int(HEIGHT * scale)
        left = int(draws.integers(picture.width - width + 1))
        top = int(draws.integers(picture.height - height + 1))
        box = (left, top, left + width, top + height)
        return picture.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS, box)


def made_up_picture(draws):
    """Textures of falling strength at ever finer scales, flat shapes in front, and grain."""
    texture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for cells in OCTAVES:
        noise = draws.integers(0, 256, (cells * 3 // 4 + 1, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        texture += (np.asarray(layer, np.float32) - 127.5) * (2.0 / cells**0.75)
    canvas = Image.fromarray(np.clip(texture + 127.5, 0, 255).astype(np.uint8))
    for _ in range(draws.integers(8, 24)):
        draw_shape(canvas, draws)
    grain = draws.normal(0, draws.uniform(1, 6), (HEIGHT, WIDTH, 1)).astype(np.float32)
    return Image.fromarray(np.clip(np.asarray(canvas) + grain, 0, 255).astype(np.uint8))


def draw_shape(canvas, draws):
    colour = tuple(int(level) for level in draws.integers(0, 256, 3))
    x, y = draws.uniform(0, WIDTH), draws.uniform(0, HEIGHT)
    reach = draws.uniform(10, 120)
    drawing = ImageDraw.Draw(canvas)
    kind = draws.integers(3)
    if kind == 0:
        drawing.ellipse((x - reach, y - reach / 2, x + reach, y + reach / 2), fill=colour)
    elif kind == 1:
        corners = draws.uniform(-reach, reach, (5, 2)) + (x, y)
        drawing.polygon([tuple(corner) for corner in corners], fill=colour)
    else:
        end = draws.uniform(-2 * reach, 2 * reach, 2) + (x, y)
        drawing.line((x, y, *end), fill=colour, width=int(draws.integers(1, 8)))


# === The contenders ===


def kerasgen_loader(folder, shuffle=True):
    return kerasgen.data.load_images(
        folder,
        image_size=SIDE,
        channels=3,
        batch_size=BATCH,
        shuffle=shuffle,
        drop_remainder=False,
        cache="memory",
    )


def keras_loader(folder, shuffle=True):
    return keras.utils.image_dataset_from_directory(
        folder,
        label_mode=None,
        batch_size=BATCH,
        image_size=(SIDE, SIDE),
        shuffle=shuffle,
        seed=0,
        crop_to_aspect_ratio=True,
        verbose=False,
    )


def cached_keras_loader(folder, shuffle=True):
    return keras_loader(folder, shuffle).cache()


class PillowLoader:
    """A plain loop over the files, in the order of their names."""

    def __init__(self, folder, shuffle=False):
        self.paths = sorted(folder.glob("*.jpg"))
        self.kept = []

    def __iter__(self):
        if self.kept:
            yield from (batch.astype(np.float32) for batch in self.kept)
            return
        for start in range(0, len(self.paths), BATCH):
            pictures = [self._read(path) for path in self.paths[start : start + BATCH]]
            self.kept.append(np.stack(pictures))
            yield self.kept[-1].astype(np.float32)

    def _read(self, path):
        with Image.open(path) as picture:
            square = ImageOps.fit(picture.convert("RGB"), (SIDE, SIDE), Image.Resampling.LANCZOS)
            return np.asarray(square)


LOADERS = {
    "kerasgen": kerasgen_loader,
    "keras": keras_loader,
    "keras, cache": cached_keras_loader,
    "pillow": PillowLoader,
}
KEEPS = {"kerasgen", "keras, cache", "pillow"}  # who need not read the files again


# === Speed ===


def read_bytes():
    """Bytes this process has read from files, cached by the system or not; None if unknown."""
    counters = psutil.Process().io_counters() if hasattr(psutil.Process, "io_counters") else None
    return getattr(counters, "read_chars", None)


def consume(batches, count):
    """Takes all batches and checks how many pictures of which kind came."""
    seen = 0
    for batch in batches:
        if batch.dtype != np.float32 or tuple(batch.shape[1:]) != (SIDE, SIDE, 3):
            raise RuntimeError(f"Unexpected batch: {batch.dtype} {batch.shape}")
        seen += len(batch)
    if seen != count:
        raise RuntimeError(f"Expected {count} pictures, and {seen} came.")


def check_reading(name, start, size, expected):
    """Raises where files were kept that should have been read again, or the other way round."""
    if start is None:
        return
    share = (read_bytes() - start) / size
    if (share < 0.9) if expected else (share > 0.1):
        raise RuntimeError(
            f"{name} read {share:.0%} of the files' bytes: an epoch isn't what it is called."
        )


def run_turn(name, folder, count, size, epochs):
    """One turn: wall and CPU seconds of the first epoch and of each later one."""
    gc.collect()
    start, watch = read_bytes(), Stopwatch()
    loader = LOADERS[name](folder)
    consume(loader, count)
    first = watch.read()
    check_reading(name, start, size, expected=True)
    later = []
    for _ in range(epochs):
        start, watch = read_bytes(), Stopwatch()
        consume(loader, count)
        later.append(watch.read())
        check_reading(name, start, size, expected=name not in KEEPS)
    return first, later


def measure(folder, warm_up, arguments):
    """Lets the loaders take turns; returns dicts of name -> (wall, CPU) of first and later."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    small = sum(path.stat().st_size for path in warm_up.iterdir())
    for name in LOADERS:
        run_turn(name, warm_up, WARM_UP, small, epochs=1)
    first, later = ({name: [] for name in LOADERS} for _ in range(2))
    for turn in range(arguments.rounds):
        for name in rotated(list(LOADERS), turn):
            one, others = run_turn(name, folder, arguments.pictures, size, arguments.cached_epochs)
            first[name].append(one)
            later[name] += others
    return first, later


def report_speed(first, later, count):
    speed = print_speed("first epoch", first, count)
    best = max((name for name in speed if name != "kerasgen"), key=speed.get)
    print(f"kerasgen / best other ({best}), first epoch: {speed['kerasgen'] / speed[best]:.2f}")
    print_speed("later epochs", later, count)


def print_speed(label, found, count):
    """Prints one table; returns a dict of name -> pictures per second, the median."""
    walls = {name: [wall for wall, _ in times] for name, times in found.items()}
    speed = {name: count / float(np.median(times)) for name, times in walls.items()}
    rows = [
        [
            name,
            f"{speed[name]:.0f}",
            f"{count / max(walls[name]):.0f} to {count / min(walls[name]):.0f}",
            f"{1000 * np.median([cpu for _, cpu in times]) / count:.3f}",
            f"{speed['kerasgen'] / speed[name]:.2f}",
        ]
        for name, times in found.items()
    ]
    columns = [label, "pictures/s", "slowest to fastest", "CPU ms a picture"]
    print_table([*columns, "kerasgen / this"], rows)
    return speed


# === Quality ===


def area_weights(size, target):
    """Matrix `(target, size)` that averages `size` pixels over `target` equal stretches."""
    edges = np.arange(target + 1) * (size / target)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.maximum(overlap, 0) * (target / size)


def reference(path):
    """The exact area average of a file's centre square, float64 `(64, 64, 3)` in [0, 255]."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), np.float64)
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    weights = area_weights(side, SIDE)
    square = pixels[top : top + side, left : left + side]
    return np.einsum("ij,jkc,lk->ilc", weights, square, weights, optimize=True)


def first_pictures(name, folder, count):
    """A loader's first pictures in the order of the files, float `(count, 64, 64, 3)`, 0 to 255."""
    pictures = []
    for batch in LOADERS[name](folder, shuffle=False):
        pictures.extend(np.asarray(batch, np.float64))
        if len(pictures) >= count:
            break
    pictures = np.stack(pictures[:count])
    return (pictures + 1) * 127.5 if name == "kerasgen" else pictures


def psnr(pictures, references):
    """Peak signal-to-noise ratio of each picture, dB."""
    errors = np.mean((pictures - references) ** 2, axis=(1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(errors, 1e-12))


def measure_quality(folder, count, out):
    paths = sorted(folder.glob("*.jpg"))[:count]
    references = np.stack([reference(path) for path in paths])
    rows, grid = [], [references[:SHOWN]]
    for name in LOADERS:
        pictures = first_pictures(name, folder, len(paths))
        values = psnr(pictures, references)
        rows.append([name, f"{values.mean():.2f}", f"{values.min():.2f} to {values.max():.2f}"])
        grid.append(pictures[:SHOWN])
    print_table(["quality", "mean PSNR dB", "worst to best"], rows)
    if out:
        write_grid(out, np.clip(np.round(np.stack(grid)), 0, 255).astype(np.uint8))
        print(f"{out}: rows from the top: area average, {', '.join(LOADERS)}")


def describe(folder):
    sizes = np.array([path.stat().st_size for path in folder.iterdir()]) / 1000
    low, median, high = np.quantile(sizes, (0.05, 0.5, 0.95))
    print(
        f"{len(sizes)} files of {WIDTH}x{HEIGHT}, {median:.0f} kB in the median, "
        f"{low:.0f} to {high:.0f} kB from the 5th to the 95th percentile"
    )
    for path in folder.iterdir():
        path.read_bytes()


def main():
    arguments = parse_arguments()
    warnings.simplefilter("error", UserWarning)  # a picture left out would be a faster epoch
    print_header("Folder speed", **vars(arguments))
    with tempfile.TemporaryDirectory() as temporary:
        folder, warm_up = pathlib.Path(temporary, "pictures"), pathlib.Path(temporary, "warm_up")
        for made, count, seed in (
            (folder, arguments.pictures, arguments.seed),
            (warm_up, WARM_UP, arguments.seed + 1),
        ):
            made.mkdir()
            make_folder(made, count, arguments.photos, seed)
        describe(folder)
        report_speed(*measure(folder, warm_up, arguments), arguments.pictures)
        measure_quality(folder, arguments.quality_pictures, arguments.out)


if __name__ == "__main__":
    main()
