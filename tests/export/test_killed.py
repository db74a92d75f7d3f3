"""Exports that are killed: a server that watches the directory never finds half a model."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import tensorflow as tf

MOMENTS = 20


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.001)


def test_a_killed_export_leaves_no_number_that_does_not_load(tmp_path):
    program = pathlib.Path(__file__).with_name("exporter.py")
    with subprocess.Popen(
        [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as exporter:

        def start(base):
            exporter.stdin.write(f"{base}\n")
            exporter.stdin.flush()
            child = int(exporter.stdout.readline())
            wait_for(pathlib.Path(f"{base}.started"))
            return child

        durations = []
        for number in range(2):
            whole = tmp_path / f"whole-{number}"
            start(whole)
            begin = time.monotonic()
            wait_for(pathlib.Path(f"{whole}.ended"))
            durations.append(time.monotonic() - begin)
        duration = min(durations)
        unfinished = 0
        for moment in range(MOMENTS):
            base = tmp_path / f"killed-{moment}"
            child = start(base)
            time.sleep(duration * (moment + 0.5) / MOMENTS)
            with contextlib.suppress(ProcessLookupError):  # it was faster than the first
                os.killpg(child, signal.SIGKILL)
            numbered = [path for path in base.glob("*") if path.name.isdecimal()]
            unfinished += not numbered
            for path in numbered:
                served = tf.saved_model.load(path).signatures["generate_png"]
                assert len(served(seed=tf.constant([1, 2], tf.int64))["image_bytes"]) == 2
        assert unfinished >= MOMENTS / 4  # killed on the way
        start(base)
        wait_for(pathlib.Path(f"{base}.ended"))
        assert len([path for path in base.glob("*") if path.name.isdecimal()]) >= 1
