"""Exports a small model into the directory of each line of standard input, in a process each.

Each is a fork of this one, made before TensorFlow starts, so that only one of them imports it; the
line that answers is its number. It writes "started" and "ended" files beside the directory. The
checks of what they export are forks as well: an export is nearly all writing.
"""

import os
import pathlib
import sys

from kerasgen import DCGAN, export_for_serving
from kerasgen.export import check

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from forks import TENSORFLOW, Forks  # noqa: E402

forks = Forks(TENSORFLOW)
forks.begin()
check.subprocess = forks.as_subprocess()


def export(base):
    os.setpgrp()
    model = DCGAN((8, 8, 1), latent_dim=2, generator_filters=2, discriminator_filters=2)
    model.step.assign(1)
    endpoint = model.serving_signatures()["generate_png"]
    model.serving_signatures = lambda: {"generate_png": endpoint}  # less to trace before it writes
    pathlib.Path(f"{base}.started").touch()
    export_for_serving(model, base)
    pathlib.Path(f"{base}.ended").touch()


for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            export(line.strip())
        finally:
            os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
forks.close()
