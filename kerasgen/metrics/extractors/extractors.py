"""Which extractors there are: the shipped one, `keras.applications`, own models, the 2015 graph."""

import functools
import importlib
import pathlib
import pkgutil
import re
import socket

import keras
import numpy as np
import tensorflow as tf

from kerasgen.metrics.extractors.extractor import FeatureExtractor
from kerasgen.metrics.extractors.fashion_cnn import SIDE, WEIGHTS, build_fashion_cnn
from kerasgen.names import nearest

SHIPPED = "fashion-cnn"
_CONNECT_SECONDS = 5
_NAMED = re.compile(r'(?<!"DTypePolicy", "config": {)"name": "([^"]+)"')
_INCEPTION_SIDE = 299
_INCEPTION_INPUT, _INCEPTION_FEATURES = "Mul", "pool_3"
_INCEPTION_LOGITS = ("softmax/logits", "logits")  # the name differs between its two files


def get_extractor(extractor=SHIPPED, image_size=None):
    """Finds a feature extractor.

    Args:
        extractor: one of
            - `"fashion-cnn"`: 128 features of a small classifier of Fashion-MNIST at 32x32 that
              ships with the package and sees grey pictures;
            - the name of a `keras.applications` model, such as `"MobileNetV2"`: its globally
              averaged features, with ImageNet weights from where Keras gets them;
            - the path of the frozen Inception graph of 2015-12-05, a `.pb` file: its 2,048
              features behind `pool_3`, the only ones in which a distance may be called FID;
            - a `keras.Model` from float32 pictures in [-1, 1] to features `(B, dim)`;
            - a `FeatureExtractor`, which is returned as it is.
            Defaults to "fashion-cnn".
        image_size: int, tuple of 2 ints, or None. What `keras.applications` models and models
            of any input size see. Defaults to None: the model's own, or 96.

    Returns:
        A `FeatureExtractor`.

    Raises:
        ValueError: an unknown name, or a model whose output is no feature vector.
        FileNotFoundError: a `.pb` file that isn't there.
        OSError: weights that Keras can't download.
    """
    if isinstance(extractor, FeatureExtractor):
        return extractor
    if isinstance(extractor, keras.Model):
        return _from_model(extractor, extractor.name, image_size, facts=[_architecture(extractor)])
    if not isinstance(extractor, (str, pathlib.Path)):
        raise TypeError(
            "Expected the name of an extractor, a keras.Model, or a FeatureExtractor. "
            f"Received: extractor={extractor!r}"
        )
    if str(extractor).endswith(".pb"):
        found = _inception_graph(pathlib.Path(extractor).expanduser())
    elif extractor == SHIPPED:
        found = _shipped()
    else:
        found = _application(str(extractor), image_size)
        if image_size is not None:  # the name alone doesn't say it
            return found
    found.source = str(extractor)
    return found


@functools.cache
def _shipped():
    network = build_fashion_cnn()
    network.load_weights(WEIGHTS)
    return _from_model(keras.Model(network.input, network.output[0]), SHIPPED, SIDE)


def _from_model(model, name, image_size, prepare=None, facts=()):
    """An extractor out of a Keras model whose pictures `prepare` makes from [-1, 1]."""
    shape, output_shape = (getattr(model, f"{end}put_shape", None) for end in ("in", "out"))
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] not in (1, 3, None):
        raise ValueError(
            "A feature extractor must be a built model of one input, grey or colour pictures "
            f"(B, H, W, 1 or 3). Received: input_shape={shape}"
        )
    height, width, channels = shape[1:]
    if image_size is None:
        image_size = (height or 96, width or 96)
    elif isinstance(image_size, (int, np.integer)):
        image_size = (image_size, image_size)
    if not isinstance(output_shape, tuple) or len(output_shape) != 2:
        raise ValueError(
            "A feature extractor must give one vector a picture, (B, features): end it with "
            f"GlobalAveragePooling2D or Flatten. Received: output_shape={output_shape}"
        )

    def features(images):
        return model(images if prepare is None else prepare(images), training=False)

    weights = [*(v.numpy() for v in model.variables), *facts]
    return FeatureExtractor(features, name, weights, image_size, channels or 3)


def _architecture(model):
    """What a model computes with its weights, as bytes; layers by number, not by name."""
    try:
        text = model.to_json()
    except (NotImplementedError, TypeError, ValueError):  # layers that can't be saved
        text = repr([type(layer).__name__ for layer in model.layers])
    for number, name in enumerate(dict.fromkeys(_NAMED.findall(text))):
        text = text.replace(f'"{name}"', f'"{number}"')
    return np.frombuffer(text.encode(), np.uint8)


def _application(name, image_size):
    build, module = _applications().get(name, (None, None))
    if build is None:
        names = [SHIPPED, *sorted(_applications())]
        raise ValueError(
            f"There is no extractor of that name.{nearest(name, names)} Use {SHIPPED!r} (ships "
            "with the package), the name of a keras.applications model, a keras.Model, or the "
            f"path of an Inception graph. Received: extractor={name!r}"
        )
    side = 96 if image_size is None else image_size
    height, width = side if isinstance(side, (tuple, list)) else (side, side)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_CONNECT_SECONDS)
    try:
        model = build(
            include_top=False,
            weights="imagenet",
            input_shape=(height, width, 3),
            pooling="avg",
        )
    except Exception as error:  # of several kinds, and plain ones
        if isinstance(error, ValueError):  # a size that the network can't take
            raise
        raise OSError(
            f"The weights of keras.applications.{name} are not on this machine, and can't be "
            f"downloaded ({error}). Use {SHIPPED!r}, which ships with the package, or put the "
            f"weights into Keras' cache. Received: extractor={name!r}"
        ) from None
    finally:
        socket.setdefaulttimeout(before)
    prepare = lambda images: module.preprocess_input((images + 1) * 127.5)  # noqa: E731
    return _from_model(model, name, (height, width), prepare)


@functools.cache
def _applications():
    """Dict of name -> constructor and the module with its `preprocess_input`."""
    found = {}
    for info in pkgutil.iter_modules(keras.applications.__path__):
        module = importlib.import_module(f"{keras.applications.__name__}.{info.name}")
        if hasattr(module, "preprocess_input"):
            for name, value in vars(module).items():
                if callable(value) and name[0].isupper():
                    found[name] = (value, module)
    return found


class _InceptionExtractor(FeatureExtractor):
    distance_name = "FID"


def _inception_graph(path):
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {str(path)!r}. Give the frozen Inception graph of 2015-12-05 "
            "(classify_image_graph_def.pb or inceptionv1_for_inception_score.pb), or "
            f"{SHIPPED!r}."
        )
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except Exception:
        raise ValueError(f"Not a TensorFlow graph. Received: extractor={str(path)!r}") from None
    names = {node.name for node in graph.node}
    logits_name = next((name for name in _INCEPTION_LOGITS if name in names), None)
    missing = {_INCEPTION_INPUT, _INCEPTION_FEATURES} - names
    if missing or logits_name is None:
        raise ValueError(
            "This is not the Inception graph of 2015-12-05: it has no nodes "
            f"{', '.join(sorted(missing) or _INCEPTION_LOGITS[:1])}. "
            f"Received: extractor={str(path)!r}"
        )
    run = _inception_session(graph, [_INCEPTION_FEATURES, logits_name])
    sizes = [values.shape[-1] for values in run(np.zeros((1, _INCEPTION_SIDE, _INCEPTION_SIDE, 3)))]
    if sizes != [2048, 1008]:
        raise ValueError(
            "This is not the Inception graph of 2015-12-05, which has 2048 features and 1008 "
            f"logits. Received: {sizes[0]} and {sizes[1]} in {str(path)!r}"
        )

    def features(images):
        # The graph's own scaling is (pixel - 128) / 128.
        scaled = ((images + 1) * 127.5 - 128) / 128
        pooled = tf.numpy_function(lambda batch: run(batch, 1)[0], [scaled], tf.float32)
        return tf.reshape(pooled, (-1, 2048))

    return _InceptionExtractor(
        features,
        "inception-2015",
        [np.frombuffer(path.read_bytes(), np.uint8)],
        (_INCEPTION_SIDE, _INCEPTION_SIDE),
        3,
        resize=_resize_as_in_2015,
        resize_name=" by TF1 bilinear",
    )


def _inception_session(graph, names):
    """A callable that runs the graph on scaled pictures and gives the first of the named nodes.

    In a session, since a `tf.function` refuses the graph's operations of before 2016. The graph's
    own input is a single picture; what comes behind the features may only take one at a time.
    """
    with tf.Graph().as_default() as own:
        shape = (None, _INCEPTION_SIDE, _INCEPTION_SIDE, 3)
        images = tf.compat.v1.placeholder(tf.float32, shape)
        nodes = tf.graph_util.import_graph_def(
            graph,
            input_map={f"{_INCEPTION_INPUT}:0": images},
            return_elements=[f"{name}:0" for name in names],
            name="",
        )
        session = tf.compat.v1.Session(graph=own)
    return lambda batch, count=None: session.run(nodes[:count], {images: batch})


def _resize_as_in_2015(images, size):
    # Neither with corners aligned nor with half-pixel centres, as these were unknown in 2015.
    return tf.raw_ops.ResizeBilinear(images=images, size=size)
