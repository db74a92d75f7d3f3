"""Measures `ConvAutoencoder` on Fashion-MNIST at 32x32 pixels with codes of length 64.

`reconstruction`: squared error on the test pictures after the same minutes of training: kerasgen's
defaults; the Keras documentation's convolutional autoencoder (two convolutions of 32 filters with
pooling, two transposed convolutions, ReLU, sigmoid, binary cross-entropy, batch 128, Adam at 1e-3)
with a Dense code of the same length in its middle; and a PCA with as many components. kerasgen's
codes are measured as they come from the encoder, and refined by some steps of descent.

`generation`: Fréchet distance of 10,000 generated pictures to the 10,000 test pictures, for every
kind of autoencoder (deterministic, variational, regularised) with every sampler, and coverage.
The floor is the distance of 10,000 training pictures.

`step`: time of a training step in float32, in mixed_bfloat16, and of the same networks as a Keras
functional model under `fit`'s own `train_step`.

`anomaly`: trained without one class, does the anomaly score tell its pictures from the other
nine classes'? AUROC on the test pictures, for each class.
"""

import argparse
import json
import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from reporting import Stopwatch, print_header, print_table, rotated

import kerasgen
from kerasgen.metrics import frechet_distance, get_extractor, prdc

SHAPE = (32, 32, 1)
LATENT_DIM = 64
KINDS = {
    "deterministic": {},
    "variational": {"variational": True},
    "regularised": {"code_penalty": 0.04, "decoder_penalty": "spectral"},
    "regularised-l2": {"code_penalty": 0.04, "decoder_penalty": "l2"},
    "regularised-gradient": {"code_penalty": 0.04, "decoder_penalty": "gradient"},
}
SAMPLERS = ("normal", "gaussian", "mixture", "flow")
REFINEMENTS = 0, 5, 20  # steps


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data-dir", help="where TFDS's fashion_mnist is")
    parser.add_argument("--minutes", type=float, default=10, help="of each training")
    parser.add_argument("--steps", type=int, help="of each training of kerasgen's, not minutes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--set", type=json.loads, default={}, help="JSON: the model's arguments")
    parser.add_argument("--rounds", type=int, default=8, help="of the part `step`")
    parser.add_argument("--block", type=int, default=30, help="steps of a contender in a round")
    parser.add_argument("--classes", type=int, nargs="+", default=list(range(10)))
    parser.add_argument(
        "--contenders",
        nargs="+",
        choices=["kerasgen", *DOCUMENTED],
        default=["kerasgen", "documented"],
        help="of the part `reconstruction`",
    )
    parser.add_argument("--out", help="picture of reconstructions or samples")
    return parser.parse_args()


def load(arguments, split):
    """All pictures of a split and their labels."""
    dataset = kerasgen.data.load_images(
        "fashion_mnist",
        split=split,
        image_size=SHAPE[:2],
        labels=True,
        shuffle=False,
        drop_remainder=False,
        data_dir=arguments.data_dir,
    )
    return kerasgen.data.collect_images(dataset)


def train(images, arguments, seed, **settings):
    """Trains an autoencoder for the asked minutes; returns it and its steps."""
    dataset = kerasgen.data.load_images(images, batch_size=arguments.batch_size, seed=seed)
    settings = {"latent_dim": LATENT_DIM, "seed": seed, **settings, **arguments.set}
    model = kerasgen.ConvAutoencoder(SHAPE, **settings)
    model.compile()
    if arguments.steps is None:
        fit(model, dataset, arguments.minutes)
    else:
        model.fit(dataset.repeat(), steps_per_epoch=arguments.steps, verbose=0)
    return model, int(model.step)


def fit(model, dataset, minutes):
    limit = kerasgen.callbacks.TimeLimit(minutes)
    model.fit(dataset, epochs=10**6, callbacks=[limit], verbose=0)


def squared_error(images, reconstructions):
    """Of pixels in [0, 1]."""
    return float(np.mean((images / 255.0 - reconstructions) ** 2))


# === Reconstruction ===


def documented_autoencoder():
    """The Keras documentation's layers, and a code of the same length in their middle."""
    image = x = keras.Input(SHAPE)
    for _ in range(2):
        x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Dense(LATENT_DIM)(layers.Flatten()(x))
    side = SHAPE[0] // 4
    x = layers.Reshape((side, side, 32))(layers.Dense(side**2 * 32, activation="relu")(x))
    for _ in range(2):
        x = layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(image, layers.Conv2D(SHAPE[2], 3, padding="same", activation="sigmoid")(x))


def strided_autoencoder():
    """As the documentation's variational one: strides for pooling, and 64 filters inside."""
    image = x = keras.Input(SHAPE)
    for width in (32, 64):
        x = layers.Conv2D(width, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Dense(LATENT_DIM)(layers.Flatten()(x))
    side = SHAPE[0] // 4
    x = layers.Reshape((side, side, 64))(layers.Dense(side**2 * 64, activation="relu")(x))
    for width in (64, 32):
        x = layers.Conv2DTranspose(width, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(SHAPE[2], 3, padding="same", activation="sigmoid")(x)
    return keras.Model(image, x)


# name -> network, loss
DOCUMENTED = {
    "documented": (documented_autoencoder, "binary_crossentropy"),
    "documented, squared error": (documented_autoencoder, "mse"),
    "strided, squared error": (strided_autoencoder, "mse"),
}


def measure_reconstruction(arguments):
    from sklearn.decomposition import PCA

    train_images, _ = load(arguments, "train")
    test_images, _ = load(arguments, "test")
    flat, test_flat = (x.reshape(len(x), -1) / np.float32(255) for x in (train_images, test_images))
    pca = PCA(LATENT_DIM, random_state=0).fit(flat)
    result = pca.inverse_transform(pca.transform(test_flat)).reshape(test_images.shape)
    errors = {"PCA": [squared_error(test_images, result)]}
    print(f"PCA: {errors['PCA'][0]:.6f}", flush=True)
    for seed in arguments.seeds:
        if "kerasgen" in arguments.contenders:
            model, steps = train(train_images, arguments, seed)
            for refinement in REFINEMENTS:
                codes = model.encode(test_images, refinement)
                ours = model.ema_decoder.predict(codes, verbose=0)
                name = f"kerasgen, refined {refinement} times" if refinement else "kerasgen"
                note(errors, name, seed, steps, squared_error(test_images, (ours + 1) / 2))
        for name in [name for name in arguments.contenders if name in DOCUMENTED]:
            keras.utils.set_random_seed(seed)
            build, loss = DOCUMENTED[name]
            documented = build()
            documented.compile(keras.optimizers.Adam(1e-3), loss=loss)
            fit(documented, keras_batches(train_images, seed), arguments.minutes)
            theirs = documented.predict(test_images / np.float32(255), verbose=0)
            steps = int(documented.optimizer.iterations)
            note(errors, name, seed, steps, squared_error(test_images, theirs))
    ours = np.median(errors.get("kerasgen", np.nan))
    rows = [
        [name, f"{np.median(values):.6f}", f"{ours / np.median(values):.3f}"]
        for name, values in errors.items()
    ]
    print_table(["test error", "squared, of pixels in [0, 1]", "kerasgen / this"], rows)
    if arguments.out and "kerasgen" in errors:
        some = test_images[:16].reshape(2, 8, *SHAPE)
        made = model.reconstruct(test_images[:16]).reshape(2, 8, *SHAPE)
        kerasgen.plots.write_grid(arguments.out, np.stack([some, made], 1).reshape(4, 8, *SHAPE))


def note(errors, name, seed, steps, error):
    errors.setdefault(name, []).append(error)
    print(f"{name}, seed {seed}, {steps} steps: {error:.6f}", flush=True)


def keras_batches(images, seed):
    pixels = images / np.float32(255)
    return (
        tf.data.Dataset.from_tensor_slices(pixels)
        .cache()
        .shuffle(10_000, seed=seed)
        .batch(128)
        .map(lambda batch: (batch, batch))
        .prefetch(2)
    )


# === Generation ===


def measure_generation(arguments):
    train_images, _ = load(arguments, "train")
    test_images, _ = load(arguments, "test")
    extractor = get_extractor("fashion-cnn")
    real = extractor(test_images)
    some = np.random.default_rng(0).permutation(len(train_images))[: len(real)]
    measured = {("floor", "", 0): measure(real, extractor(train_images[some]))}
    print(f"floor, {extractor.id}, {len(real)} pictures: {measured[('floor', '', 0)]}", flush=True)
    rows = []
    for seed in arguments.seeds:
        for kind in arguments.kinds:
            model, steps = train(train_images, arguments, seed, **KINDS[kind])
            for sampler in arguments.samplers:
                start = time.perf_counter()
                model.fit_sampler(train_images, sampler)
                fitted = time.perf_counter() - start
                images = model.generate(len(real), seed=seed)
                fd, coverage = measure(real, extractor(images))
                row = [f"{kind} {sampler}", f"{seed}", f"{steps}", f"{fd:.4f}", f"{coverage:.3f}"]
                rows.append([*row, f"{fitted:.0f}"])
                print(rows[-1], flush=True)
                if arguments.out:
                    grid = images[:64].reshape(8, 8, *SHAPE)
                    name = arguments.out.format(kind=kind, sampler=sampler, seed=seed)
                    kerasgen.plots.write_grid(name, grid)
    print_table(["FD", "seed", "steps", "FD", "coverage", "fit s"], rows)


def measure(real, generated):
    return frechet_distance(real, generated), prdc(real, generated).coverage


# === A step ===


def functional_autoencoder(model):
    """The model's networks, from the same initial weights, as a Keras user would join them."""
    encoder, decoder = (keras.models.clone_model(n) for n in (model.encoder, model.decoder))
    encoder.set_weights(model.encoder.get_weights())
    decoder.set_weights(model.decoder.get_weights())
    functional = keras.Model(encoder.input, decoder(encoder.output))
    functional.compile(keras.optimizers.Adam(2e-3), loss="mse")
    return functional


def measure_step(arguments):
    images, _ = load(arguments, "train")
    contenders = {}
    for name, dtype in (("kerasgen float32", "float32"), ("kerasgen bfloat16", "mixed_bfloat16")):
        contenders[name] = kerasgen.ConvAutoencoder(SHAPE, LATENT_DIM, dtype=dtype, **arguments.set)
        contenders[name].compile()
    plain = kerasgen.ConvAutoencoder(SHAPE, LATENT_DIM, ema_decay=0.0)
    plain.compile()
    contenders["kerasgen, no average"] = plain
    contenders["functional float32"] = functional_autoencoder(plain)
    steps = {}
    for name, model in contenders.items():
        dataset = kerasgen.data.load_images(images[:6400], batch_size=arguments.batch_size)
        if "functional" in name:
            dataset = dataset.map(lambda batch: (batch, batch)).prefetch(2)
        function = model.make_train_function() or model.train_function
        steps[name] = stepper(function, iter(dataset.repeat()))
    wall, cpu = ({name: [] for name in steps} for _ in range(2))
    for turn in range(-1, arguments.rounds):
        for name in rotated(list(steps), turn):
            watch = Stopwatch()
            for _ in range(arguments.block):
                steps[name]()
            if turn >= 0:  # the first one warms up
                seconds = watch.read()
                wall[name].append(seconds[0] / arguments.block)
                cpu[name].append(seconds[1] / arguments.block)
    base = "functional float32"
    rows = [
        [
            name,
            f"{1000 * np.median(wall[name]):.1f}",
            f"{1000 * np.median(cpu[name]):.1f}",
            f"{np.median(np.divide(wall[name], wall[base])):.3f}",
            f"{np.median(np.divide(cpu[name], cpu[base])):.3f}",
            f"{np.median(np.divide(wall['kerasgen float32'], wall[name])):.2f}",
        ]
        for name in steps
    ]
    columns = ["step", "ms", "CPU ms", "to functional", "CPU to functional", "float32 / this"]
    print_table(columns, rows)


def stepper(function, batches):
    def step():
        return [float(value) for value in function(batches).values()]  # waits for the step's end

    return step


# === Anomalies ===


def measure_anomaly(arguments):
    from sklearn.metrics import roc_auc_score

    train_images, train_labels = load(arguments, "train")
    test_images, test_labels = load(arguments, "test")
    rows = []
    for held_out in arguments.classes:
        for seed in arguments.seeds:
            kept = train_images[train_labels != held_out]
            model, steps = train(kept, arguments, seed)
            scores = model.anomaly_score(test_images)
            auroc = roc_auc_score(test_labels == held_out, scores)
            rows.append([f"class {held_out}", f"{seed}", f"{steps}", f"{auroc:.3f}"])
            print(rows[-1], flush=True)
    mean = np.mean([float(row[-1]) for row in rows])
    print_table(["held out", "seed", "steps", "AUROC"], [*rows, ["mean", "", "", f"{mean:.3f}"]])


PARTS = {
    "reconstruction": measure_reconstruction,
    "generation": measure_generation,
    "step": measure_step,
    "anomaly": measure_anomaly,
}


def main():
    arguments = parse_arguments()
    print_header(f"Autoencoder, {arguments.part}", **vars(arguments))
    PARTS[arguments.part](arguments)


if __name__ == "__main__":
    main()
