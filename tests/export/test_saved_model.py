"""The exported SavedModel: equal to the model, without Keras, and never half there."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasgen


@pytest.fixture(scope="module")
def model():
    model = kerasgen.DCGAN((8, 12, 3), latent_dim=4, generator_filters=4, discriminator_filters=4)
    model.compile()
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 12, 3)).astype(np.uint8)
    model.fit(
        kerasgen.data.load_images(images, image_size=(8, 12), batch_size=8), epochs=2, verbose=0
    )
    return model


LOADER = """
import sys
sys.modules["keras"] = sys.modules["kerasgen"] = None  # importing them fails
import numpy as np, tensorflow as tf
signatures = tf.saved_model.load(sys.argv[1]).signatures
latent = tf.constant(np.load(sys.argv[2]))
print(sorted(signatures))
image = signatures["serving_default"](latent=latent)["image"].numpy()
png = signatures["generate_png"](seed=tf.constant([5, 6], tf.int64))["image_bytes"].numpy()
np.savez(sys.argv[3], image=image, png=np.stack([tf.io.decode_png(p).numpy() for p in png]))
"""


def test_a_process_without_keras_gets_the_model_s_pictures(tmp_path, model):
    path = kerasgen.export_for_serving(model, tmp_path / "served")
    assert path == tmp_path / "served" / "1"
    latents = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    np.save(tmp_path / "latents.npy", latents)
    result = subprocess.run(
        [sys.executable, "-c", LOADER, path, tmp_path / "latents.npy", tmp_path / "out.npz"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "['decode', 'generate_png', 'serving_default']"
    out = np.load(tmp_path / "out.npz")
    expected = (model.ema_generator(latents, training=False).numpy() + 1) / 2
    np.testing.assert_allclose(out["image"], expected, atol=1e-6)
    assert 0 <= out["image"].min() and out["image"].max() <= 1
    for seed, png in zip((5, 6), out["png"], strict=True):
        np.testing.assert_array_equal(png, model.generate(1, seed=seed)[0])


def test_only_what_serves_is_stored(tmp_path, model):
    path = kerasgen.export_for_serving(model, tmp_path)
    stored = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    sizes = [np.prod(s) for n, s in stored.get_variable_to_shape_map().items() if "OBJECT" not in n]
    assert sum(sizes) == model.ema_generator.count_params()


def test_versions_count_up_and_are_never_overwritten(tmp_path, model):
    assert kerasgen.export_for_serving(model, tmp_path).name == "1"
    assert kerasgen.export_for_serving(model, tmp_path, version=7).name == "7"
    assert kerasgen.export_for_serving(model, tmp_path).name == "8"
    before = (tmp_path / "7" / "saved_model.pb").stat().st_mtime_ns
    with pytest.raises(FileExistsError, match="Version 7.*get 9"):
        kerasgen.export_for_serving(model, tmp_path, version=7)
    assert (tmp_path / "7" / "saved_model.pb").stat().st_mtime_ns == before
    for version in (0, -1, 1.5, "2"):
        with pytest.raises(ValueError, match="positive whole number"):
            kerasgen.export_for_serving(model, tmp_path, version=version)


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
        kerasgen.export_for_serving(model, tmp_path)
    assert list(tmp_path.iterdir()) == []
