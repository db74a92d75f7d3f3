"""Training on several devices and machines, each a process here, equals training on one."""

import json
import os
import pathlib
import signal

import numpy as np
import pytest
from clusters import two_machines

PROGRAM = pathlib.Path(__file__).parent / "trainings.py"
NAMES = (
    "autoencoder-adam",
    "autoencoder-partial-batch",
    "autoencoder-variational",
    "autoencoder-float16",
    "convlstm-muon",
    "convlstm-clipped",
    "dcgan-adam",
    "dcgan-labels",
    "dcgan-adaptive",
)
BY_WORKERS = ("autoencoder-partial-batch", "convlstm-clipped", "dcgan-adam")


@pytest.fixture(scope="module")
def start(forks):
    def start(out, how, names, *options, **environment):
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment}
        return forks.start(PROGRAM, out, how, *names, *options, env=environment)

    return start


@pytest.fixture(scope="module")
def start_workers(start):
    """Starts a process for each directory, which train together."""

    def start_workers(outs, names, *options):
        return [
            start(out, "workers", names, *(options[number] if options else ()), TF_CONFIG=config)
            for number, (out, config) in enumerate(zip(outs, two_machines(), strict=True))
        ]

    return start_workers


def end(process):
    """Waits for a process, and returns its exit code and what it said."""
    _, errors = process.communicate(timeout=600)
    return process.returncode, errors


def must_end(*processes):
    for process in processes:
        code, errors = end(process)
        assert code == 0, errors[-3000:]


@pytest.fixture(scope="module")
def one(start, tmp_path_factory):
    out = tmp_path_factory.mktemp("one")
    must_end(start(out, "one", NAMES))
    return out


@pytest.fixture(scope="module")
def two(start, tmp_path_factory):
    out = tmp_path_factory.mktemp("two")
    must_end(start(out, "two", NAMES, "--facts"))
    return out


@pytest.fixture(scope="module")
def workers(start_workers, tmp_path_factory):
    outs = [tmp_path_factory.mktemp("worker") for _ in range(2)]
    must_end(*start_workers(outs, BY_WORKERS, ["--facts"], ["--facts"]))
    return outs


def trained(out, name):
    with np.load(out / f"{name}.npz") as arrays:
        return dict(arrays), json.loads((out / f"{name}.json").read_text())


def assert_equal_trainings(ours, theirs, name):
    (variables, logs), (expected, expected_logs) = trained(ours, name), trained(theirs, name)
    assert variables.keys() == expected.keys()
    tolerance = 1e-4 if "float16" in name else 1e-5
    for path, values in expected.items():
        np.testing.assert_allclose(variables[path], values, rtol=0, atol=tolerance, err_msg=path)
    assert logs.keys() == expected_logs.keys()
    for key, values in expected_logs.items():
        np.testing.assert_allclose(logs[key], values, rtol=1e-5, atol=tolerance, err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_two_replicas_train_as_one_device(one, two, name):
    assert_equal_trainings(two, one, name)


@pytest.mark.parametrize("name", BY_WORKERS)
def test_two_workers_train_as_one_device(one, workers, name):
    assert_equal_trainings(workers[0], one, name)


@pytest.mark.parametrize("name", BY_WORKERS)
def test_workers_have_the_same_weights_and_averages(workers, name):
    (first, first_logs), (second, second_logs) = (trained(out, name) for out in workers)
    assert {k: v.tobytes() for k, v in first.items()} == {k: v.tobytes() for k, v in second.items()}
    assert first_logs == second_logs


@pytest.mark.parametrize("how", ["two", "workers"])
def test_replicas_draw_different_noise(two, workers, how):
    facts = json.loads(((two if how == "two" else workers[0]) / "facts.json").read_text())
    first, second = np.array(facts["draws"])
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(len(first))
    assert 0.95 < first.std() < 1.05


def test_what_does_not_work_on_several_replicas_is_refused(two):
    refused = json.loads((two / "facts.json").read_text())["refused"]
    for name, message in refused.items():
        assert message.startswith("ValueError:") and name in message and "2 replicas" in message


def test_keras_still_needs_what_is_done_for_it(two, workers):
    """Where this fails, take out `for_logs` or `_maybe_symbolic_build`: Keras does it by itself."""
    failures = json.loads((workers[0] / "facts.json").read_text())["keras"]
    assert "reduction dimension" in failures["scalars"]
    assert "PerReplica" in failures["tuples"]


def test_killed_and_resumed_on_two_replicas_is_as_never_interrupted(start, tmp_path):
    name = "dcgan-adaptive"
    whole = start(tmp_path / "whole", "two", [name], "--watch", tmp_path / "a")
    broken = tmp_path / "b"
    code, _ = end(start(tmp_path / "parts", "two", [name], "--watch", broken, "--kill-at", 7))
    assert code == -signal.SIGKILL
    must_end(whole, start(tmp_path / "parts", "two", [name], "--watch", broken))
    assert_same(tmp_path / "parts", tmp_path / "whole", name)


def test_a_killed_worker_ends_all_and_all_resume(start_workers, tmp_path):
    name = "dcgan-adaptive"
    a, b = tmp_path / "a", tmp_path / "b"
    whole = start_workers([tmp_path / "whole", tmp_path / "whole-1"], [name], *[["--watch", a]] * 2)
    must_end(*whole)
    outs = [tmp_path / "parts", tmp_path / "parts-1"]
    killed = ["--watch", b, "--kill-at", 7]
    first, second = start_workers(outs, [name], ["--watch", b], killed)
    assert end(second)[0] == -signal.SIGKILL
    code, errors = end(first)
    assert code == 1 and "WorkerLost: Another machine has left the training" in errors
    must_end(*start_workers(outs, [name], *[["--watch", b]] * 2))
    assert_same(outs[0], tmp_path / "whole", name)
    assert_same(outs[1], tmp_path / "whole", name)
    # Files are the chief's alone.
    for directory in (a, b):
        assert len((directory / "evaluations.jsonl").read_text().splitlines()) == 2
        assert sorted(path.name for path in (directory / "samples").iterdir()) == [
            "samples-epoch-0001.png",
            "samples-epoch-0002.png",
            "samples-latest.png",
            "samples.gif",
        ]


def assert_same(ours, theirs, name):
    (variables, logs), (expected, expected_logs) = trained(ours, name), trained(theirs, name)
    for path, values in expected.items():
        assert variables[path].tobytes() == values.tobytes(), path
    assert logs == expected_logs
