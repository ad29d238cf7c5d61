"""Checkpoints are whole or not there, ranked and pruned, and damage is seen."""

from __future__ import annotations

import errno
import json
import math
import resource

import pytest
import torch
from safetensors.torch import save_file

from dataset.storage.files import sha256
from problems.engine.checkpoints import store
from problems.engine.checkpoints.store import Checkpoints, best, damage, newest, steps_in
from problems.engine.checkpoints.writing import write
from problems.engine.runtime.checkpoint_names import name_of, step_of
from problems.engine.runtime.errors import CheckpointError


def fill(text="weights"):
    def write_files(folder):
        (folder / "model").mkdir()
        (folder / "model" / "w").write_text(text)
        (folder / "training.pt").write_bytes(bytes(100))

    return write_files


def names(train_dir):
    return [p.name for p in steps_in(train_dir)]


def keeper(tmp_path, newest=2, rules=None):
    return Checkpoints(tmp_path, rules or {"wer min": ("wer", False, 1)}, newest)


def test_a_written_checkpoint_verifies(tmp_path):
    write(tmp_path / "step_00000010", fill())
    assert damage(tmp_path / "step_00000010") is None
    assert newest(tmp_path).name == "step_00000010"


def test_a_writer_that_fails_leaves_nothing_under_the_name(tmp_path):
    def half(folder):
        fill()(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "step_00000010", half)
    assert list(tmp_path.iterdir()) == []


def raise_full(folder):
    raise OSError(errno.ENOSPC, "No space left on device")


def exceed_the_quota(folder):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        save_file({"a": torch.zeros(1000)}, folder / "weights.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("full", "text"), [(raise_full, "No space left on device"), (exceed_the_quota, "File too large")]
)
def test_a_full_disk_says_so_and_leaves_the_older_one_whole(full, text, tmp_path):
    write(tmp_path / "step_00000010", fill())
    with pytest.raises(CheckpointError, match=f"{text}.*Earlier checkpoints are intact.*run the same"):
        write(tmp_path / "step_00000020", full)
    assert names(tmp_path) == ["step_00000010"] and damage(tmp_path / "step_00000010") is None


@pytest.mark.parametrize("position", [0, 50, 99])
def test_one_flipped_byte_is_seen_and_the_one_before_is_taken_loudly(tmp_path, caplog, position):
    write(tmp_path / "step_00000010", fill())
    write(tmp_path / "step_00000020", fill())
    file = tmp_path / "step_00000020" / "training.pt"
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)
    assert newest(tmp_path).name == "step_00000010"
    assert "step_00000020" in caplog.text and "DAMAGED" in caplog.text and "training.pt" in caplog.text


@pytest.mark.parametrize("harm", ["cut", "file", "manifest", "torn manifest"])
def test_every_kind_of_damage_is_named(tmp_path, harm):
    folder = tmp_path / "step_00000010"
    write(folder, fill())
    if harm == "cut":
        (folder / "training.pt").write_bytes(bytes(99))
    elif harm == "file":
        (folder / "model" / "w").unlink()
    elif harm == "manifest":
        (folder / "manifest.json").unlink()
    else:
        (folder / "manifest.json").write_text('{"files": {')
    expected = {"cut": "99 bytes, expected 100", "file": "model/w is missing"}.get(harm, "manifest.json")
    assert expected in damage(folder)


def test_with_no_whole_one_left_nothing_starts_over_silently(tmp_path):
    write(tmp_path / "step_00000010", fill())
    (tmp_path / "step_00000010" / "training.pt").unlink()
    with pytest.raises(CheckpointError, match="--fresh"):
        newest(tmp_path)


def test_a_damaged_one_is_replaced_when_its_step_comes_again(tmp_path):
    write(tmp_path / "step_00000010", fill("old"))
    (tmp_path / "step_00000010" / "training.pt").unlink()
    write(tmp_path / "step_00000010", fill("new"))
    assert damage(tmp_path / "step_00000010") is None
    assert (tmp_path / "step_00000010" / "model" / "w").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["step_00000010"]


def test_a_kill_between_setting_aside_and_replacing_loses_nothing(tmp_path):
    write(tmp_path / "step_00000010", fill())
    (tmp_path / "step_00000010").rename(tmp_path / "step_00000010.old")
    store.tidy(tmp_path)
    assert newest(tmp_path).name == "step_00000010"


def test_a_kill_before_the_replaced_one_is_removed_leaves_nothing_for_ever(tmp_path):
    write(tmp_path / "average", fill("new"))
    for name in ("average.old", "tb", "tb.old"):  # the last two are the user's
        (tmp_path / name).mkdir()
    store.tidy(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["average", "tb", "tb.old"]


def test_a_damaged_one_is_set_aside_and_counts_no_more(tmp_path):
    for step in (10, 20):
        write(tmp_path / f"step_000000{step}", fill())
    (tmp_path / "step_00000020" / "training.pt").unlink()
    (tmp_path / ".step_00000030.99.tmp").mkdir()  # what a killed writer left
    store.tidy(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_00000010", "step_00000020.damaged.1"]
    kept = keeper(tmp_path, newest=1)
    kept.rank(15, {"wer": 0.5})
    kept.save(15, fill())
    assert names(tmp_path) == ["step_00000015"]


def test_the_newest_and_the_best_are_kept(tmp_path):
    checkpoints = keeper(tmp_path, newest=2, rules={"wer min": ("wer", False, 2), "acc max": ("acc", True, 1)})
    for step, (wer, acc) in enumerate([(0.5, 0.1), (0.2, 0.9), (0.9, 0.2), (0.3, 0.3), (0.8, 0.4), (0.7, 0.5)]):
        checkpoints.rank(step, {"wer": wer, "acc": acc})
        checkpoints.save(step, fill())
    assert [step_of(p) for p in steps_in(tmp_path)] == [1, 3, 4, 5]
    assert json.loads((tmp_path / "best.json").read_text()) == {
        "wer min": ["step_00000001", "step_00000003"],
        "acc max": ["step_00000001"],
    }
    assert best(tmp_path).name == "step_00000001"


def test_an_interim_checkpoint_gives_way_to_the_next_planned_one(tmp_path):
    """Else a run that was interrupted would keep, and average, other checkpoints than one that was not."""
    checkpoints = keeper(tmp_path, newest=2)
    for step, interim in ((10, False), (13, True), (20, False), (21, True), (22, True), (23, True)):
        checkpoints.save(step, fill(), interim=interim)
    assert [step_of(p) for p in steps_in(tmp_path)] == [10, 20, 22, 23]
    checkpoints.save(23, fill())  # its validation turned out to be among the best
    checkpoints.save(30, fill(), interim=True)
    assert [step_of(p) for p in steps_in(tmp_path)] == [20, 23, 30]
    assert newest(tmp_path).name == "step_00000030" and damage(newest(tmp_path)) is None


def test_an_interim_checkpoint_gives_way_even_if_all_planned_ones_are_kept(tmp_path):
    checkpoints = keeper(tmp_path, newest=None)
    for step, interim in ((10, False), (13, True), (20, False), (21, True)):
        checkpoints.save(step, fill(), interim=interim)
    assert [step_of(p) for p in steps_in(tmp_path)] == [10, 20, 21]


def test_pruning_finishes_what_a_kill_cut(tmp_path):
    checkpoints = keeper(tmp_path, newest=1)
    for step in (10, 13, 20):
        write(tmp_path / name_of(step), fill(), interim=step == 13)
    checkpoints.prune()
    assert names(tmp_path) == ["step_00000020"]


def test_nan_is_never_best_and_negative_values_rank(tmp_path):
    checkpoints = keeper(tmp_path, rules={"score max": ("score", True, 1)})
    assert not checkpoints.rank(1, {"score": math.nan})
    assert checkpoints.rank(2, {"score": -5.0})
    assert checkpoints.rank(3, {"score": -1.0})
    assert not checkpoints.rank(4, {"score": -2.0})
    assert not checkpoints.rank(5, {"score": math.nan})
    assert checkpoints.state() == {"score max": [[-1.0, math.inf, 3]]}


def test_the_earlier_of_equals_is_the_best(tmp_path):
    checkpoints = keeper(tmp_path)
    checkpoints.rank(1, {"wer": 0.5})
    assert not checkpoints.rank(2, {"wer": 0.5})


def test_of_equals_the_one_with_the_lower_loss_is_the_best(tmp_path):
    checkpoints = keeper(tmp_path)
    checkpoints.rank(1, {"wer": 0.0, "loss": 0.041})
    assert checkpoints.rank(2, {"wer": 0.0, "loss": 0.016})
    assert not checkpoints.rank(3, {"wer": 0.0, "loss": 0.02}) and not checkpoints.rank(
        4, {"wer": 0.0, "loss": math.nan}
    )


def test_a_metric_that_validation_does_not_give_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no metric 'wer', which the rule 'wer min' ranks by"):
        keeper(tmp_path).rank(1, {"accuracy": 1.0, "loss": 0.1})


def test_the_best_of_a_run_without_a_ranking_is_the_newest_that_is_whole(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint in .*run stage 2 first"):
        best(tmp_path)
    checkpoints = Checkpoints(tmp_path, {}, None)
    for step in (10, 20, 30):
        checkpoints.save(step, fill())
    assert best(tmp_path).name == "step_00000030"
    (tmp_path / "step_00000030" / "training.pt").unlink()
    assert best(tmp_path).name == "step_00000020"
    (tmp_path / "best.json").unlink()
    assert best(tmp_path).name == "step_00000020"


def test_the_best_is_that_of_the_first_rule_that_ranked_any(tmp_path):
    checkpoints = keeper(tmp_path, rules={"wer min": ("wer", False, 1), "acc max": ("acc", True, 1)})
    for step, acc in ((10, 0.9), (20, 0.5)):
        checkpoints.rank(step, {"wer": math.nan, "acc": acc})
        checkpoints.save(step, fill())
    assert best(tmp_path).name == "step_00000010"


def test_a_restored_ranking_drops_checkpoints_that_are_gone(tmp_path):
    first = keeper(tmp_path, newest=None, rules={"wer min": ("wer", False, 2)})
    for step in (10, 20):
        first.rank(step, {"wer": 1 / step})
        first.save(step, fill())
    store.remove_folder(tmp_path / "step_00000020")
    second = keeper(tmp_path, newest=None, rules={"wer min": ("wer", False, 2)})
    second.restore(first.state(), writes=False)
    assert "step_00000020" in (tmp_path / "best.json").read_text()  # only the process that writes publishes it
    second.restore(first.state())
    assert best(tmp_path).name == "step_00000010"


def test_a_restored_ranking_goes_on(tmp_path):
    first = keeper(tmp_path)
    first.rank(1, {"wer": 0.3})
    first.save(1, fill())
    second = keeper(tmp_path)
    second.restore(first.state())
    assert not second.rank(2, {"wer": 0.4})
    second.save(2, fill())
    assert best(tmp_path).name == "step_00000001"


def test_the_400th_save_does_what_the_first_did(tmp_path):
    checkpoints = keeper(tmp_path)
    sizes = set()
    for step in range(1, 401):
        checkpoints.rank(step, {"wer": 1 / step})
        if step in (1, 2, 3, 400):
            folder = checkpoints.save(step, fill())
            sizes.add((len(list(folder.rglob("*"))), sum(map(len, checkpoints.state().values()))))
    assert len(sizes) == 1


def test_without_a_ranking_the_newest_checkpoint_is_the_best(tmp_path):
    checkpoints = keeper(tmp_path, rules={})
    for step in (1, 2):
        checkpoints.save(step, fill())
    assert best(tmp_path).name == "step_00000002"
    (tmp_path / "best.json").unlink()
    assert best(tmp_path).name == "step_00000002"


def test_weights_are_read_once_until_they_change(tmp_path, monkeypatch):
    folder, read = tmp_path / name_of(1), []
    write(folder, fill())
    monkeypatch.setattr(store, "sha256", lambda path: read.append(path.name) or sha256(path))
    assert damage(folder) is None and sorted(read) == ["training.pt", "w"]
    assert store.require(folder) == folder == newest(tmp_path) and len(read) == 2
    (folder / "model" / "w").write_text("weightz")
    assert "differs from what was written" in damage(folder) and read[2:] == ["w"]
