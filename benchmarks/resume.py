"""Kills trainings at random moments and resumes them; and measures what saving costs.

`kills`: small trainings of all three families, in processes of their own, with `FullStateBackup`
and `EvaluateSamples`, and of pictures `CollapseGuard`, attached. Each is sent SIGKILL at moments
drawn from the seed, up to three times, and resumed; then its weights and history are compared, bit
for bit, with those of a training that was never interrupted.

`cost`: the README's model on the digits through `fit`, in blocks without and with a backup at
every tenth step, in alternation, and what a backup then takes of the time at the default interval.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import signal
import tempfile
import time
import traceback

import keras
import numpy as np
from reporting import print_header, print_table

import kerasgen

FAMILIES = ("autoencoder", "convlstm", "dcgan")
EPOCHS = 5
EVERY = 10


def prepare(family):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (64, 16, 16, 1)).astype(np.uint8)
    if family == "convlstm":
        clips = pictures.reshape(16, 4, 16, 16, 1)
        model = kerasgen.ConvLSTMGenerator(
            (16, 16, 1), filters=(4,), latent_dim=2, dtype="mixed_bfloat16"
        )
        data = kerasgen.data.load_frames(clips, num_frames=4, batch_size=2)
        generated_from = clips
    else:
        data = kerasgen.data.load_images(pictures, image_size=16, batch_size=4, augment="flip")
        generated_from = pictures
    if family == "dcgan":
        model = kerasgen.DCGAN(
            (16, 16, 1), generator_filters=4, discriminator_filters=4, augment="translation"
        )
    elif family == "autoencoder":
        model = kerasgen.ConvAutoencoder(
            (16, 16, 1), latent_dim=4, filters=4, variational=True, dtype="mixed_float16"
        )
    model.compile()
    watchers = [
        kerasgen.callbacks.EvaluateSamples(
            pictures, data=generated_from, num_samples=30, num_reference=40, verbose=False
        ),
        keras.callbacks.TerminateOnNaN(),
    ]
    if family != "convlstm":
        watchers.append(kerasgen.callbacks.CollapseGuard(pictures, num_samples=20))
    return model, data, watchers


def train(family, directory, result):
    model, data, watchers = prepare(family)
    backup = kerasgen.callbacks.FullStateBackup(directory, steps=3)
    history = model.fit(data, epochs=EPOCHS, callbacks=[*watchers, backup], verbose=0)
    digest = hashlib.sha256(json.dumps(history.history, default=float).encode())
    for part in (model, *model.optimizers):
        for variable in part.variables:
            digest.update(np.asarray(variable).tobytes())
    result.write_text(digest.hexdigest())


def start(family, directory, result):
    """Trains in a process of its own; returns its number."""
    child = os.fork()  # before TensorFlow has started anything here
    if child:
        return child
    status = 1
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        train(family, directory, result)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def wait(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kills(arguments):
    draw = random.Random(arguments.seed)
    rows, equal = [], 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        whole = {}
        for family in FAMILIES:
            begin = time.monotonic()
            code = wait(start(family, folder / family, folder / f"{family}.txt"))
            assert code == 0, family
            whole[family] = (folder / f"{family}.txt").read_text(), time.monotonic() - begin
        for number in range(arguments.number):
            family = FAMILIES[number % len(FAMILIES)]
            expected, duration = whole[family]
            directory, result = folder / f"backup-{number}", folder / f"result-{number}.txt"
            moments = [draw.uniform(0.2, 1.0) * duration for _ in range(draw.randint(1, 3))]
            killed = 0
            for moment in moments:
                child = start(family, directory, result)
                time.sleep(moment)
                os.kill(child, signal.SIGKILL)
                killed += wait(child) == -signal.SIGKILL
                if result.exists():
                    break
            code = 0 if result.exists() else wait(start(family, directory, result))
            same = code == 0 and result.read_text() == expected
            equal += same
            row = [str(number), family, " ".join(f"{m:.1f}" for m in moments), str(killed)]
            rows.append([*row, "yes" if same else "NO"])
            print(" ".join(rows[-1]), flush=True)
    print_table(["number", "family", "killed after s", "kills that hit", "equal"], rows)
    print(f"{equal} of {arguments.number} equal.")


def cost(arguments):
    from kerasgen.callbacks import backup_file

    data = kerasgen.data.load_images("digits", image_size=32, batch_size=32)
    model = kerasgen.DCGAN((32, 32, 1))
    model.compile()
    model.fit(data, epochs=1, verbose=0)
    blocks = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as folder:
        backup = kerasgen.callbacks.FullStateBackup(folder, steps=EVERY, delete_when_done=False)
        for turn in range(arguments.rounds):
            for name in sorted(blocks, reverse=bool(turn % 2)):
                for path in pathlib.Path(folder).glob("*.kgb"):
                    path.unlink()
                begin = time.perf_counter()
                callbacks = [backup] if name == "with" else []
                model.fit(data, epochs=1, callbacks=callbacks, verbose=0)
                blocks[name].append(time.perf_counter() - begin)
                if name == "with":
                    size = (pathlib.Path(folder) / backup_file.NAME).stat().st_size
    steps = len(data)
    without, with_ = (float(np.median(blocks[name])) for name in ("without", "with"))
    saves = -(-steps // EVERY) + 1  # one at the end
    save = (with_ - without) / saves
    print_table(
        ["steps", "s without", "s with", "backups", "ms a backup", "MB", "of 2 minutes"],
        [
            [
                str(steps),
                f"{without:.2f}",
                f"{with_:.2f}",
                str(saves),
                f"{1000 * save:.0f}",
                f"{size / 2**20:.1f}",
                f"{save / 120:.2%}",
            ]
        ],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=["kills", "cost"])
    parser.add_argument("--number", type=int, default=20, help="trainings that are killed")
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each kind")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print_header("Resuming", **vars(arguments))
    {"kills": kills, "cost": cost}[arguments.part](arguments)


if __name__ == "__main__":
    main()
