"""What a training shows on its way: on a terminal, elsewhere, and with `--verbose`."""

import os
import pty
import re
import subprocess
import sys
import types

import pytest

from kerasgen.cli import progress

TINY = ["--set", "generator_filters=4", "--set", "discriminator_filters=4", "--set", "latent_dim=8"]
DIGITS = ["train", "dcgan", "--data", "digits", "--image-size", "8", "--batch-size", "256", *TINY]
DIGITS += ["--no-report"]


@pytest.fixture
def shown(monkeypatch):
    """A `Progress` of 4 epochs of 5 steps, whose clock the test sets."""
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)

    def make(limit=None):
        callback = progress.Progress(10, "pictures", limit)
        callback.set_params({"epochs": 4, "steps": 5})
        callback.on_train_begin()
        return callback

    def step(callback, batch, seconds, **logs):
        callback.on_train_batch_begin(batch)
        clock.now += seconds
        callback.on_train_batch_end(batch, logs)

    return types.SimpleNamespace(make=make, step=step, clock=clock)


def test_speed_and_time_left_leave_out_the_first_step_s_tracing(shown):
    callback = shown.make()
    callback.on_epoch_begin(0)
    shown.step(callback, 0, 60)
    assert callback.line() == "Epoch 1/4 [####................] 1/5"
    shown.step(callback, 1, 2, loss=0.5)
    expected = "Epoch 1/4 [########............] 2/5  5 pictures/s  0:36 left  loss 0.5"
    assert callback.line() == expected  # 18 steps of 2 s are ahead
    shown.clock.now += 10  # an evaluation: no time of steps, but time until the end
    shown.step(callback, 2, 2)
    assert "5 pictures/s  1:59 left" in callback.line()  # 17 steps of (2 + 10 + 2) / 2 s


def test_what_was_resumed_counts_from_there(shown):
    callback = shown.make()
    callback.on_epoch_begin(2)
    shown.step(callback, 2, 60)
    shown.step(callback, 3, 2)
    assert callback.line().startswith("Epoch 3/4 [################....] 4/5")
    assert "0:12 left" in callback.line()


def test_a_limit_in_minutes_says_what_is_left_and_no_number_of_epochs(shown):
    callback = shown.make(types.SimpleNamespace(seconds_left=3725.0))
    callback.on_epoch_begin(6)
    shown.step(callback, 0, 1)
    assert callback.line() == "Epoch 7 [####................] 1/5  1:02:05 left"


def test_values_come_best_first_and_as_many_as_fit(shown):
    callback = shown.make()
    callback.on_epoch_begin(0)
    shown.step(callback, 0, 1)
    logs = {"fake_score": 0.5, "generator_loss": 1.23456}
    callback.on_epoch_end(0, logs)
    logs["fd"] = 0.125  # by a later callback
    start = "Epoch 1/4 [####................] 1/5"
    assert callback.line() == f"{start}  fd 0.125  generator_loss 1.235  fake_score 0.5"
    assert callback.line(columns=50) == f"{start}  fd 0.125"


def test_verbose_leaves_a_line_of_each_epoch_and_tensorboard_its_files(run, tmp_path):
    arguments = ("--epochs", 2, "--verbose", "--tensorboard", "--out", "run")
    code, out, error = run(*DIGITS, *arguments)
    assert code == 0, error
    lines = [line for line in out.splitlines() if line.startswith("Epoch")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    for line in lines:
        assert "7/7" in line and "pictures/s" in line and "\r" not in line
        for name in ("fd", "generator_loss", "discriminator_loss", "diversity"):
            assert re.search(rf"\b{name} [\d.e-]+", line)
    for part in ("train", "samples"):
        assert list((tmp_path / "run" / "tensorboard" / part).glob("events.out.*"))


def test_on_a_terminal_one_line_is_redrawn(tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "kerasgen.cli", *DIGITS, "--epochs", "3", "--no-evaluate"]
    child = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "120"},
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # the other side has closed
        pass
    assert child.wait(timeout=60) == 0
    text = shown.decode().replace("\r\n", "\n")
    (line,) = [line for line in text.split("\n") if "Epoch" in line]
    drawn = [part.replace("\033[K", "") for part in line.split("\r") if part]
    assert len(drawn) >= 3 and all(len(part) < 120 for part in drawn)
    assert drawn[-1].startswith("Epoch 3/3 [####################] 7/7")
    assert "pictures/s" in drawn[-1] and "discriminator_loss" in drawn[-1]
