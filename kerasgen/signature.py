"""`Signature`: an endpoint of TF Serving that says what it takes, and refuses everything else.

What a model's `serving_signatures` are made of. Export, card, warm-up and checks know no more of a
model than this.
"""

import io
import typing

import numpy as np
import tensorflow as tf
from PIL import Image

# One row of encoded pictures.
FILE = tf.TensorSpec((), tf.string)
# A picture in [0, 1] may leave its range by what rounding on the way adds.
SLACK = 1e-3


class Input(typing.NamedTuple):
    """One tensor that an endpoint takes.

    Attributes:
        name: str.
        dtype: `tf.DType`.
        shape: tuple of ints and None, without the batch.
        about: str. Meaning, range and unit, for people.
        example: function from a number of rows to an array of as many valid ones.
        check: function from the tensor to a bool tensor and what is wrong where it is False; or
            None, where every value will do.
    """

    name: str
    dtype: tf.DType
    shape: tuple
    about: str
    example: typing.Callable
    check: typing.Callable | None = None

    @property
    def spec(self):
        """`tf.TensorSpec` with the batch first."""
        return tf.TensorSpec((None, *self.shape), self.dtype, self.name)


class Signature(typing.NamedTuple):
    """One TF Serving endpoint.

    Attributes:
        function: callable from tensors to a dict of named tensors, all with the batch first.
        inputs: list of `Input`.
        outputs: dict of an output's name -> str. Meaning, range and unit, for people.
        about: str. What the endpoint does, for people.
    """

    function: typing.Callable
    inputs: list
    outputs: dict
    about: str

    @property
    def specs(self):
        """List of `tf.TensorSpec`, one an input."""
        return [taken.spec for taken in self.inputs]

    def example(self, rows):
        """Dict of an input's name -> array of `rows` valid rows, the same at each call."""
        return {taken.name: taken.example(rows) for taken in self.inputs}

    def as_graph(self):
        """The call below as a `tf.function`."""
        # Without AutoGraph: there is no Python in it to convert.
        return tf.function(
            lambda *tensors: self(*tensors), input_signature=self.specs, autograph=False
        )

    def __call__(self, *tensors):
        """`function`, after checks that run with the graph.

        Raises:
            tf.errors.InvalidArgumentError: another shape, no row, no frame, another number of rows
                in one input than in another, or values that an input's `check` refuses.
        """
        tensors = [
            tf.ensure_shape(tensor, spec.shape)
            for tensor, spec in zip(tensors, self.specs, strict=True)
        ]
        rows = [tf.shape(tensor)[0] for tensor in tensors]
        checks = [tf.debugging.Assert(rows[0] > 0, ["Expected at least one row. Received: 0"])]
        for taken, count, tensor in zip(self.inputs, rows, tensors, strict=True):
            if count is not rows[0]:
                message = f"`{taken.name}` must have as many rows as `{self.inputs[0].name}`."
                checks.append(
                    tf.debugging.Assert(tf.equal(count, rows[0]), [message, count, rows[0]])
                )
            if None in taken.shape:
                some = tf.reduce_all(tf.shape(tensor) > 0)
                message = f"`{taken.name}` must have at least one element along each axis."
                checks.append(tf.debugging.Assert(some, [message]))
            if taken.check:
                good, message = taken.check(tensor)
                checks.append(tf.debugging.Assert(good, [f"`{taken.name}` {message}"]))
        with tf.control_dependencies(checks):
            tensors = [tf.identity(tensor) for tensor in tensors]
        return self.function(*tensors)


def in_blocks(function, *rows, size, result):
    """Calls `function` on blocks of always the same size, within a graph, and joins the results.

    So no row depends on how many came with it: convolutions and products may round differently
    for another number of rows.

    Args:
        function: callable from tensors `(size, ...)` to one tensor of as many rows.
        *rows: tensors of equally many rows, at least one.
        size: int.
        result: `tf.TensorSpec` of one row of the result.

    Returns:
        Tensor of as many rows as came in.
    """
    count = tf.shape(rows[0])[0]
    places = tf.range(count + -count % size)
    blocks = []
    for values in rows:
        padded = tf.gather(values, tf.minimum(places, count - 1))
        shape = tf.concat([[-1, size], tf.shape(values)[1:]], 0)
        blocks.append(tf.ensure_shape(tf.reshape(padded, shape), (None, size, *values.shape[1:])))
    results = tf.map_fn(
        lambda block: function(*block),
        blocks,
        fn_output_signature=tf.TensorSpec((size, *result.shape), result.dtype),
    )
    return tf.reshape(results, (-1, *result.shape))[:count]


# === Inputs that models share ===


def seeds(name="seed"):
    """Seeds of what is drawn, any int64."""
    return Input(
        name,
        tf.int64,
        (),
        "any whole number; the same seed draws the same",
        lambda rows: np.arange(7, 7 + rows, dtype=np.int64),
    )


def vectors(name, length, about):
    """Finite float32 vectors."""

    def check(values):
        return tf.reduce_all(tf.math.is_finite(values)), "must be finite: it holds NaN or infinity."

    def example(rows):
        return np.random.default_rng(0).normal(size=(rows, length)).astype(np.float32).round(3)

    return Input(name, tf.float32, (length,), about, example, check)


def labels(num_classes, name="label"):
    """Classes, int32."""
    return Input(
        name,
        tf.int32,
        (),
        f"class, from 0 to {num_classes - 1}",
        lambda rows: (np.arange(rows) % num_classes).astype(np.int32),
        _within(0, num_classes - 1),
    )


def counts(name, most, about):
    """Whole numbers from 1 to a limit, int32."""
    return Input(
        name,
        tf.int32,
        (),
        f"{about}, from 1 to {most}",
        lambda rows: np.full(rows, min(3, most), np.int32),
        _within(1, most),
    )


def fractions(name, about, above_zero=False):
    """Numbers from 0 to 1, float32."""

    def check(values):
        low = values > 0 if above_zero else values >= 0
        least = "above 0" if above_zero else "at least 0"
        return tf.reduce_all(low & (values <= 1)), f"must be {least} and at most 1."

    def example(rows):
        return np.linspace(0, 1, rows + 2, dtype=np.float32)[1:-1].round(3)

    span = "above 0 and up to 1" if above_zero else "from 0 to 1"
    return Input(name, tf.float32, (), f"{about}, {span}", example, check)


def pictures(shape, name="image", about="picture"):
    """Pictures, float32 in [0, 1]."""

    def check(values):
        inside = (values >= -SLACK) & (values <= 1 + SLACK)
        return tf.reduce_all(inside), "must lie in [0, 1]."

    def example(rows):
        return (_drawings(rows, shape) / np.float32(255)).round(3)

    return Input(name, tf.float32, tuple(shape), f"{about}, values in [0, 1]", example, check)


def pixels(shape, name="image", about="picture"):
    """Pictures, uint8."""
    about = f"{about}, values in [0, 255]"
    return Input(name, tf.uint8, tuple(shape), about, lambda rows: _drawings(rows, shape))


def files(shape, image_shape, name="image_bytes", about="picture"):
    """Encoded pictures, strings; `shape` is theirs without the batch, `image_shape` a picture's."""

    def example(rows):
        drawings = _drawings(rows, (*shape, *image_shape)).reshape(-1, *image_shape)
        encoded = np.array([_png(drawing) for drawing in drawings], object)
        return encoded.reshape(rows, *(side or FEW for side in shape))

    about = f"{about}, as a PNG or JPEG file of any size, cropped and resized to fit"
    return Input(name, tf.string, tuple(shape), about, example)


# Examples of sequences have so many steps.
FEW = 2


def _within(least, most):
    def check(values):
        inside = (values >= least) & (values <= most)
        return tf.reduce_all(inside), f"must be from {least} to {most}."

    return check


def _drawings(rows, shape):
    """Slopes of light, uint8 `(rows, *shape)`: each row and step of its own direction."""
    *steps, height, width, channels = (side or FEW for side in shape)
    count = rows * int(np.prod(steps, dtype=int))
    angles = np.arange(count)[:, None, None] * 0.7
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    slopes = (2 + np.cos(angles) * x + np.sin(angles) * y) / 4 * 255
    drawings = np.repeat(slopes[..., None], channels, -1).astype(np.uint8)
    return drawings.reshape(rows, *steps, height, width, channels)


def _png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()
