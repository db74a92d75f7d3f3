"""`GenerativeModel`: the contract that every model of the zoo keeps."""

import inspect
import math
import secrets

import keras
import numpy as np
import tensorflow as tf

from kerasgen import distribution

# Rows are always generated in batches of this size, so that no picture depends on how many
# were asked for with it: convolutions may round differently for another batch size. (A server
# that is asked for one picture waits for a batch; one twice as large makes 3 % more in a second.)
GENERATE_BATCH = 16


class GenerativeModel(keras.Model):
    """A generator of images that is trained with `fit`, watched, saved and served like any other.

    A subclass
    - takes the shape of one example first and has defaults for all else;
    - spells every argument out in `get_config`;
    - implements `compile`, `train_step` and `test_step` with `track` for its losses, drawing
      every random number from `step_seed`;
    - implements `generate`, `preview` and `serving_signatures`;
    - says in `check_shape` which shapes it takes, and in its attribute `image_shape` what one
      picture it makes is: height, width and channels.

    Args:
        seed: int. What every random draw of the model derives from, together with the step:
            initial weights, noise in training, and the preview's latents. Defaults to 0.
        loss_names: sequence of str. Names of the values in the logs of `fit` and `evaluate`.
        **kwargs: `name` and `dtype` (a policy such as "mixed_bfloat16") as for `keras.Model`.

    Attributes:
        seed: int.
        step: int64 scalar variable. Training steps taken; saved with the weights.
        choices: dict of the arguments that were left to the model to what it chose and why, str.
            `summary` ends with them.
    """

    #: Steps of training that `kerasgen train` gives a model that is told no duration.
    default_steps = 3000

    def __init__(self, seed=0, loss_names=("loss",), **kwargs):
        super().__init__(**kwargs)
        self.seed = int(seed)
        self.choices = {}
        self.step = self.add_weight(
            name="step",
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        self.track_losses(loss_names)

    @classmethod
    def check_shape(cls, shape):
        """Checks the shape of one example.

        Where it depends on an argument of the model, a subclass takes that as well, by the same
        name and with the same default.

        Args:
            shape: tuple of ints.

        Returns:
            The shape as a tuple of ints.

        Raises:
            ValueError: a shape that the model can't take; the message names ones it can.
        """
        raise NotImplementedError

    # === Presets ===

    @classmethod
    def from_preset(cls, name_or_dir, **kwargs):
        """As `kerasgen.from_preset`, of which a model of this class has to come.

        Raises:
            ValueError: a preset of another class, besides what `kerasgen.from_preset` raises.

        Example:

        ```python
        model = kerasgen.DCGAN.from_preset("dcgan_digits_32")
        ```
        """
        from kerasgen.presets.loading import load_preset

        return load_preset(name_or_dir, cls, kwargs)

    def save_to_preset(
        self, directory, recipe=None, dtype="float32", batch=None, evaluations=None, crop=None
    ):
        """Writes the model as a preset, which `kerasgen.from_preset(directory)` loads.

        The directory appears when it is whole. It holds `config.json`, `model.weights.h5` (no
        optimizer; of an autoencoder the sampler too), `preprocessing.json`, `README.md` (the
        model's card), `SHA256SUMS`, and where they can be had `recipe.json`, `evaluations.jsonl`
        and `samples.png`.

        Args:
            directory: str or path, new or empty.
            recipe: how it was trained: what `kerasgen.presets.load_recipe` takes, or such a dict.
                Defaults to None: the preset tells nothing of it.
            dtype: "float32", which keeps every bit, or "float16", half as large. Defaults to
                "float32".
            batch: as in `preview`, for the sample picture. Defaults to None.
            evaluations: path of the training's `evaluations.jsonl`, or None. Defaults to None.
            crop: "center" or "random", how the training pictures were cropped: the attribute
                `crop` of what `load_images` returns. Defaults to None: what the recipe says; where
                that leaves it to the pictures ("auto"), the preset says that it isn't known.

        Raises:
            ValueError: weights that aren't finite, or not within float16; a bad recipe; an
                unknown crop.
            TypeError: a model that isn't one of the zoo's classes.
            FileExistsError: a directory that holds something.

        Example:

        ```python
        model.save_to_preset("./digits")
        same = kerasgen.from_preset("./digits")
        ```
        """
        from kerasgen.presets.loading import save_preset

        save_preset(self, directory, recipe, dtype, batch, evaluations, crop)

    @property
    def fewest_pictures(self):
        """int. Fewest pictures that `prepare_to_generate` takes."""
        return 1

    def prepare_to_generate(self, data):
        """Does what remains after `fit` before the model can generate. Defaults to nothing.

        Args:
            data: the pipeline that it was trained on.
        """

    def generate(self, num_images, seed=None):
        """Generates images.

        Args:
            num_images: int.
            seed: int or None. The same seed gives the same images, and image `i` doesn't depend
                on `num_images`. Defaults to None: a fresh seed at each call.

        Returns:
            uint8 array `(num_images, H, W, C)`.
        """
        raise NotImplementedError

    def evaluation_samples(self, num_images, seed=0, data=None):
        """Generated pictures that can be compared with real ones.

        Args:
            num_images: int.
            seed: int. Defaults to 0.
            data: the real pictures or pipeline, for models that generate from examples. Defaults
                to None.

        Returns:
            uint8 array `(num_images, H, W, C)`; of generated sequences the single frames.
        """
        return self.generate(num_images, seed=seed)

    def diversity_samples(self, num_images, seed=0, data=None):
        """Pictures that are all alike where the model has collapsed, cheaply made.

        Args:
            num_images: int.
            seed: int. Defaults to 0.
            data: as in `evaluation_samples`. Defaults to None.

        Returns:
            uint8 array `(N, H, W, C)`; fewer than asked for only where `data` holds fewer.
        """
        return self.evaluation_samples(num_images, seed=seed, data=data)

    def preview(self, batch=None):
        """Pictures that show the state of the training, the same ones at each call.

        Args:
            batch: a batch of the training data, for models that show what they do with it.
                Defaults to None.

        Returns:
            Dict of name -> uint8 array `(rows, columns, H, W, C)`, a grid of pictures.
        """
        raise NotImplementedError

    def latent_walk(self, num_ways, steps, seed=0):
        """Ways between generated pictures, for models that show none in their preview.

        Args:
            num_ways: int.
            steps: int. Pictures of each way, both ends included.
            seed: int. What the ends are drawn from. Defaults to 0.

        Returns:
            uint8 array `(num_ways, steps, H, W, C)`, or None, which is the default.
        """
        return None

    def moving_preview(self, batch=None):
        """As `preview`, of pictures that move. Defaults to none.

        Args:
            batch: as in `preview`. Defaults to None.

        Returns:
            Dict of name -> uint8 array `(T, rows, columns, H, W, C)`, a grid a frame; the names
            aren't those of `preview`.
        """
        return {}

    def serving_signatures(self):
        """The model's TF Serving endpoints, the default one first.

        Every tensor has the batch as its first dimension, and a row's result doesn't depend on
        the other rows.

        Returns:
            Dict of name -> `kerasgen.signature.Signature`.
        """
        raise NotImplementedError

    @property
    def serving_note(self):
        """str. What someone who serves the model as it is should know; empty for nothing."""
        return ""

    def summary(self, *args, print_fn=None, **kwargs):
        """As `keras.Model.summary`, and what was chosen by default, with the reasons."""
        super().summary(*args, print_fn=print_fn, **kwargs)
        for line in self.explain():
            (print_fn or print)(line)

    def explain(self):
        """What was left to the model, what it chose and why: a list of lines."""
        return [f"By default {name}={choice}." for name, choice in self.choices.items()]

    def fit(self, x=None, *args, **kwargs):
        """As `keras.Model.fit`; a `FullStateBackup` among the callbacks resumes from its backup.

        Raises:
            kerasgen.distribution.WorkerLost: another machine of the training has left it.
        """
        bound = inspect.signature(super().fit).bind(x, *args, **kwargs)
        given = bound.arguments
        if given.get("steps_per_epoch") is None:  # pipelines that never end
            given["steps_per_epoch"] = getattr(x, "steps_per_epoch", None)
        callbacks = given.get("callbacks") or []
        callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        backup = next((c for c in callbacks if hasattr(c, "callback_list")), None)
        if backup is None:
            with distribution.losses_named(self.distribute_strategy):
                return super().fit(*bound.args, **bound.kwargs)
        steps, verbose = given.get("steps_per_epoch"), given.get("verbose", "auto")
        given["callbacks"] = backup.callback_list(
            self,
            x,
            callbacks,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=given.get("epochs", 1),
            steps=len(x) if steps is None and _has_length(x) else steps,
        )
        try:
            with distribution.losses_named(self.distribute_strategy):
                return super().fit(*bound.args, **bound.kwargs)
        finally:
            backup.fit_ended()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: Keras would read a batch here, under a strategy; see `distribution`."""

    @property
    def metrics(self):
        # Keras adds a tracker "loss" of its own, which a custom `train_step` never updates.
        return self._trackers + [
            m for m in super().metrics if m.name != "loss" and m not in self._trackers
        ]

    @property
    def optimizers(self):
        """List of all optimizers that the model is compiled with."""
        held = [v for v in vars(self).values() if isinstance(v, keras.optimizers.Optimizer)]
        return list({id(optimizer): optimizer for optimizer in held}.values())

    def track_losses(self, names):
        """Sets which values are in the logs, where that isn't known before `compile`."""
        self._trackers = [keras.metrics.Mean(name) for name in names]

    def track(self, **values):
        """Updates the running means by name and returns all of them, as a step's logs."""
        for tracker in self._trackers:
            tracker.update_state(values[tracker.name])
        return self.results(*self._trackers)

    def results(self, *metrics):
        """What metrics say, as a step's logs: a dict of name -> tensor. None is passed over."""
        return {m.name: distribution.for_logs(m.result()) for m in metrics if m is not None}

    def step_seed(self, stream, index=None):
        """A seed for stateless random ops that no other draw of this training shares.

        Args:
            stream: int. Tells apart the draws within one step.
            index: scalar integer tensor, or None. What to count by. Defaults to None: the
                training step.

        Returns:
            int32 tensor `(2,)`, different on every replica of a distributed training.
        """
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.constant([self.seed % 2**31, stream], tf.int32)
        index = self.step.value if index is None else index
        seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(index, tf.int32))
        return tf.random.experimental.stateless_fold_in(seed, replica)

    def test_seed(self, stream):
        """As `step_seed`, counted by the batches of the running `evaluate`."""
        return self.step_seed(stream, self._trackers[0].count)

    def mean_over_batch(self, values):
        """This replica's share of the mean over the global batch: the loss to differentiate.

        Args:
            values: float tensor `(B,)`, one for each of this replica's examples.

        Returns:
            Scalar tensor; the shares of all replicas add up to the mean.
        """
        if distribution.num_replicas() == 1:
            return tf.reduce_mean(values)
        return tf.reduce_sum(values) / self.global_size(values)

    def global_size(self, values):
        """How many values the replicas have together, a float32 scalar tensor."""
        size = tf.cast(tf.size(values), tf.float32)
        if distribution.num_replicas() == 1:
            return size
        return tf.distribute.get_replica_context().all_reduce("SUM", size)

    def global_mean(self, values):
        """The mean over the global batch, equal on all replicas; for no loss.

        Args:
            values: as for `mean_over_batch`.

        Returns:
            Scalar tensor, through which no gradient goes.
        """
        share = tf.stop_gradient(self.mean_over_batch(values))
        if distribution.num_replicas() == 1:
            return share
        return tf.distribute.get_replica_context().all_reduce("SUM", share)

    def apply_gradients(self, optimizer, gradients, variables):
        """Lets an optimizer take a step by the gradients of `mean_over_batch`."""
        optimizer.apply(distribution.limit_gradients(optimizer, gradients), variables)

    def check_batch(self, images):
        """Returns a batch of training pictures, if their shape is the model's."""
        if images.shape[1:] != self.image_shape:
            raise ValueError(
                f"The model was made for pictures of shape {self.image_shape}; the data has "
                f"others. Received: {tuple(images.shape)}"
            )
        return images

    def check_compile(self, kwargs, learning_rate):
        """Checks what every `compile` takes: further arguments of Keras', and a learning rate."""
        unknown = set(kwargs) - {"run_eagerly", "steps_per_execution", "jit_compile"}
        if unknown:
            _, *known, _kwargs = inspect.signature(type(self).compile).parameters
            raise TypeError(
                f"{type(self).__name__}.compile doesn't take {sorted(unknown)}: it has "
                f"{', '.join(f'`{name}`' for name in known)}."
            )
        if isinstance(learning_rate, (int, float)) and not 0 < learning_rate < math.inf:
            raise ValueError(
                f"`learning_rate` must be positive. Received: learning_rate={learning_rate!r}"
            )
        distribution.check_compile(kwargs)

    def build_optimizer(self, optimizer, variables):
        """Resolves an optimizer, and builds it at once: only so does loading find its variables.

        Args:
            optimizer: `keras.Optimizer`, its name or config.
            variables: list of `keras.Variable` that it is to train.

        Returns:
            `keras.Optimizer`; under "mixed_float16" one that scales the loss.
        """
        optimizer = keras.optimizers.get(optimizer)
        distribution.check_optimizer(optimizer)
        scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if self.dtype_policy.compute_dtype == "float16" and not scales:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer

    def update_average(self, average, network, decay):
        """Moves a network's exponential moving average, its statistics included, by one step.

        Args:
            average: `keras.Model`, like `network`.
            network: `keras.Model`.
            decay: float in [0, 1). In the first steps the decay is lower, so that the average
                isn't the initial weights'.
        """
        step = tf.cast(self.step.value, tf.float32)
        decay = tf.minimum(decay, (1 + step) / (10 + step))

        def moved(mean, value):
            wide = mean.dtype if mean.dtype.size > 4 else tf.float32  # 0.999 is 1 in bfloat16
            share = tf.cast(decay, wide)
            return tf.cast(
                tf.cast(mean, wide) * share + tf.cast(value, wide) * (1 - share), mean.dtype
            )

        distribution.assign_on_each(average.variables, network.variables, moved)

    def get_config(self):
        return {
            "seed": self.seed,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    def compile_from_config(self, config):
        self.compile(**config)


def _has_length(data):
    try:
        return len(data) is not None
    except TypeError:  # a pipeline whose length isn't known
        return False


def draw_latents(seeds, latent_dim):
    """Standard normal latents, each row a function of its own seed alone.

    Args:
        seeds: int64 tensor `(B, 2)`.
        latent_dim: int.

    Returns:
        float32 tensor `(B, latent_dim)`.
    """
    return tf.map_fn(
        lambda seed: tf.random.stateless_normal((latent_dim,), seed, alg="philox"),
        seeds,
        fn_output_signature=tf.TensorSpec((latent_dim,), tf.float32),
    )


def falling_rate(learning_rate, halved):
    """A learning rate that falls as the training goes on, however long it will be.

    Args:
        learning_rate: float, or a schedule of Keras', which is returned as it is.
        halved: int. Step by which a float has fallen to its half.

    Returns:
        Schedule of Keras': `learning_rate / (1 + step / halved)`.
    """
    if isinstance(learning_rate, (int, float)):
        return keras.optimizers.schedules.InverseTimeDecay(learning_rate, halved, 1.0)
    return learning_rate


def row_seeds(num_images, seed=None):
    """Seeds of the rows of one `generate` call, int64 array `(num_images, 2)`.

    Args:
        num_images: int.
        seed: int or None. Defaults to None: a fresh one from the operating system.

    Raises:
        ValueError: `num_images` below 1 or not whole, or a seed that isn't a whole number.
    """
    if not isinstance(num_images, (int, np.integer)) or num_images < 1:
        raise ValueError(
            f"Expected a positive whole number of images. Received: num_images={num_images!r}"
        )
    if seed is None:
        seed = secrets.randbits(62)
    if not isinstance(seed, (int, np.integer)) or not -(2**63) <= seed < 2**63:
        raise ValueError(f"`seed` must be a 64-bit whole number. Received: seed={seed!r}")
    return np.stack([np.full(num_images, seed, np.int64), np.arange(num_images)], axis=1)


def in_batches(function, *rows, size=GENERATE_BATCH):
    """Calls `function` on batches of always the same size and joins the results.

    Args:
        function: callable from tensors `(size, ...)` to a tensor of as many rows.
        *rows: arrays of equal length.
        size: int. Defaults to `GENERATE_BATCH`.

    Returns:
        Array of as many rows as came in.
    """
    count = len(rows[0])
    padding = -count % size
    padded = [np.concatenate([row, np.repeat(row[-1:], padding, 0)]) for row in rows]
    results = [
        function(*(tf.constant(row[start : start + size]) for row in padded)).numpy()
        for start in range(0, count, size)
    ]
    return np.concatenate(results)[:count]
