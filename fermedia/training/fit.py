"""The training loop: epochs, learning rate schedule, moving average of the weights, distillation; resumes exactly.

Everything random in an epoch depends on (seed, number of its pass), so the state between two epochs is only weights,
their moving average, the optimiser's momenta and the history. A pass is one augmented version of the training images.
Each epoch has its own; with teachers, whose answers are kept, the first few passes are repeated in turn, every second
time with all images mirrored: a teacher's answer is the mean of its answers to both.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from fermedia.errors import ModelError
from fermedia.options import FER2013, FERPLUS, TrainOptions
from fermedia.training import network
from fermedia.training.augment import Augmentation, mix
from fermedia.training.checkpoint import State
from fermedia.training.dataset import Split, vote_distribution
from fermedia.training.schedule import Budget, learning_rate
from fermedia.training.teachers import Answers, Committee, Teacher, blend
from fermedia.vision.quiet import quiet_stderr

#: The time constant of the moving average of the weights in epochs, and the steps between two updates of it.
AVERAGE_EPOCHS, AVERAGE_EVERY = 2.0, 4
#: Weight of the loss on the FER+ votes, relative to 1 for FER-2013's labels.
FERPLUS_WEIGHT = 1.0

Batch = tuple[NDArray[np.float32], dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]


def precision_policy(precision: str) -> str:
    """The Keras dtype policy; "auto" is bfloat16 only if the processor has instructions for it."""
    if precision == "auto":
        try:
            flags = Path("/proc/cpuinfo").read_text()
        except OSError:
            flags = ""
        precision = "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"
    return "mixed_bfloat16" if precision == "bfloat16" else precision


class FusedNorm(keras.layers.BatchNormalization):
    """Batch normalisation as one fused operation; Keras uses a dozen, each of which traverses all values."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Like Keras's, except that the moving variance is the unbiased one."""
        normalized, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            self.gamma.value,
            self.beta.value,
            self.moving_mean.value,
            self.moving_variance.value,
            epsilon=self.epsilon,
            is_training=bool(training),
            exponential_avg_factor=1 - self.momentum,
        )
        if training:
            self.moving_mean.assign(mean)
            self.moving_variance.assign(variance)
        return normalized


#: Up to so many positions in an image, nine matrix products are faster than oneDNN's gradient of the kernel, which
#: there takes six times as long as the convolution itself.
FEW_POSITIONS = 64


class QuickConvolution(keras.layers.Conv2D):
    """A 3x3 convolution of stride 1 and "same" padding with a faster gradient for small images."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Like Keras's; only the gradient of the kernel is computed differently."""
        return _convolve(tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel))


@tf.custom_gradient
def _convolve(x: Any, kernel: Any) -> tuple[Any, Any]:
    def gradients(dy: Any) -> tuple[Any, Any]:
        how = {"out_backprop": dy, "strides": [1, 1, 1, 1], "padding": "SAME"}
        dx = tf.raw_ops.Conv2DBackpropInput(input_sizes=tf.shape(x), filter=kernel, **how)
        (height, width), shape = x.shape[1:3], tuple(kernel.shape)
        if height * width > FEW_POSITIONS:
            return dx, tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=shape, **how)
        padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        out = tf.reshape(dy, [-1, shape[3]])
        parts = [
            tf.matmul(tf.reshape(padded[:, i : i + height, j : j + width], [-1, shape[2]]), out, transpose_a=True)
            for i in range(3)
            for j in range(3)
        ]
        return dx, tf.reshape(tf.stack(parts), shape)

    return tf.nn.conv2d(x, kernel, 1, "SAME"), gradients


class Trainer:
    """A network, its optimiser, the moving average of its weights, and the training loop.

    Args:
        train: The training images.
        public: PublicTest, for model selection.
        options: The options.
        state: The state to start from; it is updated after each epoch.
        committee: The teachers, for distillation.

    Raises:
        ModelError: A teacher has another architecture.
    """

    def __init__(
        self, train: Split, public: Split, options: TrainOptions, state: State, committee: Committee | None = None
    ) -> None:
        self.train, self.public, self.options, self.state = train, public, options, state
        self.committee = committee
        self.heads = [FER2013] if train.votes is None else [FER2013, FERPLUS]
        self.augmentation = Augmentation().scaled(options.augmentation)
        self.steps = max(1, len(train.images) // options.batch_size)
        self.budget = Budget(options.epochs, options.hours)
        self._targets = _targets(train, options.label_smoothing)
        with quiet_stderr():  # the first operation logs that there is no graphics card
            keras.utils.set_random_seed(options.seed)
            tf.zeros(1)
        self.model = self._network(self.heads, options.width)
        self.optimizer = keras.optimizers.SGD(0.0, momentum=0.9, nesterov=True)
        self.optimizer.build(self.model.trainable_variables)
        self.average = [tf.Variable(w.value, trainable=False) for w in self.model.weights]
        self._step = tf.function(self._step_once, reduce_retracing=True)
        self._forward = tf.function(lambda faces: self.model(faces, training=False), reduce_retracing=True)
        self._teachers = [self._teacher(t) for t in committee.teachers] if committee else []
        self._ask = tf.function(self._ask_once, reduce_retracing=True)
        if state.arrays:
            self._restore()

    def _network(self, heads: list[str], width: float) -> keras.Model:
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(precision_policy(self.options.precision))
        try:
            return network.build(heads, width, norm=FusedNorm, convolution=QuickConvolution)
        finally:
            keras.config.set_dtype_policy(before)

    def _teacher(self, teacher: Teacher) -> keras.Model:
        try:
            model = self._network(teacher.heads, teacher.width)
            model.set_weights(teacher.weights)
        except (ValueError, KeyError) as error:
            raise ModelError(f"{teacher.folder}: its weights are of another network than this version's") from error
        return model

    def epochs(self) -> Iterator[State]:
        """Train until the budget is used up; yield the state after each epoch."""
        while self.budget.at(self.state.epoch, self.state.seconds) < 1:
            begun = time.monotonic()
            row = self._epoch()
            self.state.epoch += 1
            self.state.seconds += time.monotonic() - begun
            self.state.history.append({"epoch": self.state.epoch, "seconds": round(self.state.seconds, 1), **row})
            self._remember()
            yield self.state

    def _epoch(self) -> dict[str, float]:
        begin, end = self.budget.span(self.state.epoch, self.state.seconds)
        sums: dict[str, float] = {}
        label = f"epoch {self.state.epoch + 1}" + (f"/{self.options.epochs}" if self.options.epochs else "")
        decay = math.exp(-AVERAGE_EVERY / (AVERAGE_EPOCHS * self.steps))
        again, number = divmod(self.state.epoch, self.options.copies) if self.committee else (0, self.state.epoch)
        answers = self.answers(number)
        with tqdm(total=self.steps, desc=label, unit="step", leave=False, disable=None) as bar:
            for i, (faces, targets, weights) in enumerate(self.batches(number, answers)):
                rate = learning_rate(self.options.learning_rate, begin + (end - begin) * i / self.steps)
                self.optimizer.learning_rate.assign(rate)
                if again % 2:
                    faces = _mirrored(faces)
                for name, value in self._step(faces, targets, weights).items():
                    sums[name] = sums.get(name, 0.0) + float(value)
                done = self.state.epoch * self.steps + i + 1
                if done % AVERAGE_EVERY == 0:
                    # Early on the average follows the weights closely, so that it forgets their initial values.
                    self._update_average(tf.constant(min(decay, (1 + done) / (40 + done)), tf.float32))
                bar.update()
                bar.set_postfix(loss=f"{sums['loss'] / (i + 1):.3f}", left=self._left(end, i), refresh=False)
        row = {name: value / self.steps for name, value in sums.items()}
        return {"learning_rate": rate, **row, **self.validate()}

    def _left(self, end: float, step: int) -> str:
        """The remaining time of the whole training, estimated from the epochs so far."""
        if self.options.hours:
            return tqdm.format_interval(int(max(0.0, self.options.hours * 3600 - self.state.seconds)))
        if not self.state.epoch:
            return "?"
        each = self.state.seconds / self.state.epoch
        rest = (self.options.epochs or 0) - self.state.epoch - (step + 1) / self.steps
        return tqdm.format_interval(int(max(0.0, each * rest)))

    def answers(self, number: int) -> Answers | None:
        """The teachers' answers to the images of a pass, stored or computed now; None without teachers."""
        if self.committee is None:
            return None
        first = next(self.batches(number))[0]
        view = hashlib.sha256(first.tobytes() + _mirrored(first).tobytes()).hexdigest()
        kept = self.committee.kept(number, view)
        if kept is not None:
            return kept
        batches = tqdm(
            self.batches(number),
            total=self.steps,
            desc=f"teachers' answers {number + 1}/{self.options.copies}",
            unit="step",
            leave=False,
            disable=None,
        )
        parts = [{head: a.numpy() for head, a in self._ask(faces).items()} for faces, _, _ in batches]
        asked = {head: np.concatenate([part[head] for part in parts]) for head in parts[0]}
        self.committee.keep(number, view, asked)
        return asked

    def _ask_once(self, faces: Any) -> dict[str, Any]:
        """The teachers' mean probabilities (n, units), float16, for each of the student's heads that a teacher has.

        The mean is over the images and their mirror images.
        """
        logits = [teacher(seen, training=False) for teacher in self._teachers for seen in (faces, _mirrored(faces))]
        said = {head: [tf.nn.softmax(own[head]) for own in logits if head in own] for head in self.heads}
        return {head: tf.cast(tf.add_n(each) / len(each), tf.float16) for head, each in said.items() if each}

    def batches(self, number: int, answers: Answers | None = None) -> Iterator[Batch]:
        """Yield the batches of a pass, prefetched by a thread; they depend on (seed, number) only.

        If the teachers' ``answers`` to this pass are given, they are blended into the targets.
        """
        rng = np.random.default_rng([self.options.seed, number])
        order = rng.permutation(len(self.train.images))
        size = self.options.batch_size
        with ThreadPoolExecutor(1) as pool:
            waiting: deque[Any] = deque()
            for i in range(self.steps):
                rows = slice(i * size, (i + 1) * size)
                said = {head: a[rows] for head, a in answers.items()} if answers else {}
                waiting.append(pool.submit(self._batch, order[rows], rng, said))
                if len(waiting) > 3:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _batch(self, index: NDArray[np.intp], rng: np.random.Generator, answers: Answers) -> Batch:
        faces = self.augmentation(self.train.images[index], self.options.crop, rng)
        targets = {name: t[index] for name, (t, _) in self._targets.items()}
        weights = {name: w[index] for name, (_, w) in self._targets.items()}
        if self.options.mixup:
            share = rng.beta(self.options.mixup, self.options.mixup, len(index)).astype(np.float32)
            share = np.maximum(share, 1 - share)
            other = rng.permutation(len(index))
            faces = mix(faces, faces[other], share)
            for name, target in targets.items():
                weighted = mix(target * weights[name][:, None], (target * weights[name][:, None])[other], share)
                weights[name] = mix(weights[name], weights[name][other], share)
                targets[name] = np.asarray(weighted / np.maximum(weights[name], 1e-6)[:, None], np.float32)
        # The teachers' answers are for the mixed images already.
        blend(targets, weights, answers, self.options.distillation)
        return faces, targets, weights

    def _step_once(self, faces: Any, targets: Any, weights: Any) -> dict[str, Any]:
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.model(faces, training=True)
            losses = {
                name: tf.math.divide_no_nan(
                    tf.reduce_sum(weights[name] * tf.nn.softmax_cross_entropy_with_logits(targets[name], logits[name])),
                    tf.reduce_sum(weights[name]),
                )
                for name in self.heads
            }
            loss = sum(losses[name] * (FERPLUS_WEIGHT if name == FERPLUS else 1.0) for name in self.heads)
        gradients = tape.gradient(loss, variables)
        # The L2 penalty is added to the gradient: equivalent to a term in the loss, but cheaper.
        gradients = [
            g + self.options.weight_decay * tf.convert_to_tensor(v.value) if v.path.endswith("kernel") else g
            for g, v in zip(gradients, variables, strict=True)
        ]
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        hit = tf.equal(tf.argmax(logits[FER2013], 1), tf.argmax(targets[FER2013], 1))
        out = {"loss": losses[FER2013], "accuracy": tf.reduce_mean(tf.cast(hit, tf.float32))}
        return out | ({"ferplus_loss": losses[FERPLUS]} if FERPLUS in losses else {})

    @tf.function(reduce_retracing=True)
    def _update_average(self, decay: Any) -> None:
        for mean, weight in zip(self.average, self.model.weights, strict=True):
            mean.assign(decay * mean + (1 - decay) * tf.cast(weight.value, mean.dtype))

    def predict(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The logits by head (n, units) of the averaged weights for grey faces (n, 48, 48)."""
        kept = [w.numpy() for w in self.model.weights]
        self._assign(self.average)
        try:
            parts = [
                self._forward(tf.constant(images[i : i + 256, ..., None], tf.float32))
                for i in range(0, len(images), 256)
            ]
        finally:
            self._assign(kept)
        return {name: np.concatenate([p[name].numpy() for p in parts]) for name in self.heads}

    def validate(self) -> dict[str, float]:
        """The metrics of the averaged weights on PublicTest, on whole images."""
        logits = self.predict(self.public.images)
        labels = self.public.labels
        scores = logits[FER2013] - logits[FER2013].max(1, keepdims=True)
        likelihood = scores[np.arange(len(labels)), labels] - np.log(np.exp(scores).sum(1))
        hit = scores.argmax(1) == labels
        row = {
            "val_loss": float(-likelihood.mean()),
            "val_accuracy": float(hit.mean()),
            "val_balanced_accuracy": float(np.mean([hit[labels == c].mean() for c in np.unique(labels)])),
        }
        if FERPLUS in logits and self.public.votes is not None:
            target, known = vote_distribution(self.public.votes)
            if known.any():
                same = logits[FERPLUS].argmax(1) == target.argmax(1)
                row["val_ferplus_accuracy"] = float(same[known].mean())
        return row

    def _remember(self) -> None:
        arrays = self.state.arrays
        arrays["weights"] = [w.numpy() for w in self.model.weights]
        arrays["average"] = [w.numpy() for w in self.average]
        arrays["optimizer"] = [v.numpy() for v in self.optimizer.variables]
        if self.state.best is self.state.history[-1]:
            arrays["best"] = arrays["average"]

    def _restore(self) -> None:
        self._assign(self.state.arrays["weights"])
        for variable, value in zip(self.average, self.state.arrays["average"], strict=True):
            variable.assign(value)
        if "optimizer" in self.state.arrays:  # absent if the training only starts with given weights
            for variable, value in zip(self.optimizer.variables, self.state.arrays["optimizer"], strict=True):
                variable.assign(value)

    def _assign(self, values: list[Any]) -> None:
        for weight, value in zip(self.model.weights, values, strict=True):
            weight.assign(value)


def _mirrored(faces: Any) -> Any:
    """Mirror images (n, height, width, 1) left to right."""
    return faces[:, :, ::-1]


def _targets(split: Split, smoothing: float) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """By head, the target distributions (n, units) and each image's weight (n,), 0 if it has no target."""
    units = network.HEADS[FER2013]
    smooth = np.eye(units, dtype=np.float32)[split.labels] * (1 - smoothing) + smoothing / units
    targets = {FER2013: (smooth, np.ones(len(smooth), np.float32))}
    if split.votes is not None:
        votes, known = vote_distribution(split.votes)
        targets[FERPLUS] = (votes, known.astype(np.float32))
    return targets
