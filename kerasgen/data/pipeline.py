"""Decoded pictures to batches: order, look-up, random crops, flips, prefetching."""

import os

import numpy as np
import tensorflow as tf

from kerasgen.pixels import to_float

AUGMENTATIONS = ("flip", "flip_vertical")


def make_pipeline(
    store,
    chosen,
    repeats,
    shape,
    batch_size,
    shuffle,
    seed,
    labels,
    augment,
    random,
    drop_remainder,
):
    """Builds the `tf.data.Dataset` of `kerasgen.data.load_images`, which describes the arguments.

    Args:
        store: `kerasgen.data.store.Store`.
        chosen: int array. Indices of the pictures to use.
        repeats: int. How often an epoch uses each.
        shape: tuple of 3 ints. Height, width and channels of what it yields.
        random: bool. Whether to take random crops.
        batch_size, shuffle, seed, labels, augment, drop_remainder: as in `load_images`.

    Returns:
        A `tf.data.Dataset` with the attribute `epoch`, an int64 `tf.Variable`.
    """
    with tf.device("CPU:0"):
        indices = np.tile(chosen, repeats)
        all_labels = tf.constant(store.labels)
        look_up = _crops(store, shape) if random else whole_pictures(store, shape)

    def load(batch, places):
        draws = tf.stack([tf.constant(seed, tf.int64), places[0]])
        images = look_up(batch, draws)
        for number, name in enumerate(as_list(augment)):
            images = name(images) if callable(name) else _flip(images, name, draws, number)
        images = tf.ensure_shape(images, (batch_size if drop_remainder else None, *shape))
        return (images, tf.gather(all_labels, batch)) if labels else images

    portable = not isinstance(store.pixels, np.memmap)
    return batches_by_index(
        indices, load, batch_size, shuffle, seed, drop_remainder, portable=portable
    )


def batches_by_index(
    indices, load, batch_size, shuffle, seed, drop_remainder, count=None, portable=False
):
    """A `tf.data.Dataset` of what `load` makes of indices, in an order of each epoch's own.

    Args:
        indices: int array. What an epoch goes over.
        load: function of the indices of a batch and of their places in the stream of all epochs,
            two int64 tensors of equal shape `(B,)`, to a batch.
        batch_size, shuffle, seed, drop_remainder: as in `kerasgen.data.load_images`.
        count: int or None. How many an epoch takes, from the first in its order. Defaults to
            None: all.
        portable: bool. Whether another process can run `load`. Defaults to False.

    Returns:
        A `tf.data.Dataset` with the attributes `epoch`, an int64 `tf.Variable`, and `endless`:
        where it is portable, a function that returns all epochs after one another as one dataset
        that has no variable, else None.
    """
    workers = os.cpu_count() or 1
    with tf.device("CPU:0"):
        epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="epoch")
        indices = tf.constant(np.asarray(indices, np.int64))
    count = len(indices) if count is None else count
    positions = tf.range(count, dtype=tf.int64)

    def one_epoch(number):
        """Which index comes where, and its place in the stream of all epochs."""
        order = indices
        if shuffle:
            order = tf.random.experimental.stateless_shuffle(order, tf.stack([seed, number]))
        return order[:count], number * count + positions

    def batches(epochs):
        dataset = epochs.unbatch().batch(batch_size, drop_remainder)
        dataset = dataset.map(load, num_parallel_calls=workers, deterministic=True)
        dataset = dataset.prefetch(2 * workers)
        options = tf.data.Options()
        # With autotune an iterator waits at its end for the tuner's next wake-up.
        options.autotune.enabled = False
        options.deterministic = True
        # Machines that train together have the same order, and take their shares of each batch.
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return dataset.with_options(options)

    # Few functions: each costs milliseconds at the start of every epoch.
    next_epoch = tf.data.Dataset.from_tensors(0).map(lambda _: one_epoch(epoch.assign_add(1) - 1))
    dataset = batches(next_epoch)
    steps = count // batch_size if drop_remainder else -(-count // batch_size)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    dataset.epoch = epoch
    # A range, whose parts a service can hand out.
    dataset.endless = None
    if portable:
        dataset.endless = lambda: batches(tf.data.Dataset.range(2**40).map(one_epoch))
    return dataset


def as_list(augment):
    """The steps of an `augment` argument: none, one, or several."""
    if augment is None:
        return []
    return list(augment) if isinstance(augment, (list, tuple)) else [augment]


def whole_pictures(store, shape):
    """Look-up of pictures in a store, by indices `(B,)`, or of clips by those of their frames.

    Args:
        store: `kerasgen.data.store.Store`.
        shape: tuple of ints. Shape of what an entry of a batch becomes.

    Returns:
        Function of a tensor of indices and an ignored one to a float batch `(B, *shape)`.
    """
    if isinstance(store.pixels, np.memmap):
        dtype = tf.as_dtype(store.pixels.dtype)

        def gather(batch):
            pixels = tf.numpy_function(lambda i: store.pixels[i], [batch], dtype, stateful=False)
            return tf.ensure_shape(pixels, (None, *shape))

    else:

        def gather(batch):
            return tf.gather(store.pixels, batch)

    def look_up(batch, draws=None):
        images = gather(batch)
        return to_float(images) if images.dtype == tf.uint8 else images

    return look_up


def _crops(store, shape):
    """Random crops out of pictures of different sizes, each resized with anti-aliasing."""
    height, width, channels = shape
    flat = store.pixels
    sizes = tf.constant(store.shapes)
    starts = tf.constant(np.cumsum([0, *store.shapes.prod(1)[:-1] * channels]).astype(np.int64))

    def crop(entry):
        index, draw = entry
        start, size = starts[index], sizes[index]
        picture = tf.reshape(
            flat[start : start + size[0] * size[1] * channels], (size[0], size[1], channels)
        )
        sides = tf.cast(size, tf.float32)
        # The largest scale shows as much of the picture as the crop's shape allows.
        whole = tf.reduce_max(tf.constant([height, width], tf.float32) / sides)
        scale = tf.minimum(whole * tf.pow(2.0, draw[0]), tf.maximum(whole, 1.0))
        room = sides * scale - tf.constant([height, width], tf.float32)
        return tf.raw_ops.ScaleAndTranslate(
            images=picture[None],
            size=(height, width),
            scale=tf.stack([scale, scale]),
            translation=-tf.maximum(room, 0.0) * draw[1:],
            kernel_type="lanczos3",
            antialias=True,
        )[0]

    def look_up(batch, draws):
        draw = tf.random.stateless_uniform((tf.size(batch), 3), draws, alg="philox")
        crops = tf.map_fn(crop, (batch, draw), fn_output_signature=tf.float32)
        crops = to_float(crops) if flat.dtype == tf.uint8 else crops
        return tf.clip_by_value(crops, -1.0, 1.0)

    return look_up


def _flip(images, name, draws, number):
    draws = tf.stack([draws[0] + 7919 * (number + 1), draws[1]])
    flipped = tf.reverse(images, [2 if name == "flip" else 1])
    chosen = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), draws, alg="philox") < 0.5
    return tf.where(chosen, flipped, images)
