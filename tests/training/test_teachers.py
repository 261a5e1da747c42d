"""Distillation: the student is taught the teachers' answer to the very image it is shown, and resumes exactly."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fermedia.cli import cli
from fermedia.errors import ModelError, UsageError
from fermedia.options import TrainOptions
from fermedia.training import fit, network, session, teachers
from fermedia.training.checkpoint import CHECKPOINT, State
from fermedia.training.dataset import Split, load
from fermedia.training.fit import Trainer
from fermedia.training.session import train_model
from fermedia.training.teachers import ANSWERS, WEIGHTS, Committee, blend, load_teachers
from tests.fer import agreeing_votes, make_set, write_folder, write_votes
from tests.loading import load_script

SMALL: dict[str, Any] = {"width": 0.125, "batch_size": 16, "crop": 40, "precision": "float32", "learning_rate": 0.05}
STUDENT = SMALL | {"epochs": 3, "copies": 2, "mixup": 0.2}


def softmax(logits: Any) -> np.ndarray:
    e = np.exp(np.asarray(logits, float) - np.max(logits, 1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def trainer(train: Split, public: Split, committee: Committee | None = None, **options: Any) -> Trainer:
    chosen = TrainOptions(**SMALL | options)
    state = State(chosen.record(), {"ferplus": None if train.votes is None else "votes.csv"})
    return Trainer(train, public, chosen, state, committee)


def keep_teacher(folder: Path, train: Split, public: Split, **options: Any) -> Path:
    """A teacher as small as can be; gives its folder."""
    made = trainer(train, public, **options)
    for _ in made.epochs():
        pass
    teachers.save(made.state, folder / WEIGHTS)
    return folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up data set, 70 training and 42 public images; every fifth image is without votes."""
    folder = tmp_path_factory.mktemp("fer")
    made = make_set(train=10, public=6, private=0)
    votes = agreeing_votes(made)
    votes[::5] = 0
    write_votes(folder / "votes.csv", made, votes)
    return write_folder(folder / "data", made)


@pytest.fixture(scope="module")
def splits(faces: Path) -> tuple[Split, Split]:
    dataset = load(faces, ("train", "public"), faces.parent / "votes.csv")
    return dataset["train"], dataset["public"]


@pytest.fixture(scope="module")
def pair(splits: tuple[Split, Split], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A teacher with both heads that knows its trade, and a wider one with FER-2013's alone that knows less."""
    folder = tmp_path_factory.mktemp("teachers")
    train, public = splits
    good = keep_teacher(folder / "good", train, public, epochs=20)
    return [good, keep_teacher(folder / "other", replace(train, votes=None), public, epochs=1, seed=1, width=0.25)]


@pytest.fixture(scope="module")
def student(faces: Path, pair: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that three epochs on two passes leave."""
    out = tmp_path_factory.mktemp("student") / "out"
    train_model(faces, out, STUDENT, ferplus=faces.parent / "votes.csv", teachers=pair)
    return out


def plain_networks(folders: list[Path]) -> list[Any]:
    """The teachers as Keras itself computes them."""
    models = []
    for teacher in load_teachers(folders):
        model = network.build(teacher.heads, teacher.width)
        model.set_weights(teacher.weights)
        models.append(model)
    return models


def test_each_image_is_taught_with_the_teachers_answer_to_it(
    splits: tuple[Split, Split], pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committee = Committee(load_teachers(pair), tmp_path)
    made = trainer(*splits, committee, epochs=5, copies=2, mixup=0.4, distillation=1.0)
    shown: list[Any] = []
    first = made._step

    def step(*batch: Any) -> Any:
        shown.append(batch)
        return first(*batch)

    monkeypatch.setattr(made, "_step", step)
    for _ in made.epochs():
        pass
    assert len(shown) == 5 * made.steps == 20
    networks = plain_networks(pair)
    for faces, targets, weights in shown:
        answers = [model(seen) for model in networks for seen in (faces, faces[:, :, ::-1])]
        for head in ("fer2013", "ferplus"):
            expected = np.mean([softmax(own[head]) for own in answers if head in own], axis=0)
            np.testing.assert_allclose(targets[head], expected, atol=2e-3)
            np.testing.assert_array_equal(weights[head], 1)  # also for images without votes
    epochs = [np.concatenate([batch[0] for batch in shown[i : i + 4]]) for i in range(0, 20, 4)]
    # Two copies: the third epoch shows the first one's images again, but mirrored, and the fifth as they were.
    np.testing.assert_array_equal(epochs[0], epochs[2][:, :, ::-1])
    np.testing.assert_array_equal(epochs[0], epochs[4])
    assert np.abs(epochs[0] - epochs[1]).mean() > 3
    assert np.abs(epochs[0] - epochs[2]).mean() > 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000.npz", "001.npz"]
    with np.load(tmp_path / "000.npz") as kept:
        assert {name: kept[name].dtype for name in made.heads} == dict.fromkeys(made.heads, np.float16)


def test_a_student_learns_from_its_teacher_what_the_labels_do_not_say(
    splits: tuple[Split, Split], pair: list[Path], tmp_path: Path
) -> None:
    train, public = splits
    (good,) = plain_networks(pair[:1])
    expected = np.asarray(good(public.images[..., None].astype(np.float32))["fer2013"]).argmax(1)
    assert len(np.unique(expected)) >= 5
    random = replace(train, labels=np.random.default_rng(0).permutation(train.labels), votes=None)
    made = trainer(random, public, Committee(load_teachers(pair[:1]), tmp_path), epochs=20, copies=5, distillation=0.8)
    for _ in made.epochs():
        pass
    agreement = np.mean(made.predict(public.images)["fer2013"].argmax(1) == expected)
    assert agreement > 0.6  # one in seven by chance


def test_the_two_losses_are_mixed_by_share_and_weight() -> None:
    rng = np.random.default_rng(0)
    label, answer, log_p = (softmax(rng.normal(size=(5, 8))) for _ in range(3))
    log_p = np.log(log_p)
    known = np.array([1, 0, 0.4, 1, 0], np.float32)
    targets = {"ferplus": label.astype(np.float32), "fer2013": label.astype(np.float32)}
    weights = {"ferplus": known, "fer2013": known}
    blend(targets, weights, {"ferplus": answer.astype(np.float16)}, 0.7)
    mixed = -weights["ferplus"] * (targets["ferplus"] * log_p).sum(1)
    apart = -0.3 * known * (label * log_p).sum(1) - 0.7 * (answer * log_p).sum(1)
    np.testing.assert_allclose(mixed, apart, rtol=2e-3)
    np.testing.assert_allclose(targets["ferplus"].sum(1), 1, atol=2e-3)
    assert weights["fer2013"] is known  # a head without answers stays as it was
    np.testing.assert_array_equal(targets["fer2013"], label.astype(np.float32))


def test_a_student_says_who_taught_it_and_can_teach(student: Path, pair: list[Path]) -> None:
    card = json.loads((student / "card.json").read_text())
    names = {Path(t["path"]).name: t["sha256"] for t in card["dataset"]["teachers"]}
    assert names == {t.folder.name: t.sha256 for t in load_teachers(pair)}
    assert card["training"]["options"]["copies"] == 2
    (teacher,) = load_teachers([student])
    assert teacher.heads == ["fer2013", "ferplus"]
    # Raw: what the checkpoint holds, not what calibration makes of it.
    for own, best in zip(teacher.weights, State.load(student / CHECKPOINT).arrays["best"], strict=True):
        np.testing.assert_allclose(own, best, rtol=1e-3, atol=1e-6)


def test_interrupted_while_the_teachers_answer_it_goes_on_exactly(
    faces: Path, pair: list[Path], student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    keep = Committee.keep

    def interrupted_at(wanted: int) -> None:
        def keep_or_stop(self: Committee, number: int, *rest: Any) -> None:
            if number == wanted:
                raise KeyboardInterrupt
            keep(self, number, *rest)

        monkeypatch.setattr(Committee, "keep", keep_or_stop)

    interrupted_at(0)
    with pytest.raises(KeyboardInterrupt, match=r"no epoch was finished; go on with: .* --resume"):
        train_model(faces, out, STUDENT, ferplus=faces.parent / "votes.csv", teachers=pair)
    interrupted_at(1)
    with pytest.raises(KeyboardInterrupt, match="1 epoch is kept; go on with"):
        train_model(faces, out, {}, teachers=pair[::-1], resume=True)
    monkeypatch.setattr(Committee, "keep", keep)
    first = out / ANSWERS / "000.npz"
    first.write_bytes(first.read_bytes()[:200])  # damaged answers are asked for again
    monkeypatch.setattr(session, "export", lambda *_: json.loads((student / "card.json").read_text()))
    train_model(faces, out, {}, resume=True)
    one, other = (State.load(p / CHECKPOINT).arrays for p in (student, out))
    assert one.keys() == other.keys()
    for name in one:
        for a, b in zip(one[name], other[name], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
    for name in ("000.npz", "001.npz"):
        assert (student / ANSWERS / name).read_bytes() == (out / ANSWERS / name).read_bytes()
    histories = [pd.read_csv(p / "history.csv").drop(columns="seconds") for p in (student, out)]
    pd.testing.assert_frame_equal(*histories)


def test_answers_to_other_images_are_not_used(pair: list[Path], tmp_path: Path) -> None:
    committee = Committee(load_teachers(pair), tmp_path)
    said = {"fer2013": np.full((2, 7), 1 / 7, np.float16)}
    committee.keep(3, "these", said)
    np.testing.assert_array_equal((committee.kept(3, "these") or {})["fer2013"], said["fer2013"])
    assert committee.kept(3, "others") is None
    assert committee.kept(4, "these") is None


def test_what_does_not_belong_together_is_refused(
    faces: Path, splits: tuple[Split, Split], student: Path, pair: list[Path], tmp_path: Path
) -> None:
    out = shutil.copytree(student, tmp_path / "out")
    with pytest.raises(UsageError, match=r"was started with other teachers \((good|other), (good|other)\)"):
        train_model(faces, out, {}, teachers=pair[:1], resume=True)
    with pytest.raises(ModelError, match=r"data: is not a trained network, it has no weights\.npz"):
        cli(["train", str(faces), "--out", str(tmp_path / "new"), "--teacher", str(faces)], standalone_mode=False)
    assert not (tmp_path / "new").exists()
    # A checkpoint of before there were teachers.
    state = State.load(out / CHECKPOINT)
    del state.data["teachers"], state.options["copies"], state.options["distillation"]
    state.save(out / CHECKPOINT)
    with pytest.raises(UsageError, match=r"was started with other teachers \(none\)"):
        train_model(faces, out, {}, teachers=pair, resume=True)
    with pytest.raises(UsageError, match="was started without --copies 2"):
        train_model(faces, out, {"copies": 2}, resume=True)
    content = (pair[0] / WEIGHTS).read_bytes()
    (tmp_path / WEIGHTS).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=r"weights\.npz: is damaged"):
        load_teachers([tmp_path])
    wide = replace(load_teachers(pair[:1])[0], width=0.25)
    with pytest.raises(ModelError, match="good: its weights are of another network"):
        trainer(*splits, Committee([wide], tmp_path))
    with pytest.raises(UsageError, match=r"--distillation must lie between 0 and 1, got 1\.5"):
        TrainOptions(distillation=1.5)


def test_the_fast_normalisation_computes_what_keras_does() -> None:
    import keras

    rng = np.random.default_rng(0)
    faces = rng.uniform(0, 255, (32, 40, 40, 1)).astype(np.float32)
    keras.utils.set_random_seed(0)
    plain = network.build(["fer2013"], 0.25)
    fused = network.build(["fer2013"], 0.25, norm=fit.FusedNorm, convolution=fit.QuickConvolution)
    fused.set_weights(plain.get_weights())
    for training in (True, False):
        one, other = (np.asarray(m(faces, training=training)["fer2013"]) for m in (plain, fused))
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3)
    for a, b in zip(plain.weights, fused.weights, strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=3e-3, atol=1e-4, err_msg=a.path)


@pytest.mark.parametrize("side", [3, 5, 8, 9])
def test_the_quick_convolution_learns_as_keras_does(side: int) -> None:
    import keras
    import tensorflow as tf

    assert 8 * 8 <= fit.FEW_POSITIONS < 9 * 9  # so both ways are taken here
    rng = np.random.default_rng(side)
    image = tf.constant(rng.normal(size=(4, side, side + 1 if side < 8 else side, 6)), tf.float32)
    taught = tf.constant(rng.normal(size=(*image.shape[:3], 10)), tf.float32)
    gradients = []
    for kind in (keras.layers.Conv2D, fit.QuickConvolution):
        keras.utils.set_random_seed(1)
        layer = kind(10, 3, padding="same", use_bias=False)
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = tf.reduce_sum(layer(image) * taught)
        gradients.append(tape.gradient(loss, [image, layer.kernel.value]))
    for plain, quick in zip(*gradients, strict=True):
        assert np.abs(plain).max() > 1
        np.testing.assert_allclose(quick, plain, rtol=1e-4, atol=1e-4)


def test_a_training_can_begin_with_the_weights_of_another(
    faces: Path, pair: list[Path], splits: tuple[Split, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    votes = faces.parent / "votes.csv"
    good, other = pair
    out = tmp_path / "out"
    options = SMALL | {"epochs": 1, "learning_rate": 1e-6}
    del options["width"]  # it is that of the start
    train_model(faces, out, options, ferplus=votes, start=good)
    (before,), state = load_teachers([good]), State.load(out / CHECKPOINT)
    kernels = [i for i, w in enumerate(before.weights) if w.ndim > 1]
    assert len(kernels) == 12
    for i in kernels:  # the tiny steps leave them where they were, and they are none that chance made
        np.testing.assert_allclose(state.arrays["weights"][i], before.weights[i], atol=1e-4)
    assert state.options["width"] == SMALL["width"]
    card = json.loads((out / "card.json").read_text())
    assert card["dataset"]["start"] == {"path": str(good), "sha256": before.sha256}
    with pytest.raises(UsageError, match=r"out was not started with --start .*other; leave that out"):
        train_model(faces, out, {}, start=other, resume=True)
    with pytest.raises(UsageError, match=r"good: is a network of width 0\.125; leave --width out"):
        train_model(faces, tmp_path / "new", {"width": 1.0}, ferplus=votes, start=good)
    with pytest.raises(UsageError, match=r"good: is a network with the heads fer2013, ferplus; give --ferplus"):
        train_model(faces, tmp_path / "new", {}, start=good)
    with pytest.raises(UsageError, match=r"other: is a network with the heads fer2013; leave --ferplus out"):
        train_model(faces, tmp_path / "new", {}, ferplus=votes, start=other)
    with pytest.raises(ModelError, match="is not a trained network"):
        train_model(faces, tmp_path / "new", {}, start=faces)
    assert not (tmp_path / "new").exists()

    # Interrupted before its first epoch was finished, it still begins where it was told to.
    again = tmp_path / "again"
    monkeypatch.setattr(session, "_run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt, match="no epoch was finished"):
        train_model(faces, again, options, ferplus=votes, start=good)
    monkeypatch.undo()
    monkeypatch.setattr(session, "export", lambda *_: card)
    train_model(faces, again, {}, start=good, resume=True)
    for a, b in zip(state.arrays["weights"], State.load(again / CHECKPOINT).arrays["weights"], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """scripts/release_model.py with three networks of one epoch each, and an empty store."""
    module = load_script("release_model")
    short = SMALL | {"epochs": 1, "augmentation": 1.3, "mixup": 0.2}
    names = ("one", "two", "three")
    networks = {
        name: module.Recipe(short | {"seed": i, "copies": 2}, names[:i], names[1] if name == "three" else None)
        for i, name in enumerate(names)
    }
    monkeypatch.setattr(module, "NETWORKS", networks)
    monkeypatch.setattr(module, "STORE", tmp_path / "store")
    return module


def test_the_release_learns_from_the_networks_before_it_and_goes_on_where_it_was_interrupted(
    script: ModuleType, faces: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, work, to = script.STORE, tmp_path / "work", tmp_path / "model"
    script.copy(student, store / "one", script.KEPT)  # finished before, elsewhere
    begun = []

    def train(data: Path, out: Path, *rest: Any, **more: Any) -> str:
        begun.append((out.name, [t.name for t in more["teachers"]], more["start"] and more["start"].name))
        if len(begun) == 2:
            raise KeyboardInterrupt
        return train_model(data, out, *rest, **more)

    monkeypatch.setattr(script, "train_model", train)
    call = [str(faces), "--ferplus", str(faces.parent / "votes.csv"), "--work", str(work), "--to", str(to)]
    with pytest.raises(KeyboardInterrupt):
        script.main(call)
    script.main(call)
    two, three = ("two", ["one"], None), ("three", ["one", "two"], "two")
    assert begun == [two, three, three]
    script.main(call)  # nothing is left to do
    assert begun == [two, three, three]
    for name in ("one", "two", "three"):
        assert {p.name for p in (store / name).iterdir()} == {"weights.npz", "card.json", "history.csv"}
        text = (store / name / "card.json").read_text()
        assert str(tmp_path) not in text
        assert json.loads(text)["files"] == {}
    card = json.loads((to / "card.json").read_text())
    assert {p.name for p in to.iterdir()} == set(script.SHIPPED)
    expected = {t.folder.name: t.sha256 for t in load_teachers([store / "one", store / "two"])}
    assert {t["path"]: t["sha256"] for t in card["dataset"]["teachers"]} == expected
    assert card["dataset"]["start"] == {"path": "two", "sha256": expected["two"]}
    assert card["training"]["options"]["seed"] == 2
    assert State.load(work / "three" / CHECKPOINT).epoch == 1


def test_the_release_can_be_made_from_nothing(script: ModuleType, tmp_path: Path) -> None:
    script.STORE.mkdir()
    (script.STORE / "one").mkdir()
    (script.STORE / "one" / WEIGHTS).write_bytes(b"not looked at")
    asked = []

    def train(out: Path, options: dict[str, Any], teachers: list[Path], start: Path | None) -> None:
        asked.append((out, options["seed"], teachers, start))

    work = tmp_path / "work"
    assert script.make_networks(train, work, None) == [work / "one", work / "two", work / "three"]
    assert asked == [
        (work / "one", 0, [], None),
        (work / "two", 1, [work / "one"], None),
        (work / "three", 2, [work / "one", work / "two"], work / "two"),
    ]
