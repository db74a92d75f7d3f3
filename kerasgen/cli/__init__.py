"""The command line. Parsing needs no TensorFlow; each command imports what it uses."""

import argparse
import sys

from kerasgen._version import __version__
from kerasgen.models.registry import model_entries

SOURCES = "'digits' (embedded), a folder of pictures, or the name of a TFDS data set"
CLIPS = (
    "'moving_digits' (embedded), a video, an animated GIF, a folder of these or of numbered frames"
)
RUN = "run directory, .keras file, name of a preset, or directory of one"


def main(argv=None):
    """Runs the command line.

    Args:
        argv: list of str or None. Defaults to None: the process's arguments.

    Returns:
        int. The exit code: 0, 2 for bad input, 130 where Ctrl-C ended the command.
    """
    arguments = build_parser().parse_args(argv)
    if getattr(arguments, "command", None) is None:
        build_parser().print_help()
        return 2
    try:
        if getattr(arguments, "recipe", None) or getattr(arguments, "preset", None):
            from kerasgen.cli.settings import train_defaults

            arguments = build_parser(train_defaults(arguments)).parse_args(argv)
        return arguments.command(arguments)
    except UserError as error:
        print(f"kerasgen: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("kerasgen: interrupted", file=sys.stderr)
        return 130


class UserError(Exception):
    """Bad input, told in one line; anything else is a bug and shows its traceback."""


def build_parser(train_defaults=None):
    """The parser of all commands.

    Args:
        train_defaults: dict of defaults for options of `train`, or None. Defaults to None.

    Returns:
        `argparse.ArgumentParser`.
    """
    parser = argparse.ArgumentParser(
        prog="kerasgen", description="Image generators for Keras 3 on TensorFlow."
    )
    parser.add_argument("--version", action="version", version=f"kerasgen {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_train(commands, train_defaults or {})
    _add_generate(commands)
    _add_reconstruct(commands)
    _add_evaluate(commands)
    _add_export(commands)
    _add_report(commands)
    presets = commands.add_parser("presets", help="list the trained models that come with kerasgen")
    presets.set_defaults(command=_lazily("presets"))
    return parser


def _add_train(commands, defaults):
    models = model_entries()
    listing = "\n".join(f"  {name:12} {entry.summary}" for name, entry in models.items())
    train = commands.add_parser(
        "train",
        help="train a model on pictures or clips",
        description="Train a model on pictures, or a frame generator on clips, and leave a run "
        "directory with samples, film, model and SavedModel.",
        epilog=f"models:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument(
        "model", nargs="?", choices=models, metavar="MODEL", help=" or ".join(models)
    )
    train.add_argument("--data", metavar="SOURCE", help=f"{SOURCES}; of clips {CLIPS}")
    train.add_argument(
        "--recipe",
        metavar="NAME_OR_FILE",
        help="a preset's recipe, or a .toml or .json file: it says model, data and settings, and "
        "options here go before what it says",
    )
    train.add_argument(
        "--from",
        dest="preset",
        metavar="PRESET",
        help="train a preset further instead of a new model: same architecture, your pictures",
    )
    train.add_argument(
        "--out",
        metavar="DIR",
        help="run directory, new or empty, or of an interrupted run of the same settings, which "
        "goes on (default: runs/NNNN-MODEL-SOURCE, a new one)",
    )
    train.add_argument(
        "--new", action="store_true", help="never go on: where DIR is taken, make DIR-2 beside it"
    )
    length = train.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, metavar="N", help="passes over the data")
    length.add_argument("--minutes", type=float, metavar="M", help="minutes of training")
    train.add_argument(
        "--image-size",
        type=_size,
        metavar="SIZE",
        help="64 or 48x64 (height x width), in pixels (default: from the pictures)",
    )
    train.add_argument("--channels", type=int, metavar="C", help="1 grey, 3 colour, 4 with alpha")
    train.add_argument(
        "--batch-size", type=int, metavar="B", help="default: 32 pictures, or 4 clips"
    )
    train.add_argument(
        "--num-frames", type=int, metavar="T", help="clips: frames of a sequence (default: 20)"
    )
    train.add_argument(
        "--stride",
        type=int,
        metavar="N",
        help="clips: frames from the start of a training sequence to that of the next (default: "
        "so that there are about 2000)",
    )
    train.add_argument(
        "--frame-step",
        type=int,
        metavar="N",
        help="clips: frames from one of a sequence to its next (default: 1)",
    )
    train.add_argument("--split", default="train", help="part of a TFDS data set (default: train)")
    train.add_argument(
        "--validation-split", type=float, metavar="F", help="fraction held out and evaluated"
    )
    train.add_argument(
        "--labels", action="store_true", help="pictures: train on the classes as well"
    )
    train.add_argument(
        "--crop",
        choices=("auto", "center", "random"),
        default="auto",
        help="pictures: random crops suit few large photographs (default: auto)",
    )
    train.add_argument("--flip", action="store_true", help="pictures: mirror half of them")
    train.add_argument("--strict", action="store_true", help="pictures: stop at an unreadable one")
    train.add_argument("--data-dir", metavar="DIR", help="where TFDS data sets are")
    train.add_argument("--download", action="store_true", help="let TFDS download the data set")
    train.add_argument("--seed", type=int, default=0, help="default: 0")
    train.add_argument(
        "--precision",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        default="float32",
        help="default: float32",
    )
    train.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="GPUs of this machine that share each batch (default: 1); several machines are named "
        "in TF_CONFIG instead",
    )
    train.add_argument(
        "--data-service",
        metavar="ADDRESS",
        help="dispatcher of a tf.data service whose workers compute the batches",
    )
    train.add_argument(
        "--sample-every",
        type=int,
        metavar="N",
        help="epochs between sample pictures (default: so that there are about 50)",
    )
    train.add_argument(
        "--no-evaluate",
        dest="evaluate",
        action="store_false",
        help="don't measure the samples while training, keep the last weights, don't watch for "
        "collapse; of clips: don't measure the predictions at the end",
    )
    train.add_argument(
        "--verbose",
        action="store_true",
        help="leave a line with all losses and measures of each epoch, also where the output is "
        "no terminal (default there: only evaluations, verdicts and where files are)",
    )
    train.add_argument(
        "--tensorboard",
        action="store_true",
        help="also write RUN/tensorboard: losses, samples, evaluations, histograms of the weights",
    )
    train.add_argument(
        "--no-report",
        dest="report",
        action="store_false",
        help="don't write RUN/report.html, which shows the training at each evaluation",
    )
    train.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="NAME=VALUE",
        help="any argument of the model or of its compile(); may be repeated",
    )
    train.set_defaults(command=_lazily("train"), **defaults)


def _add_generate(commands):
    generate = commands.add_parser(
        "generate",
        help="generate pictures, or the next frames of a clip, with a trained model",
        description="Generate pictures; or, with a frame generator, the next frames of a clip.",
    )
    generate.add_argument("run", metavar="RUN", help=RUN)
    generate.add_argument(
        "--num",
        type=int,
        metavar="N",
        help="pictures (default: 64), or different futures of a clip (default: 1)",
    )
    generate.add_argument("--seed", type=int, default=0, help="default: 0")
    generate.add_argument(
        "--context",
        metavar="SOURCE",
        help="the clip to continue: a video, an animated GIF, a folder of numbered frames, or "
        "'moving_digits'",
    )
    generate.add_argument(
        "--num-frames", type=int, metavar="T", help="frames to generate (default: 10)"
    )
    generate.add_argument(
        "--context-frames",
        type=int,
        metavar="K",
        help="how many of the clip's last frames the model reads (default: as in its training)",
    )
    generate.add_argument(
        "--out",
        metavar="PATH",
        help="a .png file for one grid, or a folder for one file a picture (default: "
        "samples.png); of frames a .gif, a .png film strip, or a folder (default: frames.gif)",
    )
    generate.set_defaults(command=_lazily("generate"))


def _add_reconstruct(commands):
    reconstruct = commands.add_parser(
        "reconstruct",
        help="show pictures above what a trained autoencoder makes of them",
        description="Encode pictures, decode their codes, and write the pairs as one picture.",
    )
    reconstruct.add_argument("run", metavar="RUN", help=RUN)
    reconstruct.add_argument(
        "images", nargs="+", metavar="IMAGES", help=f"picture files; or {SOURCES}"
    )
    reconstruct.add_argument(
        "--num", type=int, default=32, metavar="N", help="pictures of a source (default: 32)"
    )
    reconstruct.add_argument(
        "--split", help="part of a source (default: test, else validation, else train)"
    )
    reconstruct.add_argument("--data-dir", metavar="DIR", help="where TFDS data sets are")
    reconstruct.add_argument(
        "--refinement",
        type=int,
        default=0,
        metavar="N",
        help="steps of gradient descent by which each code comes closer to its picture "
        "(default: 0)",
    )
    reconstruct.add_argument(
        "--out",
        default="reconstructions.png",
        metavar="PATH",
        help="a .png file (default: reconstructions.png)",
    )
    reconstruct.set_defaults(command=_lazily("reconstruct"))


def _add_evaluate(commands):
    evaluate = commands.add_parser(
        "evaluate",
        help="measure a trained model's pictures",
        description="Measure quality, diversity and memorisation of a trained model's pictures, "
        "each value beside what real pictures get; or of a frame generator the quality of its "
        "predictions at each horizon, beside copies of the last known frame.",
    )
    evaluate.add_argument("run", metavar="RUN", help=RUN)
    evaluate.add_argument(
        "--data",
        metavar="SOURCE",
        help=f"{SOURCES}; of clips {CLIPS} (default: what the run was trained on)",
    )
    evaluate.add_argument("--data-dir", metavar="DIR", help="where TFDS data sets are")
    evaluate.add_argument(
        "--held-out",
        metavar="SPLIT",
        help="part of the source that the model wasn't trained on (default: the run's validation "
        "split, or the source's test split)",
    )
    evaluate.add_argument(
        "--num", type=int, metavar="N", help="default: 2000 pictures, or 500 clips"
    )
    evaluate.add_argument("--seed", type=int, default=0, help="default: 0")
    evaluate.add_argument(
        "--extractor",
        help="'fashion-cnn' (ships with kerasgen), the name of a keras.applications model, or the "
        "path of the 2015 Inception graph (default: fashion-cnn)",
    )
    evaluate.add_argument(
        "--out", metavar="DIR", help="where table and figure go (default: RUN/evaluation)"
    )
    evaluate.set_defaults(command=_lazily("evaluate"))


def _add_export(commands):
    export = commands.add_parser("export", help="export a trained model for TF Serving")
    export.add_argument("run", metavar="RUN", help=RUN)
    export.add_argument(
        "--out",
        default="saved_models",
        metavar="DIR",
        help="the model goes to DIR/NAME/VERSION (default: saved_models)",
    )
    export.add_argument("--name", help="name of the served model (default: the run's)")
    export.add_argument(
        "--model-version",
        type=int,
        metavar="N",
        help="number of the version (default: one above the highest there)",
    )
    export.add_argument(
        "--no-warmup",
        dest="warmup",
        action="store_false",
        help="leave out the requests that a server answers while it loads the model",
    )
    export.add_argument(
        "--untrained",
        action="store_true",
        help="export the model even if it never took a step of training",
    )
    export.set_defaults(command=_lazily("export"))


def _add_report(commands):
    report = commands.add_parser(
        "report",
        help="write one page about a run, or about several side by side",
        description="Write a page of one file that opens from disk: settings, curves, film, "
        "measures and verdicts, nearest neighbours, a latent walk, and how the model is served.",
    )
    report.add_argument("runs", nargs="+", metavar="RUN", help="run directory")
    report.add_argument(
        "--out",
        metavar="PATH",
        help="a .html file (default: RUN/report.html; of several runs report.html)",
    )
    report.add_argument(
        "--quick",
        action="store_true",
        help="from the runs' files alone, without loading model and data: no latent walk and no "
        "nearest neighbours where the training left none",
    )
    report.set_defaults(command=_lazily("report"))


def _lazily(module):
    def command(arguments):
        import importlib

        return importlib.import_module(f"kerasgen.cli.{module}").run(arguments)

    return command


def _size(text):
    sides = text.lower().split("x")
    try:
        sides = [int(side) for side in sides]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2):
        raise argparse.ArgumentTypeError(f"expected 64 or 48x64, received {text!r}")
    return sides[0] if len(sides) == 1 else tuple(sides)
