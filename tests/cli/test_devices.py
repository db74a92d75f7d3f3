"""`kerasgen train` on several devices, and on several machines: processes here."""

import csv
import json
import os
import subprocess
import sys

import keras
import pytest
from clusters import two_machines

TRAIN = ["train", "dcgan", "--data", "digits", "--image-size", "8", "--batch-size", "256"]
TRAIN += ["--set", "generator_filters=4", "--set", "discriminator_filters=4", "--epochs", "2"]
WORKERS = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def end(process):
    out, errors = process.communicate(timeout=600)
    return process.returncode, out, errors


@pytest.fixture
def on_machines(forks):
    """Runs a command on two machines; gives exit code, output and error text of each."""

    def call(*arguments):
        environments = [{**ENVIRONMENT, "TF_CONFIG": config} for config in two_machines()]
        started = [forks.start("-m", "kerasgen.cli", *arguments, env=e) for e in environments]
        return map(end, started)

    return call


def test_a_batch_is_shared_by_devices(tmp_path):
    run = tmp_path / "run"
    options = [*TRAIN, "--devices", "2", "--no-report", "--out", run]
    result = subprocess.run(
        [sys.executable, "-m", "kerasgen.cli", *options],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    assert "the processor stands for 2 devices" in result.stdout
    assert int(keras.saving.load_model(run / "model.keras").step) == 2 * (1797 // 256)


def test_machines_train_into_one_run_and_refuse_together(on_machines, tmp_path):
    run = tmp_path / "run"
    (code, out, errors), (second_code, second_out, second_errors) = on_machines(
        *TRAIN, "--out", run
    )
    assert code == 0 and second_code == 0, errors + second_errors
    assert "Trained 14 steps" in out and second_out == ""
    with open(run / "history.csv") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]
    assert len((run / "evaluations.jsonl").read_text().splitlines()) == 2
    assert {path.name for path in run.iterdir()} == {
        ".lock",
        "config.json",
        "evaluations.jsonl",
        "history.csv",
        "model.keras",
        "report",
        "report.html",
        "samples",
        "saved_model",
    }
    # The same once more: the run has ended.
    (code, _, errors), (second_code, _, second_errors) = on_machines(*TRAIN, "--out", run)
    assert code == 2 and "has ended, which is never overwritten" in errors
    assert second_code == 2 and "The chief refused to begin" in second_errors


@pytest.mark.parametrize(
    "arguments, config, words",
    [
        (["--devices", "0"], None, "at least 1"),
        (["--devices", "300"], None, "`--batch-size` must be at least 300"),
        (["--devices", "2", "--out", "run"], WORKERS, "TF_CONFIG names several"),
        ([], WORKERS, "need `--out`"),
        (["--data-service", "grpc://a:1"], WORKERS, "is for one machine"),
        ([], "{", "TF_CONFIG must be JSON such as"),
        ([], {**WORKERS, "task": {"type": "worker", "index": 2}}, "IndexError"),
        ([], {**WORKERS, "cluster": {"ps": ["a:1"]}}, "of the kinds"),
        (["--data-service", "localhost"], None, "grpc://10.0.0.2:5050"),
    ],
)
def test_bad_input(run, tmp_path, monkeypatch, arguments, config, words):
    if config is not None:
        text = config if isinstance(config, str) else json.dumps(config)
        monkeypatch.setenv("TF_CONFIG", text)
    code, _, errors = run(*TRAIN, *arguments)
    assert code == 2 and words in errors
    assert not any(tmp_path.rglob("config.json"))
