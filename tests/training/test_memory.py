"""What a network remembers of its training images: repeats are recognised, strangers are left to the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from fermedia.options import TrainOptions
from fermedia.training import network
from fermedia.training.dataset import Split
from fermedia.training.export import SIZE, calibrated, write_litert
from fermedia.training.memory import DOUBT, KEYS, WIDTH, Memory, remember

HEADS = ["fer2013", "ferplus"]
EVEN = dict.fromkeys(HEADS, np.ones(7))


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """A network that knows nothing yet, and is not sure of it."""
    keras.utils.set_random_seed(3)
    made = network.build(HEADS, 0.25, SIZE)
    for head in HEADS:
        kernel, bias = made.get_layer(head).get_weights()
        made.get_layer(head).set_weights([kernel / 50, bias])
    return made


def blots(count: int, seed: int) -> np.ndarray:
    """Images (count, 48, 48) of blots, each another in size, brightness and contrast as well."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        cells = int(rng.choice([2, 4, 6, 12, 24]))
        low, high = np.sort(rng.uniform(0, 255, 2))
        rough = rng.uniform(low, high, (cells, cells))
        images.append(np.kron(rough, np.ones((48 // cells, 48 // cells))).astype(np.uint8))
    return np.stack(images)


def split(images: np.ndarray, labels: np.ndarray) -> Split:
    """With votes that name happiness for every second image, and for the others nothing by majority."""
    votes = np.zeros((len(images), 10), np.float32)
    votes[::2, 1] = 10
    votes[1::2, :2] = 5
    return Split("train", tuple(str(i) for i in range(len(images))), images, labels, votes)


@pytest.fixture(scope="module")
def train() -> Split:
    """120 images whose labels have nothing to do with what they show."""
    return split(blots(120, 1), np.random.default_rng(2).integers(0, 7, 120))


def answers(
    trained: keras.Model, memory: Memory | None, images: NDArray[np.uint8], temperature: float = 1.0
) -> dict[str, NDArray[np.float32]]:
    model = calibrated(trained, EVEN, dict.fromkeys(HEADS, temperature), memory)
    return model.predict(images[..., None].astype(np.float32), verbose=0)


def test_repeats_of_training_images_are_recognised(trained: keras.Model, train: Split) -> None:
    few = train.pick(np.arange(20))
    memory = remember(trained, few, 4)
    alone = answers(trained, None, few.images)["fer2013"].argmax(1)
    assert (alone == few.labels).mean() < 0.4  # by chance one in seven
    assert (answers(trained, memory, few.images)["fer2013"].argmax(1) == few.labels).all()
    softer = np.clip(few.images * 0.97 + 3, 0, 255).astype(np.uint8)
    assert (answers(trained, memory, softer)["fer2013"].argmax(1) == few.labels).mean() > 0.8


def test_images_without_a_majority_say_nothing_of_the_crowd(trained: keras.Model, train: Split) -> None:
    memory = remember(trained, train, 4)
    assert (memory.values["ferplus"][1::2] == 0).all()
    named = answers(trained, memory, train.images)["ferplus"].argmax(1)
    assert (named[::2] == 3).all()  # happiness


def test_the_correction_is_the_kernel_regression_of_the_residuals(trained: keras.Model, train: Split) -> None:
    """In numpy, of the same keys: the weighted mean residual, held back where no image is near."""
    memory, others = remember(trained, train, 3), blots(30, 7)
    keys = remember(trained, split(others, np.zeros(30, int)), 1)
    assert memory.keys.shape == (120, sum(KEYS.values()))
    features = keras.Model(
        trained.input,
        [keras.layers.GlobalAveragePooling2D()(trained.get_layer(layer).output) for layer in KEYS],
    ).predict(others[..., None].astype(np.float32), verbose=0)
    projected = [f @ matrix + shift for f, (matrix, shift) in zip(features, memory.projections.values(), strict=True)]
    places = np.hstack([p / np.linalg.norm(p, axis=1, keepdims=True) for p in projected])
    assert places.shape == keys.keys.shape
    weights = np.exp((places @ memory.keys.T / len(KEYS) - 1) / WIDTH)
    shift = weights @ memory.values["fer2013"] / (weights.sum(1, keepdims=True) + DOUBT)
    for temperature in (1.0, 2.0):
        plain = np.log(answers(trained, None, others, temperature)["fer2013"])
        both = np.log(answers(trained, memory, others, temperature)["fer2013"])
        expected = plain + shift / temperature
        np.testing.assert_allclose(both - both[:, :1], expected - expected[:, :1], atol=2e-3)
    assert np.abs(shift).max() > 0.1  # there was something to see


def test_a_image_like_none_is_left_to_the_network(trained: keras.Model, train: Split) -> None:
    memory, image = remember(trained, train, 4), train.images[:1]
    plain = answers(trained, None, image)["fer2013"]
    cosines = memory.keys @ memory.keys[0] / len(KEYS)
    far = cosines < 0.5
    assert far.sum() > 20
    strangers = replace(memory, keys=memory.keys[far], values={h: v[far] for h, v in memory.values.items()})
    np.testing.assert_allclose(answers(trained, strangers, image)["fer2013"], plain, atol=1e-3)
    assert np.abs(answers(trained, memory, image)["fer2013"] - plain).max() > 0.3


def test_features_that_are_all_the_same_do_no_harm(train: Split) -> None:
    dead = network.build(["fer2013"], 0.25, SIZE)
    for weight in dead.weights:
        weight.assign(np.zeros(weight.shape))
    memory = remember(dead, train, 2)
    model = calibrated(dead, {"fer2013": np.ones(7)}, {"fer2013": 1.0}, memory)
    got = model.predict(train.images[..., None].astype(np.float32), verbose=0)["fer2013"]
    assert np.isfinite(got).all()


def test_a_model_without_memory_is_smaller_by_what_the_option_says(tmp_path: Path) -> None:
    trained = network.build(HEADS, 0.25, SIZE)
    many = split(blots(2000, 5), np.zeros(2000, int))
    sizes = []
    for memory in (None, remember(trained, many, TrainOptions().memory)):
        write_litert(calibrated(trained, EVEN, dict.fromkeys(HEADS, 1.0), memory), tmp_path / "model.tflite")
        sizes.append((tmp_path / "model.tflite").stat().st_size)
    assert 54 <= (sizes[1] - sizes[0]) / 2000 < 60
