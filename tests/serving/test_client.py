"""`Client`, and others' clients, against a server that keeps TF Serving's contract."""

import base64
import io
import json
import pathlib
import subprocess
import sys

import numpy as np
import ovmsclient
import pytest
import requests
from contract_server import ContractServer
from PIL import Image

import kerasgen
from kerasgen.serving import BadRequest, Client, ModelNotFound, ModelNotReady, ServingError


@pytest.fixture(scope="module")
def model():
    model = kerasgen.DCGAN(
        (16, 16, 3), latent_dim=4, generator_filters=4, discriminator_filters=4, num_classes=3
    )
    images = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3)).astype(np.uint8)
    data = kerasgen.data.load_images(images, image_size=16, batch_size=8)
    model.compile(learning_rate=0.01)
    labels = np.arange(8) % 3
    model.fit(data.map(lambda batch: (batch, labels)), epochs=30, verbose=0)
    return model


@pytest.fixture(scope="module")
def base(model, tmp_path_factory):
    base = tmp_path_factory.mktemp("models") / "garments"
    kerasgen.export_for_serving(model, base)
    return base


@pytest.fixture(scope="module")
def running(base):
    server = ContractServer({"garments": {1: base / "1"}})
    yield server
    server.close()


@pytest.fixture
def server(running):
    running.state, running.busy = "AVAILABLE", 0
    running.asked.clear()
    return running


@pytest.fixture(params=["rest", "grpc"])
def url(request, server):
    if request.param == "rest":
        return f"{server.rest_url}/v1/models/garments"
    return f"grpc://{server.grpc_url}/garments"


def test_served_pictures_are_the_model_s(model, url):
    client = Client(url)
    pictures = client.generate(70, seed=5, label=2)
    assert pictures.dtype == np.uint8 and pictures.shape == (70, 16, 16, 3)
    for i in (0, 1, 69):
        np.testing.assert_array_equal(pictures[i], model.generate(labels=[2], seed=5 + i)[0])
    labels = [0, 1, 2, 0, 1]
    by_label = client.generate(5, seed=5, label=labels)
    for i, label in enumerate(labels):
        np.testing.assert_array_equal(by_label[i], model.generate(labels=[label], seed=5 + i)[0])


def test_predict_takes_and_returns_arrays(model, url):
    client = Client(f"{url}/versions/1")
    latents = np.random.default_rng(1).normal(size=(3, 4))
    image = client.predict("decode", latent=latents, label=[0, 1, 2])["image"]
    assert image.dtype == np.float32
    expected = model([np.float32(latents), np.array([0, 1, 2])])
    np.testing.assert_allclose(2 * image - 1, expected, atol=1e-5)
    assert np.abs(image[0] - image[1]).max() > 1e-3
    default = client.predict(latent=latents, label=[0, 1, 2])["image"]
    np.testing.assert_array_equal(default, image)


def test_signatures_and_status(url):
    client = Client(url)
    assert client.status() == {1: "AVAILABLE"}
    signatures = client.signatures()
    assert set(signatures) == {
        "serving_default", "decode", "decode_png", "generate_png", "generate_truncated_png",
        "interpolate", "interpolate_latents",
    }  # fmt: skip
    assert signatures["generate_png"] == {
        "inputs": {"seed": (np.int64, (None,)), "label": (np.int32, (None,))},
        "outputs": {"image_bytes": (object, (None,))},
    }
    assert signatures["decode"]["inputs"]["latent"] == (np.float32, (None, 4))


def test_requests_that_the_model_does_not_take(url, server):
    client = Client(url)
    one = {"seed": [1], "label": [1]}
    for message, signature, inputs in (
        ("no signature 'generate'.*Did you mean 'generate_png'", "generate", {}),
        (r"`label`.*`seed`.*Received: \['seed'\]", "generate_png", {"seed": [1]}),
        (
            r"`seed` must be int64 of shape \(any\).*\(1, 1\)",
            "generate_png",
            {**one, "seed": [[1]]},
        ),
        ("`seed` must be int64.*float64", "generate_png", {**one, "seed": [1.5]}),
        ("`label` must be int32.*int64", "generate_png", {**one, "label": [2**32 + 1]}),
        (
            r"`latent` must be float32 of shape \(any, 4\).*\(1, 5\)",
            "decode",
            {"latent": np.zeros((1, 5)), "label": [0]},
        ),
        ("`label` must be from 0 to 2", "generate_png", {**one, "label": [3]}),
        ("`label` must have as many rows as `seed`", "generate_png", {**one, "seed": [1, 2]}),
        ("at least one row", "generate_png", {"seed": [], "label": np.zeros(0, np.int32)}),
        ("`truncation` must be above 0", "generate_truncated_png", {**one, "truncation": [0.0]}),
    ):
        with pytest.raises(BadRequest, match=f"(?s){message}"):
            client.predict(signature, **inputs)
    for num in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="num"):
            client.generate(num)
    with pytest.raises(ValueError, match="seed"):
        client.generate(2, seed=0.5)


def test_models_that_are_not_there(server):
    for url in (f"{server.rest_url}/v1/models/shoes", f"grpc://{server.grpc_url}/shoes"):
        with pytest.raises(ModelNotFound, match="no model 'shoes'"):
            Client(url).generate(1)
    for url in (
        f"{server.rest_url}/v1/models/garments/versions/7",
        f"grpc://{server.grpc_url}/garments/versions/7",
    ):
        with pytest.raises(ModelNotFound, match="version"):
            Client(url).generate(1)


def test_a_server_that_is_not_ready_is_asked_again(url, server, monkeypatch):
    waits = []

    def sleep(seconds):
        waits.append(round(seconds, 3))
        if len(waits) == 3:
            server.state = "AVAILABLE"

    monkeypatch.setattr("time.sleep", sleep)
    server.state = "LOADING"
    assert len(Client(url).generate(1, label=0)) == 1
    assert waits == [0.1, 0.2, 0.4]
    waits.clear()
    server.state, server.busy = "AVAILABLE", 2
    assert len(Client(url).generate(1, label=0)) == 1
    assert waits == [0.1, 0.2]
    waits.clear()
    server.state = "LOADING"
    monkeypatch.setattr("time.sleep", waits.append)
    with pytest.raises(ModelNotReady, match="loaded"):
        Client(url, retries=2).generate(1, label=0)
    assert waits == [0.1, 0.2]


def test_a_server_that_is_not_there(monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    for url in ("http://127.0.0.1:9/v1/models/x", "grpc://127.0.0.1:9/x"):
        with pytest.raises(ModelNotReady, match="reached|ready"):
            Client(url, retries=1, timeout=5).generate(1)
    assert waits == [0.1, 0.1]


def test_wrong_urls_are_named():
    for url in ("localhost:8501", "ftp://host/v1/models/a", "http://host:8501", "http://h/a/b/c"):
        with pytest.raises(ValueError, match="Received: url="):
            Client(url)
    for wrong in ({"timeout": 0}, {"retries": -1}):
        with pytest.raises(ValueError, match="Received"):
            Client("http://host/v1/models/a", **wrong)


def test_the_client_needs_neither_keras_nor_tensorflow():
    program = "import sys, kerasgen.serving; print({'keras', 'tensorflow'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_without_the_stubs_grpc_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match="kerasgen.serving"):
        Client("grpc://localhost:8500/x")


def test_an_answer_that_is_no_picture(url, server, monkeypatch):
    answer = {"image_bytes": np.array([b"nothing"], object)}
    monkeypatch.setattr(server, "run", lambda *_: answer)
    with pytest.raises(ServingError, match="isn't a picture"):
        Client(url).generate(1, label=0)


# === As documented, and by others' clients ===


def test_rows_and_columns_over_rest(model, server):
    url = f"{server.rest_url}/v1/models/garments:predict"
    body = {"signature_name": "generate_png", "instances": [{"seed": 3, "label": 1}] * 2}
    predictions = requests.post(url, json=body, timeout=60).json()["predictions"]
    body = {"signature_name": "generate_png", "inputs": {"seed": [3, 3], "label": [1, 1]}}
    outputs = requests.post(url, json=body, timeout=60).json()["outputs"]
    assert predictions == outputs and predictions[0] == predictions[1]
    file = base64.b64decode(predictions[0]["b64"])
    picture = np.asarray(Image.open(io.BytesIO(file)))
    np.testing.assert_array_equal(picture, model.generate(labels=[1], seed=3)[0])


def test_the_card_s_examples_are_requests_and_their_answers(base, server):
    url = f"{server.rest_url}/v1/models/garments:predict"
    files = sorted((base / "examples").glob("*.request.json"))
    assert {file.name.split(".")[0] for file in files} == {
        "decode", "decode_png", "generate_png", "generate_truncated_png", "interpolate",
        "interpolate_latents",
    }  # fmt: skip
    card = pathlib.Path(base, "SERVING.md").read_text()
    for file in files:
        request = json.loads(file.read_text())
        answer = requests.post(url, data=json.dumps(request), timeout=60).json()
        expected = json.loads(pathlib.Path(str(file).replace("request", "answer")).read_text())
        if isinstance(expected["outputs"][0], dict):
            assert answer == expected
        else:
            np.testing.assert_allclose(answer["outputs"], expected["outputs"], atol=1e-5)
        inline = f"'{json.dumps(request)}'"
        assert inline in card or f"@examples/{file.name}" in card
    python = card.split("```python")[-1].split("```")[0].replace("localhost:8500", server.grpc_url)
    found = {}
    exec(python.replace('answer["image_bytes"]', 'found = answer["image_bytes"]'), found)
    assert found["found"][:4] == b"\x89PNG"


def test_ovmsclient_gets_the_same(model, server):
    rest = ovmsclient.make_http_client(server.rest_url.removeprefix("http://"))
    grpc = ovmsclient.make_grpc_client(server.grpc_url)
    latents = np.random.default_rng(2).normal(size=(2, 4)).astype(np.float32)
    inputs = {"latent": latents, "label": np.array([0, 2], np.int32)}
    expected = (model([latents, inputs["label"]]).numpy() + 1) / 2
    for client in (rest, grpc):
        status = client.get_model_status("garments")
        assert status[1]["state"] == "AVAILABLE"
        result = client.predict(inputs, "garments")
        np.testing.assert_allclose(result, expected, atol=1e-5)
    # (Over REST it expects other names of the metadata than TF Serving's documentation has.)
    metadata = grpc.get_model_metadata("garments")
    assert metadata["inputs"]["latent"] == {"shape": [-1, 4], "dtype": "DT_FLOAT"}
