"""Training: it learns, it resumes exactly, and it leaves a folder that works."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from fermedia.cli import cli
from fermedia.errors import DataError, UsageError
from fermedia.files import sha256
from fermedia.options import EVERYDAY, TrainOptions
from fermedia.training import everyday, plots, session
from fermedia.training.augment import Augmentation
from fermedia.training.checkpoint import CHECKPOINT, State
from fermedia.training.dataset import load, vote_distribution
from fermedia.training.export import correction, frequencies
from fermedia.training.fit import Trainer
from fermedia.training.metrics import fit_temperature
from fermedia.training.schedule import Budget, learning_rate
from fermedia.training.session import train_model, training_images
from fermedia.types import EMOTIONS
from fermedia.vision.classify import Classifier
from tests.fer import agreeing_votes, draw_face, make_set, write_folder, write_votes
from tests.systems import needs_signals

SMALL: dict[str, Any] = {"width": 0.125, "batch_size": 16, "crop": 40, "precision": "float32", "learning_rate": 0.05}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up data set, 140 training and 42 public images, with votes beside it."""
    folder = tmp_path_factory.mktemp("fer")
    made = make_set(train=20, public=6, private=0)
    write_votes(folder / "votes.csv", made, agreeing_votes(made))
    return write_folder(folder / "data", made)


@pytest.fixture(scope="module")
def trained(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a short training with votes leaves."""
    out = tmp_path_factory.mktemp("model") / "out"
    train_model(faces, out, SMALL | {"epochs": 12}, ferplus=faces.parent / "votes.csv")
    return out


def test_it_learns(trained: Path) -> None:
    history = pd.read_csv(trained / "history.csv")
    assert history.epoch.tolist() == list(range(1, 13))
    assert history.loss.iloc[-1] < 0.8 * history.loss.iloc[0]
    assert history.val_accuracy.max() > 0.6  # one in seven by chance
    assert history.val_ferplus_accuracy.max() > 0.6


def test_it_leaves_a_whole_model_folder(trained: Path) -> None:
    names = {p.name for p in trained.iterdir()}
    assert names >= {
        "model.keras", "model.tflite", "card.json", "history.csv", "curves.png", "confusion.png", "reliability.png",
        "architecture.txt", "training_digests.npy", "tensorboard", "checkpoint.npz",
    }  # fmt: skip
    assert list((trained / "tensorboard").glob("events.*"))
    card = json.loads((trained / "card.json").read_text())
    assert card["labels"] == list(EMOTIONS)
    assert card["heads"] == ["everyday", "fer2013", "ferplus"]
    for name in ("model.keras", "model.tflite"):
        assert card["files"][name] == {"sha256": sha256(trained / name), "bytes": (trained / name).stat().st_size}
    assert card["training"]["options"]["epochs"] == 12
    assert card["metrics"]["public"]["n"] == 42


def test_the_everyday_head_mixes_the_two_that_learnt(trained: Path, faces: Path) -> None:
    """Told from the probabilities alone: what each head adds to log p is the same for all seven, and falls out."""
    card = json.loads((trained / "card.json").read_text())
    assert card["default_labels"] == EVERYDAY
    crops = np.random.default_rng(0).integers(0, 256, (16, 48, 48)).astype(np.uint8)
    logs = {head: np.log(Classifier.load(trained, head).predict(crops).astype(float)) for head in card["heads"]}
    train = training_images(load(faces, ("train", "public"), faces.parent / "votes.csv"))
    expected = np.log([everyday.WEIGHTS[emotion] for emotion in EMOTIONS]) + np.zeros((16, 7))
    for head, share in zip(everyday.OF, (everyday.SHARE, 1 - everyday.SHARE), strict=True):
        shift = np.log(correction(frequencies(train)[head], card["calibration"]["balance"]))
        expected += share * (logs[head] * card["calibration"]["temperatures"][head] - shift)
    expected /= everyday.TEMPERATURE
    difference = logs[EVERYDAY] - expected
    assert difference == pytest.approx(np.repeat(difference[:, :1], 7, axis=1), abs=0.02)


def test_the_litert_model_gives_what_the_keras_model_gives(trained: Path) -> None:
    import keras

    rng = np.random.default_rng(5)
    images = np.stack([draw_face(label, rng) for label in range(7)])
    model = keras.models.load_model(trained / "model.keras")
    expected = {k: np.asarray(v) for k, v in model(images[..., None].astype(np.float32)).items()}
    for head in ("fer2013", "ferplus"):
        got = Classifier.load(trained, head).predict(images)
        assert got.shape == (7, 7)
        # It computes in int8; how far apart they are depends on the weights, which differ a little between processors.
        np.testing.assert_allclose(got, expected[head], atol=0.05)
        np.testing.assert_allclose(got.sum(1), 1, atol=1e-5)


def test_the_frequencies_are_the_training_images_own(faces: Path) -> None:
    train = load(faces, ("train",), faces.parent / "votes.csv")["train"]
    scarce = train.pick((train.labels != 1) | (np.cumsum(train.labels == 1) <= 5))
    counts = np.bincount(scarce.labels)
    assert counts.tolist() == [20, 5, 20, 20, 20, 20, 20]
    assert scarce.votes is not None
    voted = vote_distribution(scarce.votes)[0][:, :7].sum(0)
    shares = frequencies(scarce)
    assert shares["fer2013"] == pytest.approx(counts / 125)
    assert shares["ferplus"] == pytest.approx(voted / voted.sum(), rel=1e-5)
    assert frequencies(train.pick(train.labels != 1))["fer2013"][1] > 0  # no class gets all answers for being absent


def test_a_balanced_head_aims_at_just_that_share_of_balanced_accuracy() -> None:
    """Where the probabilities are true, no other answers do better at the mix that was asked for."""
    rng = np.random.default_rng(4)
    share = np.array([0.3, 0.02, 0.1, 0.3, 0.08, 0.1, 0.1])
    logits = rng.normal(0, 1, (200_000, 7)) + np.log(share)
    truth = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    share = truth.mean(0)

    def mix(answers: np.ndarray, balance: float) -> float:
        """Expected accuracy and balanced accuracy of these answers, mixed."""
        right = np.array([truth[answers == c, c].sum() for c in range(7)])
        return (1 - balance) * right.sum() / len(truth) + balance * (right / (share * len(truth))).mean()

    answers = {b: (truth * correction(share, b)).argmax(1) for b in (0.0, 0.25, 0.5, 1.0)}
    for aim in answers:
        assert max(answers, key=lambda b: mix(answers[b], aim)) == aim
        for power in (0.1, 0.25, 0.5, 0.75):
            assert mix(answers[aim], aim) >= mix((truth / share**power).argmax(1), aim)


def test_resuming_is_exact(faces: Path, tmp_path: Path) -> None:
    dataset = load(faces, ("train", "public"))
    options = TrainOptions(**SMALL | {"epochs": 4, "mixup": 0.2})

    def train(state: State, epochs: int) -> State:
        trainer = Trainer(dataset["train"], dataset["public"], options, state)
        for _ in zip(range(epochs), trainer.epochs(), strict=False):
            pass
        return state

    whole, half = (train(State(options.record(), {}), epochs) for epochs in (4, 2))
    half.save(tmp_path / CHECKPOINT)
    resumed = train(State.load(tmp_path / CHECKPOINT), 2)
    assert whole.arrays.keys() == resumed.arrays.keys() == {"weights", "average", "optimizer", "best"}
    for name in whole.arrays:
        for x, y in zip(whole.arrays[name], resumed.arrays[name], strict=True):
            np.testing.assert_array_equal(x, y, err_msg=name)
    first, second = (pd.DataFrame(state.history).drop(columns="seconds") for state in (whole, resumed))
    assert len(first) == 4
    pd.testing.assert_frame_equal(first, second)


@needs_signals
def test_interrupted_by_the_user_and_resumed(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in (SMALL | {"epochs": 10}).items()]
    out = tmp_path / "out"
    votes = faces.parent / "votes.csv"
    command = [
        sys.executable,
        "-m",
        "fermedia",
        "train",
        str(faces),
        "--out",
        str(out),
        "--ferplus",
        str(votes),
        *flags,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (out / "history.csv").exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "loading tensorflow" in said
    assert "--resume" in said
    assert "Traceback" not in said
    state = State.load(out / CHECKPOINT)
    assert 1 <= state.epoch < 10
    cli(["train", str(faces), "--out", str(out), "--resume"], standalone_mode=False)
    assert State.load(out / CHECKPOINT).epoch == 10
    assert "PublicTest accuracy" in capsys.readouterr().out
    assert json.loads((out / "card.json").read_text())["heads"] == ["everyday", "fer2013", "ferplus"]


def test_resume_refuses_what_does_not_belong_together(faces: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint to resume"):
        train_model(faces, tmp_path, {}, resume=True)
    changed = State.load(trained / CHECKPOINT)
    changed.options["ferplus_balance"] = 0.25
    changed.save(tmp_path / "older" / CHECKPOINT)
    with pytest.raises(UsageError, match="was started by another version of fermedia, with ferplus_balance"):
        train_model(faces, tmp_path / "older", {}, resume=True)
    with pytest.raises(UsageError, match=r"was started without --crop 44; leave that out"):
        train_model(faces, trained, {"crop": 44}, resume=True)
    with pytest.raises(UsageError, match="is not empty; add --resume"):
        train_model(faces, trained, SMALL)
    other = write_folder(tmp_path / "other", make_set(train=3, public=1, private=0, seed=1))
    with pytest.raises(UsageError, match="is not the data set"):
        train_model(other, shutil.copytree(trained, tmp_path / "copy"), {}, resume=True)
    content = (trained / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged checkpoint"):
        train_model(faces, tmp_path, {}, resume=True)


def test_what_to_do_instead_of_resuming_for_longer(
    faces: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError) as error:
        train_model(faces, trained, {"epochs": 14}, resume=True)
    before, command = str(error.value).split("go on from there with: fermedia train ")
    assert before == f"{trained} was started with --epochs 12, over which its learning rate falls to 0; "
    votes = (faces.parent / "votes.csv").resolve()
    assert command == f"{faces} --ferplus {votes} --start {trained} --out ANOTHER --epochs 14"
    monkeypatch.setattr(session, "export", lambda *_: json.loads((trained / "card.json").read_text()))
    train_model(faces, tmp_path / "on", SMALL | {"epochs": 1}, ferplus=votes, start=trained)  # as it says
    assert State.load(tmp_path / "on" / CHECKPOINT).epoch == 1
    unfinished = shutil.copytree(trained, tmp_path / "unfinished", ignore=shutil.ignore_patterns("weights.npz"))
    with pytest.raises(UsageError, match="finish it with --resume and without --hours, and then go on from there"):
        train_model(faces, unfinished, {"hours": 0.5}, resume=True)


def test_how_far_it_came_is_said_in_plain_words(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: State, path: Path) -> None:
        kept(self, path)
        if self.epoch == epochs:
            raise KeyboardInterrupt

    kept = State.save
    monkeypatch.setattr(State, "save", interrupted)
    for epochs, said in ((1, "1 epoch is kept"), (2, "2 epochs are kept")):
        with pytest.raises(KeyboardInterrupt, match=f"{said}; go on with: fermedia train .* --resume"):
            train_model(faces, tmp_path / "out", SMALL | {"epochs": 3}, resume=epochs > 1)


def test_every_layer_stands_in_the_table_of_the_architecture(trained: Path) -> None:
    import keras

    lines = (trained / "architecture.txt").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("│")]
    assert all(line.endswith("│") for line in table)
    model = keras.models.load_model(trained / "model.keras")
    first = " ".join(line.split("│")[1].strip() for line in table)
    assert all(f"{layer.name} (" in first for layer in model.layers)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn, instead of their files."""
    figures: list[Figure] = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    return figures


def test_a_high_loss_at_the_start_does_not_flatten_the_rest(drawn: list[Figure], tmp_path: Path) -> None:
    epochs = np.arange(1, 13)
    calm = pd.DataFrame({"epoch": epochs, "loss": 2 - epochs / 12, "val_loss": 1.9 - epochs / 12})
    wild = calm.copy()
    wild.loc[2, "val_loss"] = 60.0
    for history in (calm, wild):
        plots.plot_history(history, tmp_path / "curves.png")
    (usual, cut) = (figure.axes[0] for figure in drawn)
    assert usual.get_ylim()[1] > calm.loss.max()
    assert not usual.texts
    low, high = cut.get_ylim()
    assert calm.loss.max() < high < 4
    assert low < calm.val_loss.min()
    assert [text.get_text() for text in cut.texts] == ["loss, PublicTest: up to 60 in epoch 3"]


def test_no_two_ticks_say_the_same(drawn: list[Figure], tmp_path: Path) -> None:
    for n in (1, 2, 3, 40):
        share = 0.7123 + 0.002 * np.linspace(0, 1, n)
        plots.plot_history(pd.DataFrame({"epoch": np.arange(1, n + 1), "val_accuracy": share}), tmp_path / "curves.png")
        (axes,) = drawn[-1].axes
        drawn[-1].draw_without_rendering()
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            shown = [
                t.get_text()
                for t, at in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True)
                if low <= at <= high
            ]
            assert len(shown) == len(set(shown)) > 0
        epochs = [at for at in axes.get_xticks() if axes.get_xlim()[0] <= at <= axes.get_xlim()[1]]
        assert all(at == int(at) and 1 <= at <= n for at in epochs)


def test_blank_images_and_repeats_of_the_public_test_are_not_trained_on(faces: Path) -> None:
    dataset = load(faces, ("train", "public"))
    images = dataset["train"].images.copy()
    images[3] = 0
    images[5] = dataset["public"].images[0]
    splits = dataset.splits | {"train": replace(dataset["train"], images=images)}
    kept = training_images(replace(dataset, splits=splits))
    assert [n for n in dataset["train"].names if n not in kept.names] == [dataset["train"].names[i] for i in (3, 5)]


def test_the_schedule_rises_and_falls_over_the_whole_budget() -> None:
    rates = [learning_rate(0.1, share) for share in np.linspace(0, 1, 101)]
    assert rates[0] == 0
    assert max(rates) == rates[4] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0)
    assert Budget(epochs=10, hours=None).span(4, 1e9) == (0.4, 0.5)
    assert Budget(epochs=None, hours=1).span(4, 1440) == pytest.approx((0.4, 0.5))
    assert Budget(epochs=None, hours=1).at(3, 4000) == 1


def test_augmentation_varies_but_keeps_shape_and_range() -> None:
    faces = np.stack([draw_face(label, np.random.default_rng(1)) for label in (0, 3)])
    varied = Augmentation()(faces, 40, np.random.default_rng(0))
    assert varied.shape == (2, 40, 40, 1)
    assert varied.dtype == np.float32
    assert varied.min() >= 0
    assert varied.max() <= 255
    np.testing.assert_array_equal(varied, Augmentation()(faces, 40, np.random.default_rng(0)))
    assert np.abs(varied - Augmentation()(faces, 40, np.random.default_rng(1))).mean() > 3
    plain = Augmentation().scaled(0)(faces, 40, np.random.default_rng(0))[..., 0]
    centre = faces[:, 4:44, 4:44]
    for got, face in zip(plain, centre, strict=True):
        assert np.array_equal(got, face) or np.array_equal(got, face[:, ::-1])


def test_temperature_tames_exaggerated_probabilities() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20000, 7)) * 2
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(7, p=row) for row in p])
    sharp = p**3 / (p**3).sum(1, keepdims=True)
    assert fit_temperature(p.astype(np.float32), labels) == pytest.approx(1, abs=0.05)
    assert fit_temperature(sharp.astype(np.float32), labels) == pytest.approx(3, abs=0.15)
