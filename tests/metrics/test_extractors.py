"""Features against closed forms, models called by hand, and a graph of 2015 made by hand."""

import functools
import re
import socket
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image, ImageDraw

import kerasgen
from kerasgen.metrics import FeatureExtractor, get_extractor, nearest_neighbours
from kerasgen.metrics.extractors import extractors as extractors_module
from kerasgen.metrics.extractors.fashion_cnn import CLASSES, WEIGHTS, build_fashion_cnn
from kerasgen.pixels import to_float

LUMA = np.float32([0.299, 0.587, 0.114])


def noise(count=4, height=32, width=32, channels=1, seed=0):
    shape = (count, height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def fashion():
    return get_extractor()


@pytest.fixture(scope="module")
def digits():
    """Pictures of digits at 32x32 and their labels."""
    dataset = kerasgen.data.load_images(
        "digits", image_size=32, labels=True, shuffle=False, drop_remainder=False
    )
    return kerasgen.data.collect_images(dataset)


def pooling_model(channels=3, name="means", scale=1.0, activation=None):
    """Features that can be told: the channels' means, or those of a scaled activation."""
    image = keras.Input((None, None, channels))
    kernel = scale * np.eye(channels)[None, None]
    scaled = layers.Conv2D(
        channels, 1, kernel_initializer=keras.initializers.Constant(kernel), activation=activation
    )(image)
    return keras.Model(image, layers.GlobalAveragePooling2D()(scaled), name=name)


# Features


def test_features_do_not_depend_on_the_company(fashion, digits):
    # A row's place in its batch may change how a processor's kernels add up: a rounding.
    assert_equal = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    images = digits[0][:300]
    everything = fashion(images)
    assert everything.shape == (300, 128) and everything.dtype == np.float32
    for count in (1, 127, 128, 129):
        assert_equal(fashion(images[:count]), everything[:count])
    for index in (0, 127, 128, 299):
        alone = images[index : index + 1]
        assert_equal(fashion(alone)[0], everything[index])
        among_noise = np.concatenate([noise(100), alone, noise(30)])
        assert_equal(fashion(among_noise)[100], everything[index])
    order = np.random.default_rng(0).permutation(300)
    assert_equal(fashion(images[order]), everything[order])


@pytest.mark.parametrize(("channels", "side"), [(1, 32), (1, 20), (2, 32), (3, 20), (4, 32)])
@pytest.mark.filterwarnings("ignore:fashion-cnn")
def test_bytes_and_floats_have_equal_features(fashion, channels, side):
    images = noise(3, side, side, channels)
    floats = to_float(images)
    np.testing.assert_array_equal(fashion(images), fashion(floats))
    np.testing.assert_array_equal(fashion(images), fashion(floats.numpy().astype(np.float64)))


def test_features_are_the_classifier_s_called_by_hand(fashion, digits):
    network = build_fashion_cnn()
    network.load_weights(WEIGHTS)
    images = digits[0][:50]
    by_hand = network(images / np.float32(127.5) - 1, training=False)[0]
    np.testing.assert_allclose(fashion(images), by_hand, atol=1e-5)


# Ids


def test_id_names_weights_and_size(fashion):
    assert re.fullmatch(r"fashion-cnn-[0-9a-f]{6}, 32px", fashion.id)
    assert get_extractor("fashion-cnn").id == fashion.id
    assert get_extractor(fashion) is fashion
    ids = [get_extractor(pooling_model(scale=scale), 16).id for scale in (1.0, 1.0, 2.0)]
    assert re.fullmatch(r"means-[0-9a-f]{6}, 16px", ids[0])
    assert ids[0] == ids[1] != ids[2]
    assert get_extractor(pooling_model(), (16, 24)).id.endswith(", 16x24px")


def test_id_differs_where_equal_weights_mean_other_features():
    """Kept features are found by the id."""
    models = [pooling_model(activation=activation) for activation in (None, "relu", "relu")]
    for pooling in (layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D):
        image = keras.Input((8, 8, 3))
        models.append(keras.Model(image, pooling()(image), name="means"))
    linear, relu, again, maximum, mean = (get_extractor(model, 8).id for model in models)
    assert relu == again
    assert len({linear, relu, maximum, mean}) == 4


# Channels


def test_colour_becomes_luma_and_is_told_once_a_kind():
    extractor = get_extractor(pooling_model(1, "grey"), 8)
    colour = noise(5, 8, 8, 3)
    with pytest.warns(UserWarning) as caught:
        features = extractor(colour)
    told = [str(warning.message) for warning in caught if "sees" in str(warning.message)]
    assert len(told) == 1
    assert re.search(r"grey-\w{6}, 8px sees grey pictures: these are colour ", told[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = extractor(colour)  # not a second time
        extractor(noise(2, 8, 8, 1))  # nothing to tell
    np.testing.assert_array_equal(features, again)
    luma = to_float(colour).numpy() @ LUMA
    np.testing.assert_array_equal(features, extractor(luma[..., None]))
    np.testing.assert_allclose(features[:, 0], luma.mean((1, 2)), atol=1e-6)
    with pytest.warns(UserWarning, match="grey pictures: these are colour and alpha"):
        extractor(noise(2, 8, 8, 4))


@pytest.mark.filterwarnings("ignore:.*are converted for it")
def test_alpha_is_laid_over_white():
    rgba = noise(4, 8, 8, 4)
    opacity = rgba[..., 3:] / 255
    over_white = (rgba[..., :3] * opacity + 255 * (1 - opacity)) / 127.5 - 1
    for channels, seen in ((3, over_white), (1, (over_white @ LUMA)[..., None])):
        features = get_extractor(pooling_model(channels), 8)(rgba)
        np.testing.assert_allclose(features, seen.mean((1, 2)), atol=1e-5)
    transparent = rgba.copy()
    transparent[..., 3] = 0
    features = get_extractor(pooling_model(), 8)(transparent)
    np.testing.assert_allclose(features, np.ones((4, 3)), atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*are converted for it")
def test_grey_becomes_equal_channels():
    grey = noise(4, 8, 8, 1)
    features = get_extractor(pooling_model(), 8)(grey)
    means = (grey / 127.5 - 1).mean((1, 2))
    np.testing.assert_allclose(features, means.repeat(3, 1), atol=1e-6)


# Sizes


def test_enlarged_pictures_have_nearly_the_same_features(fashion, digits):
    images = digits[0][:100]
    features = fashion(images)
    enlarged = fashion(images.repeat(2, 1).repeat(2, 2))
    distances = np.linalg.norm(features - enlarged, axis=1)
    to_another, _ = nearest_neighbours(features, features, 2)
    assert (distances < 0.5 * to_another[:, 1]).mean() > 0.95
    # Every pixel another one's average of four equal ones: only the filter's tails differ.
    np.testing.assert_allclose(distances, 0, atol=0.3 * np.median(to_another[:, 1]))


def test_shrinking_is_anti_aliased(fashion):
    rows, columns = np.mgrid[:64, :64]
    checkerboard = np.where((rows + columns) % 2, 255, 0).astype(np.uint8)
    stripes = np.where(columns % 2, 255, 0).astype(np.uint8)
    flat = fashion(np.full((1, 32, 32, 1), 128, np.uint8))
    for fine, share in ((checkerboard, 0.02), (stripes, 0.5)):  # stripes end at the border
        distance = np.linalg.norm(fashion(fine[None, ..., None]) - flat)
        subsampled = [fine[::2, start::2][None, ..., None] for start in (0, 1)]  # black or white
        assert distance < share * min(np.linalg.norm(fashion(part) - flat) for part in subsampled)


def test_thin_lines_shrink_to_their_share_of_the_light(fashion):
    """Without anti-aliasing they would lie between the four pixels that a bicubic filter sees."""
    lines = np.where(np.arange(256) % 8 == 0, 255, 0).astype(np.uint8)
    lines = np.broadcast_to(lines[None, :, None], (1, 256, 256, 1))
    flat = fashion(np.full((1, 32, 32, 1), 32, np.uint8))
    aliased = tf.image.resize(lines, (32, 32), "bicubic").numpy().round().astype(np.uint8)
    distances = [np.linalg.norm(fashion(picture) - flat) for picture in (lines, aliased)]
    assert distances[0] < 0.3 * distances[1]


def test_resized_pictures_keep_their_mean_and_range():
    extractor = get_extractor(pooling_model(), (12, 20))
    images = noise(3, 60, 100, 3).repeat(2, 1)
    means = (images / 127.5 - 1).mean((1, 2))
    np.testing.assert_allclose(extractor(images), means, atol=0.01)
    # Bicubic filters overshoot at edges, and what they overshoot by is cut off.
    image = keras.Input((24, 24, 1))
    largest = keras.Model(image, layers.GlobalMaxPooling2D()(image))
    edge = np.zeros((1, 10, 10, 1), np.uint8)
    edge[:, :, 5:] = 255
    assert get_extractor(largest)(edge)[0, 0] == 1


# Models of the user


def test_features_of_a_model_are_its_outputs():
    images = noise(5, 16, 16, 3)
    means = (images / 127.5 - 1).mean((1, 2))
    extractor = get_extractor(pooling_model(scale=-3.0), 16)
    assert isinstance(extractor, FeatureExtractor) and extractor.dim == 3
    assert extractor.distance_name == "FD"
    np.testing.assert_allclose(extractor(images), -3 * means, atol=1e-5)


def test_a_model_is_used_as_at_inference():
    image = keras.Input((8, 8, 1))
    x = layers.Dropout(0.5)(layers.BatchNormalization(epsilon=0.0)(image))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(x))
    model.layers[1].set_weights([np.ones(1), np.zeros(1), np.full(1, 0.5), np.full(1, 4.0)])
    images = noise(3, 8, 8, 1)
    means = (images / 127.5 - 1).mean((1, 2))
    np.testing.assert_allclose(get_extractor(model)(images), (means - 0.5) / 2, atol=1e-6)


def unbuilt():
    return keras.Sequential([layers.GlobalAveragePooling2D()])


def two_outputs():
    image = keras.Input((8, 8, 1))
    pooled = layers.GlobalAveragePooling2D()(image)
    return keras.Model(image, [pooled, pooled])


def of(shape, *model_layers):
    return keras.Sequential([keras.Input(shape), *model_layers])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of((8, 8, 1), layers.Conv2D(2, 3)), r"GlobalAveragePooling2D.*\(None, 6, 6, 2\)"),
        (two_outputs, r"one vector a picture.*output_shape=\["),
        (unbuilt, "built model of one input.*input_shape=None"),
        (lambda: of((8,), layers.Dense(2)), r"pictures.*input_shape=\(None, 8\)"),
        (lambda: of((8, 8, 5), layers.Flatten()), r"1 or 3.*input_shape=\(None, 8, 8, 5\)"),
    ],
)
def test_models_without_a_vector_a_picture_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        get_extractor(build())


# keras.applications


def test_application_is_the_model_with_its_own_preprocessing(monkeypatch):
    """What stands in for ImageNet weights are the constructor's random ones."""
    constructor, module = extractors_module._applications()["MobileNet"]
    asked, built = [], []

    def without_download(weights, **options):
        asked.append((weights, options))
        built.append(constructor(weights=None, **options))
        return built[-1]

    table = extractors_module._applications()
    monkeypatch.setitem(table, "MobileNet", (without_download, module))
    extractor = get_extractor("MobileNet", image_size=32)
    assert asked[0][0] == "imagenet" and asked[0][1]["input_shape"] == (32, 32, 3)
    assert re.fullmatch(r"MobileNet-[0-9a-f]{6}, 32px", extractor.id)
    images = noise(3, 48, 40, 3)
    resized = tf.image.resize(images, (32, 32), "bicubic", antialias=True)
    inputs = keras.applications.mobilenet.preprocess_input(np.clip(resized, 0, 255))
    by_hand = built[0](inputs, training=False)
    assert np.std(by_hand) > 0
    np.testing.assert_allclose(extractor(images), by_hand, rtol=1e-3, atol=1e-5)


def test_preprocessing_that_reorders_the_channels(monkeypatch):
    """VGG16 sees blue first, less ImageNet's means, of pixels up to 255."""
    _, module = extractors_module._applications()["VGG16"]
    table = extractors_module._applications()

    def means(input_shape, **options):
        image = keras.Input(input_shape)
        return keras.Model(image, layers.GlobalAveragePooling2D()(image))

    monkeypatch.setitem(table, "VGG16", (means, module))
    images = noise(3, 96, 96, 3)
    expected = images.mean((1, 2))[:, ::-1] - [103.939, 116.779, 123.68]
    extractor = get_extractor("VGG16")
    assert extractor.id.endswith(", 96px")
    np.testing.assert_allclose(extractor(images), expected, atol=0.01)


def test_failed_download_names_the_shipped_extractor(monkeypatch):
    table = extractors_module._applications()
    timeouts = []

    def fail(**options):
        timeouts.append(socket.getdefaulttimeout())
        raise Exception("URL fetch failure on https://storage: None -- no route to host")

    monkeypatch.setitem(table, "ResNet50", (fail, table["ResNet50"][1]))
    before = socket.getdefaulttimeout()
    with pytest.raises(OSError, match="no route to host.*Use 'fashion-cnn'.*'ResNet50'"):
        get_extractor("ResNet50")
    assert timeouts[0] is not None and timeouts[0] <= 10  # nobody waits for a dead network
    assert socket.getdefaulttimeout() == before


@pytest.mark.parametrize(
    ("name", "meant"),
    [("fashion_cnn", "fashion-cnn"), ("MobilNetV2", "MobileNetV2"), ("resnet50", "ResNet50")],
)
def test_misspelt_name(name, meant):
    with pytest.raises(ValueError, match=f"Did you mean .*'{meant}'.*extractor='{name}'"):
        get_extractor(name)
    with pytest.raises(TypeError, match="extractor=7"):
        get_extractor(7)


# The graph of 2015


def write_graph(path, *, width=2048, logits="softmax/logits", one_at_a_time=True, without=()):
    """A graph with the ends of the real one: features are projections of a 2x2 average.

    The real one reads a JPEG file, has operations that were removed later, and behind the
    features takes a single picture.
    """
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(2, 2, 3, width)).astype(np.float32)
    with tf.Graph().as_default() as graph:
        if one_at_a_time:
            data = tf.compat.v1.placeholder(tf.string, (), name="DecodeJpeg/contents")
            image = tf.cast(tf.raw_ops.DecodeJpeg(contents=data, channels=3), tf.float32)
            image = tf.raw_ops.ResizeBilinear(images=image[None], size=(299, 299))
            image = tf.multiply(image - 128.0, 1 / 128, name="Mul")
        else:
            image = tf.compat.v1.placeholder(tf.float32, (None, 299, 299, 3), name="Mul")
        zeros = tf.constant(np.zeros(3, np.float32), name="zeros")
        ones = tf.constant(np.ones(3, np.float32), name="ones")
        image = tf.identity(image, name="normalise")
        pooled = tf.nn.conv2d(tf.nn.avg_pool2d(image, 149, 149, "VALID"), kernel, 1, "VALID")
        pooled = tf.identity(pooled, name="no_pool" if "pool_3" in without else "pool_3")
        flat = tf.reshape(pooled, (1 if one_at_a_time else -1, width))
        tf.matmul(flat, np.ones((width, 1008), np.float32), name=logits)
    definition = graph.as_graph_def()
    node = next(node for node in definition.node if node.name == "normalise")
    node.op = "BatchNormWithGlobalNormalization"
    del node.input[:]
    node.input.extend([image.op.inputs[0].op.name, zeros.op.name, ones.op.name] + ["zeros", "ones"])
    node.attr["variance_epsilon"].f = 0.0
    node.attr["scale_after_normalization"].b = True
    definition.versions.producer = 8
    path.write_bytes(definition.SerializeToString())
    return kernel


@pytest.mark.parametrize(
    "options", [{}, {"one_at_a_time": False, "logits": "logits"}], ids=["2015", "TF-GAN"]
)
def test_features_of_the_2015_graph(tmp_path, options):
    kernel = write_graph(tmp_path / "inception.pb", **options)
    extractor = get_extractor(tmp_path / "inception.pb")
    assert extractor.distance_name == "FID"
    assert re.fullmatch(r"inception-2015-[0-9a-f]{6}, 299px by TF1 bilinear", extractor.id)
    images = noise(3, 40, 52, 3)
    resized = tf.compat.v1.image.resize_bilinear(
        images.astype(np.float32), (299, 299), align_corners=False, half_pixel_centers=False
    )
    scaled = (resized.numpy() - 128) / 128
    quarters = scaled[:, :298, :298].reshape(3, 2, 149, 2, 149, 3).mean((2, 4))
    by_hand = np.einsum("nijc,ijcd->nd", quarters, kernel)
    np.testing.assert_allclose(extractor(images), by_hand, atol=1e-5)
    other = (tf.image.resize(images, (299, 299)).numpy() - 128) / 128  # by half pixels
    quarters = other[:, :298, :298].reshape(3, 2, 149, 2, 149, 3).mean((2, 4))
    assert np.abs(np.einsum("nijc,ijcd->nd", quarters, kernel) - by_hand).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 2047}, "2048 features and 1008 logits. Received: 2047 and 1008"),
        ({"without": ("pool_3",)}, "has no nodes pool_3. Received"),
        ({"logits": "predictions"}, "has no nodes softmax/logits. Received"),
    ],
)
def test_other_graphs_are_refused(tmp_path, options, message):
    write_graph(tmp_path / "other.pb", **options)
    with pytest.raises(ValueError, match=message):
        get_extractor(str(tmp_path / "other.pb"))


def test_files_that_are_no_graph(tmp_path):
    with pytest.raises(FileNotFoundError, match="classify_image_graph_def.pb.*'fashion-cnn'"):
        get_extractor(tmp_path / "absent.pb")
    (tmp_path / "text.pb").write_bytes(b"no graph, but a text")
    with pytest.raises(ValueError, match="Not a TensorFlow graph. Received: extractor='.*text.pb'"):
        get_extractor(tmp_path / "text.pb")
    (tmp_path / "empty.pb").touch()
    with pytest.raises(ValueError, match="has no nodes Mul, pool_3"):
        get_extractor(tmp_path / "empty.pb")


# Bad pictures


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((8, 8, 1), np.uint8), ValueError, r"shape=\(8, 8, 1\)"),
        (np.zeros((2, 8, 8, 5), np.uint8), ValueError, "1 to 4 channels"),
        (np.zeros((0, 8, 8, 1), np.uint8), ValueError, "at least one"),
        (np.zeros((1, 8, 8, 1), np.int32), TypeError, "Received: dtype=int32"),
        (np.zeros((1, 8, 8, 1), bool), TypeError, "Received: dtype=bool"),
        (np.full((1, 8, 8, 1), np.nan), ValueError, "from nan to nan"),
        (np.full((1, 8, 8, 1), np.inf), ValueError, "from inf to inf"),
        (np.full((1, 8, 8, 1), 255.0), ValueError, "from 255 to 255"),
        (np.full((1, 8, 8, 1), -1.1), ValueError, r"lie in \[-1, 1\].*from -1.1 to -1.1"),
    ],
)
def test_bad_pictures(fashion, images, error, message):
    with pytest.raises(error, match=message):
        fashion(images)


def test_one_bad_value_among_many(fashion):
    images = to_float(noise(300)).numpy()
    images[299, 31, 31, 0] = np.nan
    with pytest.raises(ValueError, match="nan"):
        fashion(images)


# What the shipped weights know


def silhouettes():
    """Garments as a child draws them."""
    outlines = {
        "Trouser": "33,2 67,2 70,98 56,98 50,30 44,98 30,98",
        "T-shirt/top": "30,8 42,5 50,12 58,5 70,8 92,28 80,42 72,34 72,97 28,97 28,34 20,42 8,28",
        "Dress": "42,2 45,2 50,10 55,2 58,2 60,35 68,98 32,98 40,35",
        "Pullover": "34,8 44,5 50,9 56,5 66,8 82,20 92,95 80,97 72,40 72,95 28,95 28,40 20,97 "
        "8,95 18,20",
        "Ankle boot": "42,10 85,8 88,85 60,85 58,80 5,86 3,72 30,55 40,40",
        "Sneaker": "2,62 30,50 50,38 70,46 95,38 98,68 2,74",
    }
    for name, outline in outlines.items():
        picture = Image.new("L", (256, 256))
        points = [tuple(2.56 * float(x) for x in point.split(",")) for point in outline.split()]
        ImageDraw.Draw(picture).polygon(points, fill=200)
        yield name, np.asarray(picture.resize((32, 32), Image.Resampling.LANCZOS))


def test_the_shipped_network_knows_garments():
    assert WEIGHTS.stat().st_size < 1.5e6
    network = build_fashion_cnn()
    network.load_weights(WEIGHTS)
    names, pictures = zip(*silhouettes(), strict=True)
    _, logits = network(to_float(np.stack(pictures)[..., None]), training=False)
    assert tuple(CLASSES[row] for row in np.argmax(logits, 1)) == names
    assert keras.ops.softmax(logits).numpy().max(1).min() > 0.5


@pytest.mark.usefixtures("one_thread")
def test_the_shipped_features_tell_digits(fashion, digits):
    """Though the network has never seen one."""
    images, labels = digits
    features = fashion(images)
    known, asked = slice(0, None, 2), slice(1, None, 2)
    _, rows = nearest_neighbours(features[asked], features[known])
    assert (labels[known][rows[:, 0]] == labels[asked]).mean() > 0.9
    inputs = np.c_[features, np.ones(len(features))]
    linear, *_ = np.linalg.lstsq(inputs[known], np.eye(10)[labels[known]])
    assert ((inputs[asked] @ linear).argmax(1) == labels[asked]).mean() > 0.95
