"""The exported SavedModel: equal to the model, without Keras, and never half there."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

import kerasgen
from kerasgen.export import ExportError, export_for_serving, write_server_config
from kerasgen.signature import Signature, seeds, vectors


@pytest.fixture(scope="module")
def model():
    model = kerasgen.DCGAN((8, 12, 3), latent_dim=4, generator_filters=4, discriminator_filters=4)
    model.compile()
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 12, 3)).astype(np.uint8)
    model.fit(
        kerasgen.data.load_images(images, image_size=(8, 12), batch_size=8), epochs=2, verbose=0
    )
    return model


def export_checked_anew(model, base_dir):
    """With the check in a Python of its own, as without these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kerasgen.export.check.subprocess", subprocess)
        return export_for_serving(model, base_dir)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    return export_checked_anew(model, tmp_path_factory.mktemp("models") / "small")


class Stub:
    """Stands in for a model, with one endpoint."""

    image_shape = (8, 8, 1)
    serving_note = ""

    def __init__(self, function, taken=None, outputs=("value",)):
        self.step = tf.Variable(1)
        taken = [vectors("x", 2, "numbers")] if taken is None else taken
        self.signature = Signature(function, taken, dict.fromkeys(outputs, "a value"), "Works.")

    def serving_signatures(self):
        return {"work": self.signature}


LOADER = """
import sys
sys.modules["keras"] = sys.modules["kerasgen"] = None  # importing them fails
import numpy as np, tensorflow as tf
signatures = tf.saved_model.load(sys.argv[1]).signatures
latent = tf.constant(np.load(sys.argv[2]))
image = signatures["serving_default"](latent=latent)["image"].numpy()
png = signatures["generate_png"](seed=tf.constant([5, 6], tf.int64))["image_bytes"].numpy()
np.savez(sys.argv[3], image=image, png=np.stack([tf.io.decode_png(p).numpy() for p in png]))
"""


def test_a_process_without_keras_gets_the_model_s_pictures(tmp_path, model, exported):
    latents = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    np.save(tmp_path / "latents.npy", latents)
    result = subprocess.run(
        [sys.executable, "-c", LOADER, exported, tmp_path / "latents.npy", tmp_path / "out.npz"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    out = np.load(tmp_path / "out.npz")
    expected = (model.ema_generator(latents, training=False).numpy() + 1) / 2
    np.testing.assert_allclose(out["image"], expected, atol=1e-6)
    assert 0 <= out["image"].min() and out["image"].max() <= 1
    for seed, png in zip((5, 6), out["png"], strict=True):
        np.testing.assert_array_equal(png, model.generate(1, seed=seed)[0])


def test_only_what_serves_is_stored(model, exported):
    stored = tf.train.load_checkpoint(str(exported / "variables" / "variables"))
    sizes = [np.prod(s) for n, s in stored.get_variable_to_shape_map().items() if "OBJECT" not in n]
    assert sum(sizes) == model.ema_generator.count_params()


def test_served_latents_and_ways_are_the_model_s(model, exported):
    served = tf.saved_model.load(exported).signatures
    seed = tf.constant([3], tf.int64)
    expected = model.generate(1, seed=3, truncation=0.5)[0]
    truncation = tf.constant([0.5])
    file = served["generate_truncated_png"](seed=seed, truncation=truncation)["image_bytes"][0]
    np.testing.assert_array_equal(tf.io.decode_png(file), expected)
    path = model.interpolate(3, 8, steps=5)
    for t, expected in zip(np.linspace(0, 1, 5, dtype=np.float32), path, strict=True):
        image = served["interpolate"](start=seed, end=seed + 5, t=tf.constant([t]))["image"][0]
        np.testing.assert_allclose(image * 255, expected, atol=0.51)
    ends = np.random.default_rng(0).normal(size=(2, 1, 4)).astype(np.float32)
    start, end = map(tf.constant, ends)
    path = model.interpolate(*ends[:, 0], steps=3)
    image = served["interpolate_latents"](start=start, end=end, t=tf.constant([0.5]))["image"]
    np.testing.assert_allclose(image[0] * 255, path[1], atol=0.51)
    opposite = served["interpolate_latents"](start=start, end=-start, t=tf.constant([0.25]))
    expected = model.ema_generator(start / 2, training=False)[0]
    np.testing.assert_allclose(2 * opposite["image"][0] - 1, expected, atol=1e-5)


# === Versions ===


def test_versions_count_up_and_are_never_overwritten(tmp_path, model):
    base = tmp_path / "m"
    assert export_for_serving(model, base, version=7, warmup=False) == base / "7"
    before = (base / "7" / "saved_model.pb").stat().st_mtime_ns
    with pytest.raises(FileExistsError, match="Version 7.*get 8"):
        export_for_serving(model, base, version=7)
    assert (base / "7" / "saved_model.pb").stat().st_mtime_ns == before
    assert export_for_serving(model, base, warmup=False).name == "8"
    for version in (0, -1, 1.5, "2", True):
        with pytest.raises(ValueError, match="positive whole number"):
            export_for_serving(model, base, version=version)
    assert sorted(p.name for p in base.iterdir()) == ["7", "8", "SERVING.md", "examples"]


# === What can't be exported ===


def test_a_model_that_was_never_trained_asks_for_it(tmp_path):
    model = kerasgen.DCGAN((8, 8, 1), latent_dim=4, generator_filters=4, discriminator_filters=4)
    with pytest.raises(ValueError, match="never took a step.*`fit` first.*untrained=True"):
        export_for_serving(model, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
    assert export_for_serving(model, tmp_path / "m", untrained=True, warmup=False).is_dir()
    with pytest.raises(TypeError, match="GenerativeModel"):
        export_for_serving(keras.Sequential([keras.layers.Dense(1)]), tmp_path)


def test_an_autoencoder_without_sampler_says_that_it_does_not_generate(tmp_path):
    model = kerasgen.ConvAutoencoder((8, 8, 1), latent_dim=2, filters=2)
    with pytest.warns(UserWarning, match="no sampler was fitted"):
        path = export_for_serving(model, tmp_path / "m", untrained=True, warmup=False)
    assert "generate_png" not in tf.saved_model.load(path).signatures
    assert "no sampler was fitted" in (tmp_path / "m" / "SERVING.md").read_text()


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "No space left on device"),
    ],
)
def test_a_failing_export_leaves_nothing(tmp_path, model, monkeypatch, error):
    class FailingArchive:
        def add_endpoint(self, *endpoint):
            pass

        def write_out(self, path, verbose):
            path.mkdir()
            (path / "saved_model.pb").write_bytes(b"half")
            raise error

    monkeypatch.setattr(keras.export, "ExportArchive", FailingArchive)
    with pytest.raises(OSError, match="No space"):
        export_for_serving(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_can_not_be_written(tmp_path, model):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError):
        export_for_serving(model, tmp_path / "file" / "m")
    assert (tmp_path / "file").read_text() == "mine"


def calls_python(x):
    value = tf.py_function(lambda x: x + 1, [x], tf.float32)
    return {"value": tf.ensure_shape(value, (None, 2))}


def needs_xla(x):
    return {"value": tf.function(lambda x: x + 1, jit_compile=True)(x)}


def draws_anew(x):
    return {"value": x + tf.random.normal(tf.shape(x))}


@pytest.mark.parametrize(
    "function, reason",
    [
        (calls_python, "calls back into Python: EagerPyFunc"),
        (needs_xla, "must be compiled by XLA"),
        (draws_anew, "Output 'value' of signature 'work' isn't the model's: it differs by"),
        (lambda x: {"value": x / 0.0 * 0.0}, "NaN or infinity"),
    ],
    ids=["python", "xla", "random", "nan"],
)
def test_what_does_not_serve_is_removed_with_the_reason(tmp_path, function, reason):
    with pytest.raises(ExportError, match=reason):
        export_for_serving(Stub(function), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_of_another_picture_are_noticed(tmp_path):
    def stamped(seed):
        shade = tf.cast(tf.random.uniform((8, 8, 1), maxval=256, dtype=tf.int32), tf.uint8)
        return {"value": tf.fill(tf.shape(seed), tf.io.encode_png(shade))}

    with pytest.raises(ExportError, match="it differs by"):
        export_checked_anew(Stub(stamped, [seeds()]), tmp_path)


# === Killed: a server that watches the directory never finds half a model ===

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


# === Beside the SavedModel ===


def test_warm_up_requests_are_the_server_s_format_and_run(model, exported):
    file = exported / "assets.extra" / "tf_serving_warmup_requests"
    served = tf.saved_model.load(exported).signatures
    found = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "small"
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        outputs = served[request.model_spec.signature_name](**inputs)
        (rows,) = {values.shape[0] for values in outputs.values()}
        found.append((request.model_spec.signature_name, rows))
    assert found == [(name, rows) for name in model.serving_signatures() for rows in (1, 8)]


def test_without_the_stubs_the_export_says_what_is_left_out(tmp_path, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.warns(UserWarning, match=r"no warm-up.*kerasgen\[serving\]"):
        path = export_for_serving(model, tmp_path / "m")
    assert not (path / "assets.extra").exists()


def test_the_card_says_what_each_endpoint_takes(model, exported):
    card = (exported.parent / "SERVING.md").read_text()
    assert card.startswith("# small\n\nA DCGAN of kerasgen")
    assert "Pictures have 8x12 pixels and 3 channels." in card
    for name, signature in model.serving_signatures().items():
        _, _, section = card.partition(f"\n### {name}\n")
        section = section.partition("\n### ")[0]
        assert signature.about in section
        for taken in signature.inputs:
            assert f"| in | `{taken.name}` | {taken.dtype.name} | (B" in section
        for output, about in signature.outputs.items():
            assert f"| out | `{output}` |" in section and about in section
    assert "| in | `latent` | float32 | (B, 4) |" in card
    assert "| out | `image` | float32 | (B, 8, 12, 3) | picture, values in [0, 1] |" in card


def test_a_server_s_files_name_all_models(tmp_path):
    for place in ("b/1", "b/12", "a/3", "c/next"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "saved_model.pb").write_bytes(b"")
    models, batching = write_server_config(tmp_path)
    parsed = text_format.Parse(
        models.read_text(), model_server_config_pb2.ModelServerConfig()
    ).model_config_list.config
    assert [(m.name, m.base_path, m.model_platform) for m in parsed] == [
        ("a", "/models/a", "tensorflow"),
        ("b", "/models/b", "tensorflow"),
    ]
    text = batching.read_text()
    assert "max_batch_size { value: 64 }" in text
    assert [line for line in text.splitlines() if "allowed" in line] == [
        f"allowed_batch_sizes: {size}" for size in (1, 2, 4, 8, 16, 32, 64)
    ]
    models.write_text("mine")
    assert write_server_config(tmp_path, base="/srv/") == [batching]
    assert models.read_text() == "mine"
    (tmp_path / "d").mkdir()
    with pytest.raises(ValueError, match="NAME/VERSION/saved_model.pb"):
        write_server_config(tmp_path / "d")
