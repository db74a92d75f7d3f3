"""Shows what `CollapseGuard` says and does when a DCGAN collapses, breaks, or is well.

A DCGAN learns the embedded digits at 32x32 with the guard and with `EvaluateSamples`:

- healthy: as it is by default;
- rate x20: the generator's optimizer is Keras' Adam (momentum 0.9, where DCGAN has 0.5) with 20
  times the default learning rate from the start;
- rate x20 later: the same optimizer has the default rate first, and 20 times that after some
  healthy epochs;
- NaN: one of the generator's weights becomes NaN at one step.

The onset of a collapse is the first epoch with less than half of the best diversity before. The
Fréchet distance at the end is measured anew after `fit`.
"""

import argparse

import keras
import numpy as np
from reporting import print_header, print_table

import kerasgen

BATCH = 32
RATE = 5e-4  # DCGAN's default
FACTOR = 20


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--change-at", type=int, default=10, help="epoch of a planted change")
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


class RaiseRate(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.generator_optimizer.learning_rate = FACTOR * RATE


class PlantNaN(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            weight = self.model.generator.trainable_variables[0]
            values = weight.numpy()
            values.flat[0] = np.nan
            weight.assign(values)


# name -> learning rate of the generator's optimizer if it isn't the default, planted fault
ARMS = {
    "healthy": (None, None),
    "rate x20": (FACTOR * RATE, None),
    "rate x20 later": (RATE, RaiseRate),
    "NaN": (None, PlantNaN),
}


def run(name, arguments):
    rate, fault = ARMS[name]
    dataset = kerasgen.data.load_images(
        "digits", image_size=32, batch_size=BATCH, seed=arguments.seed
    )
    guard = kerasgen.callbacks.CollapseGuard(dataset)
    evaluate = kerasgen.callbacks.EvaluateSamples(dataset, verbose=False)
    model = kerasgen.DCGAN((32, 32, 1), seed=arguments.seed)
    model.compile(generator_optimizer=None if rate is None else keras.optimizers.Adam(rate))
    planted = [] if fault is None else [fault(arguments.change_at)]
    print(f"\n=== {name} ===", flush=True)
    history = model.fit(
        dataset,
        epochs=arguments.epochs,
        verbose=0,
        shuffle=False,
        callbacks=[*planted, guard, evaluate],
    ).history
    print("diversity:", " ".join(f"{value:.2f}" for value in guard.history))
    print("FD:       ", " ".join(f"{value:.2f}" for value in history["fd"]))
    evaluator = evaluate.evaluator
    final = evaluator.evaluate(model.evaluation_samples(evaluator.num_samples, seed=0))["fd"]
    said = [v for v in guard.verdicts if v["kind"] in ("collapse", "not finite")]
    onsets = find_onsets(guard)
    return [
        name,
        ", ".join(str(epoch) for epoch in onsets) or "-",
        ", ".join(str(v["epoch"]) for v in said) or "-",
        f"{min(history['fd']):.3f}",
        f"{final:.3f}",
        f"{evaluator.floor['fd']:.3f}",
    ]


def find_onsets(guard):
    """First epochs of falls to less than half of the best diversity since the last verdict."""
    said = {v["epoch"] for v in guard.verdicts if v["kind"] == "collapse"}
    onsets, best, low = [], 0.0, False
    for epoch, diversity in enumerate(guard.history, 1):
        if diversity < best / 2 and not low:
            onsets.append(epoch)
            low = True
        best = max(best, min(diversity, 1.0))
        if epoch in said:
            best, low = 0.0, False
    return onsets


def main():
    arguments = parse_arguments()
    print_header("Collapse", **vars(arguments))
    rows = [run(name, arguments) for name in arguments.arms]
    print()
    print_table(["arm", "onset", "verdict", "best FD", "FD at the end", "floor"], rows)


if __name__ == "__main__":
    main()
