"""Measures an exported model: pictures per second, and how long the first request takes.

Through the SavedModel's signatures, against the model in Keras. The model is a DCGAN of the default
widths, its weights as they were drawn: their values don't matter here.
"""

import argparse
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
from PIL import Image
from reporting import print_header, print_table, rotated

import kerasgen

FIRST = """
import json, sys, time
import numpy as np, tensorflow as tf
path, warm, signature = sys.argv[1], sys.argv[2] == "warm", sys.argv[3]
begin = time.perf_counter()
served = tf.saved_model.load(path).signatures
if warm:  # as TF Serving does
    from tensorflow_serving.apis import prediction_log_pb2
    file = f"{path}/assets.extra/tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        served[request.model_spec.signature_name](**inputs)
loaded = time.perf_counter()
times = []
for _ in range(3):
    start = time.perf_counter()
    if signature == "decode":
        served["decode"](latent=tf.zeros((1, 100)))["image"].numpy()
    else:
        served["generate_png"](seed=tf.constant([5], tf.int64))["image_bytes"].numpy()
    times.append(time.perf_counter() - start)
print(json.dumps([loaded - begin, times[0], times[-1]]))
"""


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=3, help="for the first request")
    return parser.parse_args()


def contenders(model, served, batch):
    """Functions that make `batch` pictures, by group and name."""
    rng = np.random.default_rng(0)
    latents = tf.constant(rng.normal(size=(batch, model.latent_dim)), tf.float32)
    seeds = tf.range(batch, dtype=tf.int64)
    jitted = tf.function(lambda x: model.ema_generator(x, training=False), jit_compile=True)
    array = latents.numpy()

    def encode(pictures):
        for picture in pictures:
            shade = picture[..., 0] if picture.shape[-1] == 1 else picture
            Image.fromarray(shade).save(io.BytesIO(), "PNG")

    return {
        "decode": {
            "SavedModel": lambda: served["decode"](latent=latents)["image"].numpy(),
            "model.predict": lambda: model.predict(array, batch_size=batch, verbose=0),
            "jitted Keras call": lambda: jitted(latents).numpy(),
        },
        "PNG files": {
            "SavedModel, generate_png": lambda: served["generate_png"](seed=seeds)[
                "image_bytes"
            ].numpy(),
            "model.generate, Pillow": lambda: encode(model.generate(batch, seed=0)),
        },
    }


def rate(function, batch, seconds):
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        function()
        count += batch
    return count / (time.perf_counter() - begin)


def measure_rates(size, model, served, arguments):
    rows = []
    for batch in arguments.batches:
        for group, functions in contenders(model, served, batch).items():
            for function in functions.values():
                function()
            found = {name: [] for name in functions}
            for turn in range(arguments.rounds):
                for name in rotated(list(functions), turn):
                    found[name].append(rate(functions[name], batch, arguments.seconds))
            base = np.array(next(iter(found.values())))
            for name, rates in found.items():
                ratio = np.median(base / np.array(rates))
                rows.append(
                    [f"{size}x{size}, batch {batch}, {group}", name, f"{np.median(rates):,.0f}",
                     f"{ratio:.2f}"]
                )  # fmt: skip
    print_table(["what", "by", "pictures/s", "SavedModel / this"], rows)


def measure_first_requests(size, path, arguments):
    rows = []
    for signature in ("decode", "generate_png"):
        for kind in ("cold", "warm"):
            runs = []
            for _ in range(arguments.processes):
                command = [sys.executable, "-c", FIRST, str(path), kind, signature]
                result = subprocess.run(command, capture_output=True, text=True, check=True)
                runs.append(json.loads(result.stdout.splitlines()[-1]))
            loading, first, later = np.median(runs, axis=0)
            rows.append(
                [f"{size}x{size}, {signature}", kind, f"{loading:.2f}", f"{1e3 * first:.1f}",
                 f"{1e3 * later:.1f}"]
            )  # fmt: skip
    print_table(["what", "server", "loading s", "first request ms", "third ms"], rows)


def main():
    arguments = parse_arguments()
    print_header("Serving", **vars(arguments))
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as directory:
            model = kerasgen.DCGAN((size, size, 1 if size == 32 else 3))
            base = pathlib.Path(directory, "gan")
            path = kerasgen.export_for_serving(model, base, untrained=True)
            served = tf.saved_model.load(path).signatures
            measure_rates(size, model, served, arguments)
            measure_first_requests(size, path, arguments)


if __name__ == "__main__":
    main()
