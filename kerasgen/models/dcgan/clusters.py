"""Clusters of training pictures, which a DCGAN takes for classes."""

import numpy as np
import tensorflow as tf

from kerasgen.data import collect_images

SIDE = 8  # positions that clusters are told by
PICTURES = 10_000
READABLE = (tf.data.Dataset, np.ndarray, tf.Tensor)  # without taking it from the training
PICTURES_EACH = 100  # of fewer, a discriminator soon knows each by heart


def codes(images):
    """Means of squares of pixels, as many as leave 8 to 15 a side: `(B, h * w * C)`.

    Args:
        images: float32 tensor `(B, H, W, C)`.
    """
    squares = [max(1, side // SIDE) for side in images.shape[1:3]]
    small = tf.nn.avg_pool2d(images, squares, squares, "VALID")
    return tf.reshape(small, (tf.shape(small)[0], np.prod(small.shape[1:])))


def first_pictures(data):
    """The pictures that a training begins with: float32 `(N, H, W, C)` in [-1, 1], N <= 10,000.

    Args:
        data: one of `READABLE`, floats in [-1, 1] or uint8.
    """
    if not isinstance(data, tf.data.Dataset) and data.dtype != np.uint8:
        data = tf.data.Dataset.from_tensor_slices(data[:PICTURES]).batch(500)
    pictures, _ = collect_images(data, PICTURES)
    return pictures.astype(np.float32) / 127.5 - 1


def find(pictures, num_clusters, seed):
    """k-means of pictures: a cluster for every `PICTURES_EACH`, at most.

    Args:
        pictures: float32 array `(N, H, W, C)`.
        num_clusters: int.
        seed: int.

    Returns:
        Tuple of float32 centroids, `(num_clusters, D)`, and shares of the pictures,
        `(num_clusters,)`. Clusters that too few pictures leave empty are far away.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    parts = np.array_split(pictures, -(-len(pictures) // 500))
    found = np.concatenate([codes(part) for part in parts])
    different = len(np.unique(found, axis=0))
    count = max(1, min(num_clusters, different // PICTURES_EACH))
    # Threads add up the means in any order, so that rounding would differ from run to run.
    with threadpool_limits(1, "openmp"):
        means = KMeans(count, n_init=1, random_state=seed).fit(found)
    centroids = np.full((num_clusters, found.shape[1]), 1e3, np.float32)
    centroids[:count] = means.cluster_centers_
    return centroids, np.bincount(means.labels_, minlength=num_clusters) / len(found)


def nearest(images, centroids):
    """Number of each picture's cluster, int32 `(B,)`."""
    near = tf.linalg.matmul(codes(images), centroids, transpose_b=True)
    return tf.argmax(near - tf.reduce_sum(centroids**2, axis=1) / 2, axis=1, output_type=tf.int32)
