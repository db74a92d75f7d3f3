"""`ConvLSTMGenerator`: given the first frames of a clip, the next ones."""

import keras
import tensorflow as tf

from kerasgen.generative_model import falling_rate
from kerasgen.losses.reconstruction import WINDOW, ReconstructionLoss, image_losses
from kerasgen.metrics import PSNR, SSIM
from kerasgen.models.conv_lstm import checks
from kerasgen.models.conv_lstm.frame_generator import FrameGenerator
from kerasgen.models.conv_lstm.networks import RESIDUALS, FramePredictor
from kerasgen.models.conv_lstm.objective import get_frame_loss
from kerasgen.models.conv_lstm.rollout import roll
from kerasgen.models.conv_lstm.sampling import check_schedule, own_frames

RATE_HALVED = 3000  # step by which the default learning rate has fallen to its half
# Numbers of the random streams within a step.
SAMPLING, REVERSAL, LATENTS = range(3)


@keras.saving.register_keras_serializable("kerasgen")
class ConvLSTMGenerator(FrameGenerator):
    """Convolutional LSTM that draws the next frames of a clip, as many as asked for.

    It reads the frames so far one by one, and each time predicts the next. Beyond the last known
    frame it reads its own predictions. No prediction depends on a frame that comes after what it
    was made from, and each costs the same.

    In training, clips are read in the same way and each prediction is compared with the frame
    that came. Instead of the true frame, the model reads what it drew itself with a probability
    that rises as the training goes on (scheduled sampling): in the end it is trained on what it
    is to do, to continue its own pictures.

    With `latent_dim`, it learns that one past has several futures. Each step is told a random
    vector as well, drawn from a prior that has learnt what the past leaves open. The training
    minimises `reconstruction + beta * kl`, where `kl` is the divergence of the posterior, which
    knows the next frame, from the prior, in nats a frame.

    Args:
        frame_shape: tuple of 3 ints. Height, width (pixels, multiples of `patch_size`) and
            channels (1 to 4).
        patch_size: int. Blocks of so many pixels a side become channels of one position: at 4,
            16 times fewer positions. 1 folds nothing. Defaults to 4.
        filters: tuple of ints. Channels of the ConvLSTM cells, one after another. Defaults to
            (64, 64).
        kernel_size: int. Side of the cells' kernels, in positions. Defaults to 3.
        residual: how a prediction comes of the last frame: "add", a change is added and the sum
            clipped; "blend", each value is a mixture of the last one and a new one; None, the
            frame is drawn anew. All stay within [-1, 1]. Defaults to "add". Not used with
            `sprites`.
        sprites: int. Number of pictures that a frame is the sum of, for clips of things that move
            before black, as "moving_digits": what was seen of them is kept apart from where they
            are and how fast, and doesn't fade in long rollouts. A few more than things that move
            do no harm. Defaults to 0: frames are drawn from the cells' states (`residual`).
        latent_dim: int. Length of the latent of each step. Defaults to 0: no latents, one future.
            With sprites it is shared out among them, and decides on changes of their speeds:
            futures differ after minutes of training. Without sprites it takes far longer until
            latents are of use.
        beta: float, at least 0, or None. Weight of `kl`. Only with latents. Defaults to None:
            3e-3 with sprites, otherwise 1e-4.
        context_frames: int or None. True frames that training clips begin with; scheduled
            sampling is for those after. Defaults to None: half of each clip.
        scheduled_sampling: a probability, or pairs of a training step and the probability there,
            with straight lines between. How likely the model reads its own prediction, for each
            clip and frame after the context. Defaults to `((0, 0.0), (2000, 1.0))`.
        reverse_scheduled_sampling: the same for the frames of the context but the first, where
            it usually falls, such as `((0, 0.5), (2000, 0.0))`: it makes the model remember
            more than the last frame. Defaults to 0.0.
        reverse_time: bool. Whether each training clip is played backwards with a probability of
            one half, for data where time could go either way. Defaults to False.
        ema_decay: float in [0, 1). Decay a step of the network's moving average, which all but
            the training uses. The decay starts lower. 0 averages nothing. Defaults to 0.999.
        seed: int. What all randomness derives from, together with the step. Defaults to 0.
        name: str. Defaults to "convlstm".
        dtype: str or `keras.DTypePolicy`. "float32", "mixed_bfloat16" or "mixed_float16". The
            cells' memory, frames, latents and losses are float32 in each. Defaults to Keras'
            global policy.

    Attributes:
        network: `FramePredictor`, which is trained.
        ema_network: its moving average.

    Logs of `fit` and `evaluate`: `loss`, the mean over the predictions of all frames but the
    first; with latents `reconstruction` and `kl`, before its weight; `psnr` in decibels. `fit`
    measures all on what the model reads in training (with latents: knowing the posterior).
    `evaluate` measures the loss one frame ahead of the true ones, and `psnr` on what the model is
    for: the frames that it generates after `context_frames` true ones. It adds their `ssim` for
    frames of 11 pixels a side or more.

    Raises:
        ValueError: a frame shape that patches don't fill, or an argument outside what is
            described here.

    Example:

    ```python
    model = kerasgen.ConvLSTMGenerator(frame_shape=(64, 64, 1))
    model.compile()
    model.fit(dataset, epochs=60)  # float32 clips (B, T, 64, 64, 1) in [-1, 1]
    frames = model.predict_frames(clips[:, :10], num_frames=30)  # uint8, (N, 30, 64, 64, 1)
    ```

    Reference:
        Shi et al.: Convolutional LSTM Network, 2015. Bengio, Vinyals, Jaitly, Shazeer: Scheduled
        Sampling for Sequence Prediction with Recurrent Neural Networks, 2015. Wang, Adelson:
        Representing Moving Images with Layers, 1994 (sprites). Wang, Wu, Zhang,
        Gao, Wang, Yu, Long: PredRNN, 2021 (reverse scheduled sampling; folded patches). Denton,
        Fergus: Stochastic Video Generation with a Learned Prior, 2018 (the latents). Jordan et
        al.: Muon, 2024; Liu et al.: Muon is Scalable for LLM Training, 2025 (the optimizer).
    """

    default_steps = 6000

    def __init__(
        self,
        frame_shape,
        patch_size=4,
        filters=(64, 64),
        kernel_size=3,
        residual="add",
        sprites=0,
        latent_dim=0,
        beta=None,
        context_frames=None,
        scheduled_sampling=((0, 0.0), (2000, 1.0)),
        reverse_scheduled_sampling=0.0,
        reverse_time=False,
        ema_decay=0.999,
        seed=0,
        name="convlstm",
        dtype=None,
    ):
        frame_shape = self.check_shape(frame_shape, patch_size)
        filters = checks.filters(filters)
        checks.whole("kernel_size", kernel_size, 1)
        checks.one_of("residual", residual, RESIDUALS)
        checks.whole("sprites", sprites, 0)
        checks.whole("latent_dim", latent_dim, 0)
        if sprites and latent_dim % sprites:
            raise ValueError(
                "With sprites, the latent is shared out among them: `latent_dim` must be a "
                f"multiple of {sprites}. Received: latent_dim={latent_dim}"
            )
        if beta is None:
            beta = 3e-3 if sprites else 1e-4
        checks.number("beta", beta)
        if context_frames is not None:
            checks.whole("context_frames", context_frames, 1)
        scheduled_sampling = check_schedule("scheduled_sampling", scheduled_sampling)
        reverse_scheduled_sampling = check_schedule(
            "reverse_scheduled_sampling", reverse_scheduled_sampling
        )
        checks.number("ema_decay", ema_decay, below=1)
        super().__init__(
            seed=seed,
            loss_names=("loss", "reconstruction", "kl") if latent_dim else ("loss",),
            name=name,
            dtype=dtype,
        )
        self.autocast = False  # frames stay float32
        self.image_shape = frame_shape
        self.patch_size = int(patch_size)
        self.filters = filters
        self.kernel_size = int(kernel_size)
        self.residual = residual
        self.sprites = int(sprites)
        self.latent_dim = int(latent_dim)
        self.beta = float(beta)
        self.context_frames = None if context_frames is None else int(context_frames)
        self.scheduled_sampling = scheduled_sampling
        self.reverse_scheduled_sampling = reverse_scheduled_sampling
        self.reverse_time = bool(reverse_time)
        self.ema_decay = float(ema_decay)
        self.psnr = PSNR()
        self.ssim = SSIM() if min(frame_shape[:2]) >= WINDOW else None

        # === Networks ===
        self.network = self.ema_network = self._build_network()
        if self.ema_decay:
            self.ema_network = self._build_network()
            self.ema_network.trainable = False
        self.built = True

    @classmethod
    def check_shape(cls, shape, patch_size=4):
        return checks.frame_shape(shape, patch_size, cls.__name__)

    def _build_network(self):
        return FramePredictor(
            self.image_shape,
            self.patch_size,
            self.filters,
            self.kernel_size,
            self.residual,
            self.sprites,
            self.latent_dim,
            self.seed,
            dtype=self.dtype_policy,
        )

    # === Training ===

    def compile(self, optimizer=None, loss="mse", learning_rate=5e-3, **kwargs):
        """Sets how the model is trained; every argument has a default that works.

        Args:
            optimizer: `keras.Optimizer`, its name or config, or None. Defaults to None: Muon for
                the cells' kernels and Adam for the rest, the length of all gradients together
                limited to 1. A step of it costs little beside those through all frames, and the
                error falls to the same with about half of them.
            loss: "mse", "mae", "bce", "ssim", or any Keras loss, its name or config; or a dict of
                such names to their weights in a sum, such as `{"mse": 1.0, "ssim": 0.1}`. It is
                applied to single frames; Keras losses get pixels in [-1, 1]. Defaults to "mse".
            learning_rate: float, or schedule of Keras', which is taken as it is. Rate of the
                default optimizer; a float falls as 1 / (1 + step / 3000). Defaults to 5e-3.
            **kwargs: `run_eagerly`, `steps_per_execution` and `jit_compile`, as in
                `keras.Model.compile`.

        Raises:
            ValueError: an unknown loss or optimizer, a loss that the model can't take, or a rate
                that isn't positive.
            TypeError: an argument that Keras' `compile` doesn't know, or one that makes no
                sense here.
        """
        self.check_compile(kwargs, learning_rate)
        loss = get_frame_loss(loss)
        if isinstance(loss, ReconstructionLoss):
            loss.check_shape(self.image_shape)
        if optimizer is None:
            optimizer = keras.optimizers.Muon(
                falling_rate(learning_rate, RATE_HALVED),
                weight_decay=0.0,
                adam_weight_decay=0.0,
                global_clipnorm=1.0,
                exclude_layers=["head", "sprites"],
            )
        optimizer = self.build_optimizer(optimizer, self.network.trainable_variables)
        super().compile(optimizer=optimizer, **kwargs)
        self.frame_loss = loss
        self._compile_kwargs = kwargs

    def check_batch(self, frames):
        """Returns a batch of training clips, if their shape is what the model takes."""
        if frames.shape.rank != 5 or frames.shape[2:] != self.image_shape:
            raise ValueError(
                f"The model was made for clips (B, T, {', '.join(map(str, self.image_shape))}); "
                f"the data has others. Received: {tuple(frames.shape)}"
            )
        if frames.shape[1] is None or frames.shape[1] < 2:
            raise ValueError(
                "Clips to train on must have at least two frames, and one length that is known "
                f"beforehand. Received: {tuple(frames.shape)}"
            )
        if not frames.dtype.is_floating:
            raise ValueError(
                "Clips to train on must be floating-point in [-1, 1], as `kerasgen.data` yields "
                f"them. Received: dtype={frames.dtype.name}"
            )
        return tf.cast(frames, tf.float32)

    def train_step(self, data):
        frames = self.check_batch(keras.utils.unpack_x_y_sample_weight(data)[0])
        if self.reverse_time:
            draws = tf.random.stateless_uniform(
                tf.shape(frames)[:1], self.step_seed(REVERSAL), alg="philox"
            )
            backwards = draws[:, None, None, None, None] < 0.5
            frames = tf.where(backwards, tf.reverse(frames, [1]), frames)
        own = own_frames(
            (tf.shape(frames)[0], frames.shape[1] - 1),
            self.context_length(frames.shape[1]),
            self.scheduled_sampling,
            self.reverse_scheduled_sampling,
            self.step.value,
            self.step_seed(SAMPLING),
        )
        with tf.GradientTape() as tape:
            terms, targets, predictions = self._terms(
                self.network, frames, own, self.step_seed(LATENTS)
            )
            scaled = self.optimizer.scale_loss(self.mean_over_batch(terms["loss"]))
        variables = self.network.trainable_variables
        self.apply_gradients(self.optimizer, tape.gradient(scaled, variables), variables)
        if self.ema_decay:
            self.update_average(self.ema_network, self.network, self.ema_decay)
        self.step.assign_add(1)
        self.psnr.update_state(targets, predictions)
        return self.track(**terms) | self.results(self.psnr)

    def test_step(self, data):
        frames = self.check_batch(keras.utils.unpack_x_y_sample_weight(data)[0])
        terms, *_ = self._terms(self.ema_network, frames, None, self.test_seed(LATENTS))
        logs = self.track(**terms)
        known = self.context_length(frames.shape[1])
        horizon = frames.shape[1] - known
        generated = roll(self.ema_network, frames[:, :known], horizon)[:, -horizon:]
        for metric in (self.psnr, self.ssim):
            if metric is not None:
                metric.update_state(
                    self._single_frames(frames[:, known:]), self._single_frames(generated)
                )
        return logs | self.results(self.psnr, self.ssim)

    def _terms(self, network, frames, own, seed):
        """The terms of the loss, a value a clip each, and true and predicted frames `(B T, ...)`.

        Args:
            network: `FramePredictor`.
            frames: float32 tensor `(B, T, H, W, C)`.
            own: bool tensor `(B, T - 1)`. Where the network reads its own prediction; or None.
            seed: int32 tensor `(2,)`, of the latents' noise.
        """
        length = frames.shape[1]
        true = tf.unstack(network.fold(frames), length, axis=1)
        shape = (length - 1, tf.shape(frames)[0], self.latent_dim)
        noise = tf.random.stateless_normal(shape, seed, alg="philox")
        state = network.initial_state(tf.shape(frames)[0])
        predictions, divergences = [], []
        for step in range(length - 1):
            patches = true[step]
            if step and own is not None:
                # As data: the gradient through what is read again, frame after frame, passes a
                # closed loop, and can grow without bound.
                read = tf.stop_gradient(predictions[-1])
                patches = tf.where(own[:, step, None, None, None], read, patches)
            prediction, state, divergence = network.observe(
                patches, true[step + 1], state, noise[step]
            )
            predictions.append(prediction)
            divergences.append(divergence)
        targets = self._single_frames(frames[:, 1:])
        predictions = self._single_frames(network.unfold(tf.stack(predictions, axis=1)))
        values = image_losses(self.frame_loss, targets, predictions)
        values = tf.reduce_mean(tf.reshape(values, (-1, length - 1)), axis=1)
        if not self.latent_dim:
            return {"loss": values}, targets, predictions
        kl = tf.reduce_mean(tf.stack(divergences, axis=1), axis=1)
        terms = {"loss": values + self.beta * kl, "reconstruction": values, "kl": kl}
        return terms, targets, predictions

    def _single_frames(self, clips):
        return tf.reshape(clips, (-1, *self.image_shape))

    # === Config ===

    def get_config(self):
        return {
            "frame_shape": self.image_shape,
            "patch_size": self.patch_size,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "residual": self.residual,
            "sprites": self.sprites,
            "latent_dim": self.latent_dim,
            "beta": self.beta,
            "context_frames": self.context_frames,
            "scheduled_sampling": self.scheduled_sampling,
            "reverse_scheduled_sampling": self.reverse_scheduled_sampling,
            "reverse_time": self.reverse_time,
            "ema_decay": self.ema_decay,
            **super().get_config(),
        }

    def get_compile_config(self):
        if not self.compiled:
            return None
        return {
            "optimizer": keras.optimizers.serialize(self.optimizer),
            "loss": keras.saving.serialize_keras_object(self.frame_loss),
            **self._compile_kwargs,
        }
