"""What others wrote reads every family's export: the C API, TensorFlow's command, OpenVINO."""

import hashlib
import pathlib
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import kerasgen

FAMILIES = ("dcgan", "autoencoder", "convlstm")


def make(family):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (16, 16, 16, 3)).astype(np.uint8)
    data = kerasgen.data.load_images(pictures, image_size=16, batch_size=8)
    small = {"latent_dim": 4, "generator_filters": 4, "discriminator_filters": 4}
    if family == "dcgan":
        model = kerasgen.DCGAN((16, 16, 3), num_classes=3, residual=True, **small)
        data = data.map(lambda images: (images, tf.range(8) % 3))
    elif family == "autoencoder":
        model = kerasgen.ConvAutoencoder((16, 16, 3), latent_dim=4, filters=4, sampler="gaussian")
    else:
        model = kerasgen.ConvLSTMGenerator((16, 16, 1), filters=(8,), latent_dim=2)
        clips = rng.uniform(-1, 1, (16, 5, 16, 16, 1)).astype(np.float32)
        data = tf.data.Dataset.from_tensor_slices(clips).batch(8)
    model.compile()
    model.fit(data, epochs=2, verbose=0)
    model.prepare_to_generate(data)
    return model


def definitions(path):
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((path / "saved_model.pb").read_bytes())
    return saved.meta_graphs[0].signature_def


class Export:
    def __init__(self, family, directory):
        self.model = make(family)
        self.signatures = self.model.serving_signatures()
        self.path = kerasgen.export_for_serving(self.model, directory / family)
        self.served = tf.saved_model.load(self.path).signatures
        self.definitions = definitions(self.path)

    def answer(self, name, request):
        """The model's own."""
        inputs = (tf.constant(values) for values in request.values())
        return {k: v.numpy() for k, v in self.signatures[name](*inputs).items()}

    def ask_c_api(self, questions, folder):
        """The C API's answers to (signature, request) pairs: dicts, or an error's message."""
        requests = []
        for name, request in questions:
            definition = self.definitions[name]
            feeds = {definition.inputs[key].name: values for key, values in request.items()}
            requests.append((feeds, [tensor.name for tensor in definition.outputs.values()]))
        (folder / "requests").write_bytes(pickle.dumps(requests))
        program = pathlib.Path(__file__).with_name("c_api.py")
        command = [sys.executable, program, self.path, folder / "requests", folder / "results"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr[-3000:]
        answers = pickle.loads((folder / "results").read_bytes())
        return [
            answer
            if isinstance(answer, str)
            else dict(zip(self.definitions[name].outputs, answer, strict=True))
            for (name, _), answer in zip(questions, answers, strict=True)
        ]


@pytest.fixture(scope="module", params=FAMILIES)
def export(request, tmp_path_factory):
    return Export(request.param, tmp_path_factory.mktemp("exports"))


def assert_same(received, expected, atol=1e-6):
    assert set(received) == set(expected)
    for key, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(received[key], values, atol=atol)
        else:
            np.testing.assert_array_equal(received[key], values)


def examples(export):
    """(endpoint, request) pairs that each is to answer."""
    return [
        (name, signature.example(rows))
        for name, signature in export.signatures.items()
        for rows in (1, 3)
    ]


def refused(export):
    """(endpoint, request, words of the error) of what no endpoint takes."""
    for name, signature in export.signatures.items():
        good = signature.example(2)
        for taken in signature.inputs:
            values = good[taken.name]
            if taken.dtype == tf.string:
                wrong = np.full(values.shape, b"\x89PNG, but not really", object)
                yield name, {**good, taken.name: wrong}, "PNG|decode|image"
                half = np.array([file[: len(file) // 2] for file in values.ravel()], object)
                yield name, {**good, taken.name: half.reshape(values.shape)}, "PNG|decode|image"
            else:
                yield name, {**good, taken.name: values[..., None]}, "shape|rank"
                other = {np.float32: np.int32}.get(values.dtype.type, np.float32)
                other = {**good, taken.name: values.astype(other)}
                yield name, other, "to be .* but .* is provided"
            none = {**good, taken.name: values[:0]}
            yield name, none, "at least one row|as many rows"
            if taken.name in ("label", "horizon"):
                for value in (-1, 101):
                    wrong = np.full_like(values, value)
                    yield name, {**good, taken.name: wrong}, f"`{taken.name}` must be from"


def parts_of_seeds(export):
    """The same 64 requests, in batches of three sizes."""
    request = export.signatures["generate_png"].example(64)
    request["seed"] = np.arange(64)
    return [
        [
            {key: values[start : start + size] for key, values in request.items()}
            for start in range(0, 64, size)
        ]
        for size in (1, 7, 64)
    ]


@pytest.fixture(scope="module")
def c_api(export, tmp_path_factory):
    """The C API's answers to all of the above, by the function that asks; of one process."""
    asked = {
        examples: examples(export),
        refused: [question[:2] for question in refused(export)],
        parts_of_seeds: [
            ("generate_png", part) for parts in parts_of_seeds(export) for part in parts
        ],
    }
    answers = iter(export.ask_c_api(sum(asked.values(), []), tmp_path_factory.mktemp("c_api")))
    return {source: [next(answers) for _ in questions] for source, questions in asked.items()}


def test_the_c_api_answers_as_the_model(export, c_api):
    for (name, request), answer in zip(examples(export), c_api[examples], strict=True):
        assert not isinstance(answer, str), answer
        assert_same(answer, export.answer(name, request))


def test_what_an_endpoint_does_not_take_is_an_error_status(export, c_api):
    for (name, request, word), answer in zip(refused(export), c_api[refused], strict=True):
        assert isinstance(answer, str), (name, word, request)
        assert re.search(word, answer), (name, word, answer)


def test_one_hash_for_the_pictures_of_seeds(export, c_api):
    hashes, answers = set(), iter(c_api[parts_of_seeds])
    served = export.served["generate_png"]
    for parts in parts_of_seeds(export):
        hashes.add(digest([export.answer("generate_png", part)["image_bytes"] for part in parts]))
        files = [
            served(**{k: tf.constant(v) for k, v in part.items()})["image_bytes"].numpy()
            for part in parts
        ]
        hashes.add(digest(files))
        hashes.add(digest([next(answers)["image_bytes"] for _ in parts]))
    assert len(hashes) == 1


def digest(files):
    return hashlib.sha256(b"".join(np.concatenate(files))).hexdigest()


def test_the_command_of_tensorflow_runs_it(export, tensorflow_forks, tmp_path):
    name = next(iter(export.signatures))
    request = export.signatures[name].example(2)
    np.savez(tmp_path / "request.npz", **request)
    inputs = ";".join(f"{key}={tmp_path / 'request.npz'}[{key}]" for key in request)
    command = tensorflow_forks.start(
        "-m", "tensorflow.python.tools.saved_model_cli", "run",
        "--dir", export.path, "--tag_set", "serve", "--signature_def", name,
        "--inputs", inputs, "--outdir", tmp_path,
    )  # fmt: skip
    _, errors = command.communicate(timeout=120)
    assert command.returncode == 0, errors[-3000:]
    expected = export.answer(name, request)
    assert_same({key: np.load(tmp_path / f"{key}.npy") for key in expected}, expected)


def test_openvino_reads_the_default_endpoint(export, monkeypatch):
    # It would tell its makers of each step, from a fork of this process.
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)
    openvino = pytest.importorskip("openvino", reason="OpenVINO has no wheel for this platform")
    model = openvino.convert_model(str(export.path))
    # Left to itself it computes in bfloat16 where the processor can.
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    name, signature = next(iter(export.signatures.items()))
    request = signature.example(3)
    result = compiled(request)
    (values,) = export.answer(name, request).values()
    np.testing.assert_allclose(result[0], values, atol=1e-5)
