"""What training on more devices and machines costs, and where it stops to pay.

`costs`: what one step of a DCGAN computes and moves, by size, width and batch. `pipeline`: how many
pictures a second `load_images` yields by itself, and how long an evaluation and a backup take.
`devices`: one model on one device, on two logical CPUs and on two processes that talk over
loopback, the same global batch; on one machine that can't be faster, and shows what sharing a step
costs. `model`: from such figures, given as options, when gradients, input, evaluations and backups
would limit 8 GPUs of a machine, and 32 machines.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np
from reporting import Stopwatch, print_header, print_table

WAYS = {"one device": "one", "two logical devices": "two", "two workers": "workers"}


def make_model(size, channels, filters, kerasgen):
    return kerasgen.DCGAN(
        (size, size, channels), generator_filters=filters[0], discriminator_filters=filters[1]
    )


def costs(arguments):
    from train_step import step_operations

    import kerasgen

    rows = []
    for size, channels in ((32, 1), (64, 3), (128, 3)):
        for filters in ((48, 32), (128, 128)):
            model = make_model(size, channels, filters, kerasgen)
            networks = model.generator, model.discriminator
            weights = sum(n.count_params() for n in networks)
            for batch in (32, 128):
                rows.append(
                    [
                        f"{size}x{size}x{channels}",
                        "/".join(map(str, filters)),
                        str(batch),
                        f"{weights / 1e6:.2f}",
                        f"{4 * weights / 2**20:.1f}",
                        f"{batch * step_operations(model) / 1e9:.1f}",
                        f"{4 * batch * size * size * channels / 2**20:.2f}",
                    ]
                )
    columns = [
        "size",
        "filters",
        "batch",
        "weights 10^6",
        "gradients MB",
        "GFLOP a step",
        "input MB",
    ]
    print_table(columns, rows)


def pipeline(arguments):
    import kerasgen

    rng = np.random.default_rng(arguments.seed)
    rows = []
    for size, channels in ((32, 1), (64, 3), (128, 3)):
        pictures = rng.integers(0, 256, (4000, size, size, channels)).astype(np.uint8)
        data = kerasgen.data.load_images(pictures, batch_size=128)
        for _ in data:
            pass
        watch, seen = Stopwatch(), 0
        while watch.read()[0] < arguments.seconds:
            seen += sum(len(batch) for batch in data)
        wall, cpu = watch.read()
        rows.append([f"{size}x{size}x{channels}", f"{seen / wall:.0f}", f"{1e6 * cpu / seen:.1f}"])
    print_table(["size", "pictures/s", "CPU us a picture"], rows)
    data = kerasgen.data.load_images("digits", image_size=32, batch_size=64)
    model = make_model(32, 1, (48, 32), kerasgen)
    evaluator = kerasgen.metrics.Evaluator(data)
    for _ in range(2):
        begin = time.perf_counter()
        evaluator.evaluate(model.generate(evaluator.num_samples, seed=0))
    print(
        f"\nAn evaluation of {evaluator.num_samples} samples of 32x32: "
        f"{time.perf_counter() - begin:.2f} s."
    )


def devices(arguments):
    rows, base = [], None
    for turn in range(arguments.rounds):
        for name, how in WAYS.items():
            found = measure_way(how, arguments)
            rate = found["pictures"] / found["wall"]
            base = rate if how == "one" else base
            rows.append(
                [
                    name,
                    str(turn + 1),
                    f"{rate:.0f}",
                    f"{rate / base:.2f}",
                    f"{1000 * found['cpu'] / found['pictures']:.2f}",
                ]
            )
            print(" ".join(rows[-1]), flush=True)
    print_table(["trained on", "round", "pictures/s", "of one device", "CPU ms a picture"], rows)


def measure_way(how, arguments):
    """Trains in processes of their own; the first one's wall time and all CPU time."""
    count = 2 if how == "workers" else 1
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        with socket.socket() as first, socket.socket() as second:
            for free in (first, second):
                free.bind(("127.0.0.1", 0))
            places = [f"127.0.0.1:{free.getsockname()[1]}" for free in (first, second)]
        for number in range(count):
            environment = dict(os.environ)
            if how == "workers":
                task = {"type": "worker", "index": number}
                cluster = {"worker": places}
                environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
            command = [
                sys.executable,
                __file__,
                "child",
                "--how",
                how,
                "--steps",
                str(arguments.steps),
                "--out",
                f"{folder}/{number}.json",
            ]
            processes.append(subprocess.Popen(command, env=environment))
        for process in processes:
            assert process.wait() == 0
        found = []
        for number in range(count):
            with open(f"{folder}/{number}.json") as file:
                found.append(json.load(file))
    return {**found[0], "cpu": sum(part["cpu"] for part in found)}


def child(arguments):
    import keras
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if arguments.how == "workers":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    elif arguments.how == "two":
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    import kerasgen

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            step = int(self.model.step.numpy())
            if step == WARMUP:
                self.watch = Stopwatch()
            if step == WARMUP + arguments.steps:
                self.read = self.watch.read()
                self.model.stop_training = True

    with strategy.scope():
        model = make_model(32, 1, (48, 32), kerasgen)
        model.compile()
    clock = Clock()
    data = kerasgen.data.load_images("digits", image_size=32, batch_size=BATCH)
    model.fit(data, epochs=10**4, callbacks=[clock], verbose=0)
    wall, cpu = clock.read
    with open(arguments.out, "w") as file:
        json.dump({"wall": wall, "cpu": cpu, "pictures": BATCH * arguments.steps}, file)


WARMUP, BATCH = 10, 64


def model(arguments):
    rows = []
    for machines, gpus, bandwidth in (
        (1, 1, 1),
        (1, 8, 300),
        (4, 8, 12.5),
        (32, 8, 12.5),
        (32, 1, 3.1),
    ):
        replicas = machines * gpus
        compute = arguments.gflop / (1000 * arguments.tflops) + arguments.overhead_ms / 1000
        share = 2 * (replicas - 1) / replicas
        gradients = share * arguments.gradient_mb / 1000 / bandwidth if replicas > 1 else 0.0
        drawn = arguments.batch * replicas / (arguments.pictures * arguments.cores / 2)
        step = max(compute + gradients, drawn)
        # The chief's, while the others wait.
        pauses = arguments.evaluation / arguments.evaluate_every
        pauses += arguments.backup / arguments.backup_every
        limits = {"compute": compute, "gradients": gradients, "input": drawn}
        pictures = arguments.batch * replicas / step / (1 + pauses)
        rows.append(
            [
                f"{machines} x {gpus}",
                *(f"{1000 * value:.2f}" for value in limits.values()),
                f"{pauses:.1%}",
                f"{pictures:.0f}",
                f"{pictures / replicas / (arguments.batch / compute):.2f}",
                max(limits, key=limits.get),
            ]
        )
    columns = [
        "machines x GPUs",
        "compute ms",
        "gradients ms",
        "input ms",
        "evaluations, backups",
        "pictures/s",
        "efficiency",
        "limit",
    ]
    print_table(columns, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=["costs", "pipeline", "devices", "model", "child"])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gflop", type=float, help="of a replica's step")
    parser.add_argument("--gradient-mb", type=float)
    parser.add_argument("--batch", type=int, default=64, help="of a replica")
    parser.add_argument("--tflops", type=float, default=20.0, help="that a GPU reaches, 10^12/s")
    parser.add_argument(
        "--overhead-ms", type=float, default=5.0, help="of a step, whatever its size"
    )
    parser.add_argument("--pictures", type=float, help="a second, of the pipeline on two cores")
    parser.add_argument("--evaluation", type=float, default=0.6, help="seconds of one")
    parser.add_argument("--evaluate-every", type=float, default=60.0, help="seconds between them")
    parser.add_argument("--backup", type=float, default=0.05, help="seconds of one")
    parser.add_argument("--backup-every", type=float, default=120.0, help="seconds between them")
    parser.add_argument("--cores", type=int, default=32, help="of a machine")
    parser.add_argument("--how", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part != "child":
        print_header("Scaling", **vars(arguments))
    globals()[arguments.part](arguments)


if __name__ == "__main__":
    main()
