"""Measures `ConvLSTMGenerator`, on moving digits of 64x64 pixels unless said otherwise.

`quality`: error at each of ten horizons on the test clips after the same minutes of training:
kerasgen's defaults; the Keras documentation's stack for next-frame prediction (`ConvLSTM2D` of 64
filters with kernels 5, 3 and 1, ReLU, batch normalisation, cross-entropy, Adam, batch 5) at full
resolution, its last layer replaced by one that sees a single frame, since the documentation's
sees the frame that is to be predicted, and the momentum of its batch normalisation lowered to
0.9, so that the averages are there after as few steps as the minutes allow; the same stack as
kerasgen's on folded frames, of `ConvLSTM2D` layers (squared error); and copies of the last known
frame; and kerasgen with two sprites. All continue their own predictions.

`speed`: training time a clip of 20 frames, in turns in one run.

`rollout`: what a frame costs, from the first to the hundredth.

`video`: a video file, trained on its first 80 %: skill over copies of the last known frame on its
last 20 %.

`futures`: with two sprites and their latents, the best of several futures, and how different they
are. `--context 1` is where the past leaves most open.
"""

import argparse
import json

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from reporting import Stopwatch, print_header, print_table, rotated

import kerasgen
from kerasgen.metrics import evaluate_frames

SHAPE = (64, 64, 1)
DOCUMENTED_BATCH = 5
STRIP_FRAMES = 30
HORIZONS = (1, 10, 25, 50, 100)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--minutes", type=float, default=20, help="of each training")
    parser.add_argument("--steps", type=int, help="of each training, not minutes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--num-frames", type=int, default=20, help="of training clips")
    parser.add_argument("--context", type=int, default=10, help="known frames")
    parser.add_argument("--horizon", type=int, default=10)
    parser.add_argument("--test-clips", type=int, default=500)
    parser.add_argument("--precision", default="mixed_bfloat16", help="of kerasgen's model")
    parser.add_argument("--set", type=json.loads, default={}, help="JSON: the model's arguments")
    parser.add_argument(
        "--compile", type=json.loads, default={}, help="JSON: arguments of its `compile`"
    )
    parser.add_argument(
        "--contenders",
        nargs="+",
        choices=CONTENDERS,
        default=list(CONTENDERS),
        help="of the part `quality`",
    )
    parser.add_argument("--futures", type=int, default=20, help="of the part `futures`")
    parser.add_argument("--rounds", type=int, default=5, help="of `speed` and `rollout`")
    parser.add_argument("--video", help="file of the part `video`")
    parser.add_argument("--image-size", type=int, default=64, help="of the part `video`")
    parser.add_argument("--out", help="picture: strips of frames (`quality`, `futures`)")
    parser.add_argument("--figure", help="picture: quality over horizon (`quality`, `video`)")
    parser.add_argument("--save", help="kerasgen's models, as '{name}-seed{seed}.keras'")
    return parser.parse_args()


# === Contenders ===


class KerasStack(keras.Model):
    """`ConvLSTM2D` layers and a convolution for each frame, which predict the next one.

    Args:
        filters, kernels: sequences of ints, one of each a layer.
        head_kernel: int.
        patch_size: int. Blocks of so many pixels a side are folded into channels. Defaults to 1.
        normalise: bool. Whether batch normalisation follows each layer. Defaults to False.
        activation: str. Defaults to "tanh".
    """

    def __init__(
        self, filters, kernels, head_kernel, patch_size=1, normalise=False, activation="tanh"
    ):
        super().__init__()
        self.patch_size = patch_size
        self.recurrent = [
            layers.ConvLSTM2D(
                width, kernel, padding="same", return_sequences=True, activation=activation
            )
            for width, kernel in zip(filters, kernels, strict=True)
        ]
        self.norms = [
            layers.BatchNormalization(momentum=0.9) if normalise else None for _ in filters
        ]
        outputs = SHAPE[2] * patch_size**2
        self.head = layers.Conv2D(outputs, head_kernel, padding="same", activation="sigmoid")
        self(tf.zeros((1, 2, *SHAPE)))  # makes the weights

    def call(self, clips, training=False):
        """From frames `(B, T, H, W, C)` in [0, 1] to the one after each."""
        x = self._by_frame(self._fold, clips)
        for layer, norm in zip(self.recurrent, self.norms, strict=True):
            x = layer(x)
            x = x if norm is None else norm(x, training=training)
        return self._by_frame(self._draw, x)

    def _by_frame(self, function, clips):
        shape = tf.shape(clips)
        frames = function(tf.reshape(clips, (-1, *clips.shape[2:])))
        return tf.reshape(frames, (shape[0], shape[1], *frames.shape[1:]))

    def _fold(self, frames):
        return tf.nn.space_to_depth(frames, self.patch_size) if self.patch_size > 1 else frames

    def _draw(self, features):
        frames = self.head(features)
        return tf.nn.depth_to_space(frames, self.patch_size) if self.patch_size > 1 else frames

    @tf.function(reduce_retracing=True)
    def step(self, frame, states):
        """The next frame, and the new states: what the layers do to sequences, frame by frame."""
        x, following = self._fold(frame), []
        for layer, norm, state in zip(self.recurrent, self.norms, states, strict=True):
            x, state = layer.cell(x, state)
            following.append(state)
            x = x if norm is None else norm(x[:, None], training=False)[:, 0]
        return self._draw(x), following

    def predict_frames(self, context, num_frames):
        """As kerasgen's: uint8 clips to uint8 frames, by carried states."""
        parts = np.array_split(context, -(-len(context) // 10))
        return np.concatenate([self._roll(part / np.float32(255), num_frames) for part in parts])

    def _roll(self, context, num_frames):
        height, width = (side // self.patch_size for side in context.shape[2:4])
        states = [
            [tf.zeros((len(context), height, width, layer.filters))] * 2 for layer in self.recurrent
        ]
        for frame in context.swapaxes(0, 1):
            following, states = self.step(tf.constant(frame), states)
        frames = [following]
        while len(frames) < num_frames:
            following, states = self.step(frames[-1], states)
            frames.append(following)
        return np.round(np.stack(frames, axis=1) * 255).astype(np.uint8)


def make_kerasgen(arguments, seed=0, shape=SHAPE, dtype=None, **settings):
    settings = {"seed": seed, **settings, **arguments.set}
    model = kerasgen.ConvLSTMGenerator(shape, dtype=dtype or arguments.precision, **settings)
    model.compile(**arguments.compile)
    return model


def compiled(stack, loss):
    stack.compile(keras.optimizers.Adam(), loss=loss)
    stack.optimizer.build(stack.trainable_variables)
    return stack


def make_documented(arguments):
    stack = KerasStack((64, 64, 64), (5, 3, 1), 3, normalise=True, activation="relu")
    return compiled(stack, "binary_crossentropy")


def make_patchified(arguments):
    ours = make_kerasgen(arguments)
    kernels = [ours.kernel_size] * len(ours.filters)
    return compiled(KerasStack(ours.filters, kernels, 1, patch_size=ours.patch_size), "mse")


def make_full_resolution(arguments):
    return compiled(KerasStack((64, 64), (5, 3), 1), "mse")


# name -> function that makes it, clips of a batch (None: as asked)
STACKS = {"documented": (make_documented, DOCUMENTED_BATCH), "patchified": (make_patchified, None)}
CONTENDERS = ("kerasgen", "sprites", *STACKS)


def load(arguments, split="train", **settings):
    settings = {"num_frames": arguments.num_frames, **settings}
    return kerasgen.data.load_frames("moving_digits", split, **settings)


def test_clips(arguments, num_frames, count):
    clips = load(arguments, "test", num_frames=num_frames, clips_per_epoch=count, shuffle=False)
    return kerasgen.data.collect_clips(clips)


def next_frames(clips):
    """Inputs and targets as the documentation has them: pixels in [0, 1], a frame apart."""
    pixels = (clips + 1) / 2
    return pixels[:, :-1], pixels[:, 1:]


def fit(model, dataset, arguments):
    """Trains for the asked minutes or steps; returns the steps."""
    if arguments.steps is None:
        limit = kerasgen.callbacks.TimeLimit(arguments.minutes)
        model.fit(dataset, epochs=10**6, callbacks=[limit], verbose=0)
    else:
        model.fit(dataset.repeat(), steps_per_epoch=arguments.steps, verbose=0)
    return int(model.optimizer.iterations)


def train(name, arguments, seed, **settings):
    if name in ("kerasgen", "sprites"):
        if name == "sprites":
            settings["sprites"] = 2
        model = make_kerasgen(arguments, seed, context_frames=arguments.context, **settings)
        return model, fit(
            model, load(arguments, batch_size=arguments.batch_size, seed=seed), arguments
        )
    keras.utils.set_random_seed(seed)
    make, batch_size = STACKS[name]
    model = make(arguments)
    dataset = load(arguments, batch_size=batch_size or arguments.batch_size, seed=seed)
    return model, fit(model, dataset.map(next_frames).prefetch(2), arguments)


# === Quality ===


def measure_quality(arguments):
    length = arguments.context + max(arguments.horizon, STRIP_FRAMES)
    clips = test_clips(arguments, length, arguments.test_clips)
    found, strips = {}, [clips[:4, arguments.context :][:, :STRIP_FRAMES]]
    for seed in arguments.seeds:
        for name in arguments.contenders:
            model, steps = train(name, arguments, seed)
            quality, _ = evaluate_frames(
                model, clips, context_frames=arguments.context, horizon=arguments.horizon
            )
            found.setdefault(name, []).append(quality)
            print(f"{name}, seed {seed}, {steps} steps:\n{quality}\n", flush=True)
            if seed == arguments.seeds[0]:
                strips.append(model.predict_frames(clips[:4, : arguments.context], STRIP_FRAMES))
            if arguments.save and name not in STACKS:
                model.save(arguments.save.format(name=name, seed=seed))
    print_quality(found)
    if arguments.out:
        grid = np.stack(strips, axis=1)  # a clip's truth, then a row a contender
        kerasgen.plots.write_grid(arguments.out, grid.reshape(-1, *grid.shape[2:]))
    write_figure(arguments, {name: qualities[0] for name, qualities in found.items()})


def print_quality(found):
    errors = {name: np.mean([q.model["mse"] for q in some], 0) for name, some in found.items()}
    copies = next(iter(found.values()))[0].copy_last_frame["mse"]
    ours = errors.get("kerasgen", np.full_like(copies, np.nan)).mean()
    rows = [
        [
            name,
            *(f"{value:.4f}" for value in values),
            f"{values.mean():.4f}",
            f"{ours / values.mean():.3f}",
            "yes" if all((q.model["mse"] < copies).all() for q in found.get(name, ())) else "no",
        ]
        for name, values in [*errors.items(), ("copy of the last frame", copies)]
    ]
    rows[-1][-1] = ""
    horizons = [str(step + 1) for step in range(len(copies))]
    columns = ["mse at horizon", *horizons, "mean", "kerasgen / this", "all better than copy"]
    print_table(columns, rows)


def write_figure(arguments, qualities):
    if arguments.figure:
        kerasgen.plots.horizon_figure(qualities).savefig(arguments.figure, dpi=120)


# === Speed ===


def measure_speed(arguments):
    clips = next(iter(load(arguments, batch_size=arguments.batch_size)))
    few = clips[:2]  # as many as fit into memory; time grows with their number
    contenders = {
        "kerasgen float32": (make_kerasgen(arguments, dtype="float32"), clips, len(clips)),
        "kerasgen bfloat16": (make_kerasgen(arguments, dtype="mixed_bfloat16"), clips, len(clips)),
        "patchified": (make_patchified(arguments), next_frames(clips), len(clips)),
        "full resolution": (make_full_resolution(arguments), next_frames(few), len(few)),
    }
    steps = {}
    for name, (model, batch, _) in contenders.items():
        function = model.make_train_function() or model.train_function
        steps[name] = stepper(function, iter(tf.data.Dataset.from_tensors(batch).repeat()))
    wall, cpu = ({name: [] for name in steps} for _ in range(2))
    for turn in range(-1, arguments.rounds):
        for name in rotated(list(steps), turn):
            watch = Stopwatch()
            steps[name]()
            if turn >= 0:  # the first one warms up
                seconds = watch.read()
                wall[name].append(seconds[0] / contenders[name][2])
                cpu[name].append(seconds[1] / contenders[name][2])
    rows = [
        [
            name,
            f"{np.median(wall[name]):.4f}",
            f"{np.median(cpu[name]):.4f}",
            f"{np.median(np.divide(wall['kerasgen float32'], wall[name])):.4f}",
            f"{np.median(np.divide(wall['kerasgen bfloat16'], wall[name])):.4f}",
        ]
        for name in steps
    ]
    print_table(["training a clip", "s", "CPU s", "float32 / this", "bfloat16 / this"], rows)


def stepper(function, batches):
    def step():
        return [float(value) for value in function(batches).values()]  # waits for the step's end

    return step


# === Rollout ===


def measure_rollout(arguments):
    model = make_kerasgen(arguments)
    context = test_clips(arguments, arguments.num_frames, 8)[:, : arguments.context]
    seconds = {horizon: [] for horizon in HORIZONS}
    for turn in range(-1, arguments.rounds):
        for horizon in rotated(list(HORIZONS), turn):
            watch = Stopwatch()
            model.predict_frames(context, horizon)
            if turn >= 0:
                seconds[horizon].append(watch.read()[0])
    medians = {horizon: np.median(values) for horizon, values in seconds.items()}
    rows, before = [], (1 - arguments.context, 0.0)  # known frames cost what others do
    for horizon, total in medians.items():
        each = (total - before[1]) / (horizon - before[0])
        rows.append([f"{horizon}", f"{1000 * total:.0f}", f"{1000 * each:.1f}"])
        before = horizon, total
    print_table(["frames", "ms", "ms a frame since the row above"], rows)
    slope, start = np.polyfit(list(medians), list(medians.values()), 1)
    print(f"8 clips, {arguments.context} known frames: {1000 * slope:.1f} ms a frame", end="")
    print(
        f" and {1000 * start:.0f} ms once; {model._rollout.experimental_get_tracing_count()} trace"
    )


# === A video ===


def measure_video(arguments):
    if arguments.video is None:
        raise SystemExit("The part `video` needs --video FILE.")
    where = {
        "source": arguments.video,
        "num_frames": arguments.context + arguments.horizon,
        "image_size": arguments.image_size,
        "validation_split": 0.2,
    }
    held_out = kerasgen.data.load_frames(split="validation", stride=1, shuffle=False, **where)
    rows = []
    for seed in arguments.seeds:
        dataset = kerasgen.data.load_frames(batch_size=arguments.batch_size, seed=seed, **where)
        model = make_kerasgen(
            arguments, seed, dataset.image_shape, context_frames=arguments.context
        )
        steps = fit(model, dataset, arguments)
        quality, _ = evaluate_frames(model, held_out, context_frames=arguments.context)
        print(f"seed {seed}, {steps} steps, {quality.num_clips} windows:\n{quality}", flush=True)
        rows.append([f"seed {seed}", *(f"{value:.3f}" for value in quality.skill)])
        if arguments.save:
            model.save(arguments.save.format(name="kerasgen", seed=seed))
    print_table(["skill at horizon", *(str(i + 1) for i in range(arguments.horizon))], rows)
    write_figure(arguments, quality)


# === Futures ===


def measure_futures(arguments):
    clips = test_clips(arguments, arguments.context + arguments.horizon, arguments.test_clips)
    rows = []
    for seed in arguments.seeds:
        model, steps = train("sprites", arguments, seed, latent_dim=4)
        quality, futures = evaluate_frames(
            model, clips, context_frames=arguments.context, num_futures=arguments.futures
        )
        values = [
            ("mse of the mean latents' future", quality.model["mse"]),
            ("mse of all futures", futures.mean_mse),
            (f"mse of the best of {arguments.futures}", futures.best_mse),
            ("difference of two futures", futures.diversity),
            ("SSIM of all futures", futures.mean_ssim),
            (f"SSIM of the best of {arguments.futures}", futures.best_ssim),
        ]
        for name, value in values:
            cells = [f"{v:.4f}" for v in (*value, value.mean())]
            rows.append([name, f"{seed}", f"{steps}", *cells])
        if arguments.save:
            model.save(arguments.save.format(name="sprites", seed=seed))
        if arguments.out and seed == arguments.seeds[0]:
            write_futures(model, clips[:3], arguments)
    horizons = [str(i + 1) for i in range(arguments.horizon)]
    print_table(["at horizon", "seed", "steps", *horizons, "mean"], rows)


def write_futures(model, clips, arguments):
    """Each clip's truth, and below it four futures of its first frames."""
    strips = []
    for clip in clips:
        known = clip[: arguments.context]
        futures = model.generate(known[None].repeat(4, axis=0), arguments.horizon, seed=0)
        strips += [clip, *(np.concatenate([known, future]) for future in futures)]
    kerasgen.plots.write_grid(arguments.out, np.stack(strips))


PARTS = {
    "quality": measure_quality,
    "speed": measure_speed,
    "rollout": measure_rollout,
    "video": measure_video,
    "futures": measure_futures,
}


def main():
    arguments = parse_arguments()
    print_header(f"Frames, {arguments.part}", **vars(arguments))
    PARTS[arguments.part](arguments)


if __name__ == "__main__":
    main()
