"""Clusters of training pictures, which a DCGAN takes for classes."""

import numpy as np
import tensorflow as tf

from kerasgen.data import collect_images

SIDE = 8  # positions that clusters are told by
PICTURES = 10_000


def codes(images):
    """Means of squares of pixels, as many as leave 8 to 15 a side: `(B, h * w * C)`.

    Args:
        images: float32 tensor `(B, H, W, C)`.
    """
    squares = [max(1, side // SIDE) for side in images.shape[1:3]]
    small = tf.nn.avg_pool2d(images, squares, squares, "VALID")
    return tf.reshape(small, (tf.shape(small)[0], np.prod(small.shape[1:])))


def find(data, num_clusters, seed):
    """k-means of the pictures that a training begins with.

    Args:
        data: what `kerasgen.data.collect_images` takes.
        num_clusters: int.
        seed: int.

    Returns:
        Tuple of float32 centroids, `(num_clusters, D)`, and shares of the pictures,
        `(num_clusters,)`. Of fewer pictures than clusters, each is one; the others are empty, and
        far away.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    pictures, _ = collect_images(data, PICTURES)
    parts = np.array_split(pictures, -(-len(pictures) // 500))
    found = np.concatenate([codes(part.astype(np.float32) / 127.5 - 1) for part in parts])
    count = min(num_clusters, len(np.unique(found, axis=0)))
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
