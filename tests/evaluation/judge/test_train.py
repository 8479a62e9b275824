"""Training the judge: its loss against a closed form, its command line, and an interrupted run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.evaluation.judge import errors as judge_errors
from src.evaluation.judge.judge import ERRORS, load_judge
from src.evaluation.judge.train import Settings, caption_loss, fit, main, measure, sayings_of
from src.evaluation.judge.wording import true_of, view_of
from src.toybox.world.portraits import FRESH, Facts, read_shards, shard


@given(a=st.floats(-5, 5), b=st.floats(-5, 5), c=st.floats(-5, 5))
def test_a_true_caption_competes_with_false_ones_alone(a: float, b: float, c: float) -> None:
    """Oracle: softmax cross-entropy of each true caption against the false ones. 1e-5: float32."""
    logits = torch.tensor([[a, b, c, 9.0]])
    truth = torch.tensor([[1, 1, 0, -1]])  # the last caption is a matter of opinion: 9 must not matter
    each = [-np.log(np.exp(x) / (np.exp(x) + np.exp(c))) for x in (a, b)]
    assert caption_loss(logits, truth).item() == pytest.approx(np.mean(each), abs=1e-5)


def test_without_doubles_it_is_the_loss_of_clip() -> None:
    """Oracle: torch's cross-entropy where every picture has one true caption. 1e-6: float32."""
    logits = torch.randn(7, 7, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.cross_entropy(logits, torch.arange(7))
    torch.testing.assert_close(
        caption_loss(logits, torch.eye(7, dtype=torch.int64)), expected, atol=1e-6, rtol=0
    )


def test_rows_without_truth_are_left_out() -> None:
    """Oracle: the loss of the other rows; a batch with none at all costs nothing, gradient finite."""
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    truth = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, -1, 1]])
    torch.testing.assert_close(caption_loss(logits, truth), caption_loss(logits[[0, 2]], truth[[0, 2]]))
    nothing = caption_loss(logits, torch.full((3, 4), -1))
    nothing.backward()
    assert nothing.item() == 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@given(u=st.lists(st.floats(0, 0.999), min_size=5, max_size=5), azimuth=st.floats(0, 359))
def test_a_picture_is_captioned_with_the_truth(u: list[float], azimuth: float) -> None:
    """Oracle: `true_of`: the caption, whatever it leaves out, and one of the answers to a question."""
    facts = Facts("lion", "red", "stone", "pedestal", azimuth, 10.0, False)
    view = view_of(azimuth, 10.0)
    said, *options = sayings_of(facts, view, torch.tensor(u))
    assert true_of(said, facts.subject(), view) is True
    assert [true_of(option, facts.subject(), view) for option in options].count(True) == 1


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("steps=0", "steps=0 is out of range: choose 1 to"),
        ("degraded=2", "degraded=2.0 is out of range: choose 0 to 1"),
        (
            f"seed={FRESH}",
            f"seed={FRESH} is out of range: choose 0 to",
        ),  # or it would be tested on what it saw
        ("weights=src", "weights=src is there and is no judge that was exported"),
        ("epochs=3", "epochs=3: no such setting; write name=value with one of folder, weights, "),
    ],
)
def test_a_slip_is_one_sentence_and_exit_code_2(
    argument: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the sentence alone on stderr, before anything is rendered."""
    assert main([argument]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)


def write(folder: Path, seed: int, count: int) -> None:
    folder.mkdir(parents=True)
    pixels, facts = shard(seed, 0, count)
    np.save(folder / "0000.npy", pixels)
    (folder / "0000.json").write_text(json.dumps(facts))


def test_an_interrupted_training_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    """Oracle: bit-identical weights; then a judge of this folder loads and has its error beside it."""
    for name in ("one", "other"):
        write(tmp_path / name / "world", 3, 10)
        write(tmp_path / name / "fresh", 3 + FRESH, 6)
    settings = {"batch_size": 3, "checkpoint_seconds": 0}
    one, other = (
        Settings(folder=str(tmp_path / name), weights=str(tmp_path / name / "weights"), steps=3, **settings)
        for name in ("one", "other")
    )
    fit(one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("src.evaluation.judge.train.before_any_background", _fail_at_the_third())
        with pytest.raises(KeyboardInterrupt):
            fit(other)
    fit(other)
    name = "weights/model.safetensors"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    errors = measure(one)
    assert load_judge(one.weights).errors == json.loads((tmp_path / "one/weights" / ERRORS).read_text())
    hard = sum(not fact.soft for fact in read_shards(tmp_path / "one/fresh")[1][0])
    assert errors["clean"]["counts"]["kind"]["count"] == hard
    assert errors["degraded"]["counts"]["kind"]["count"] == 6
    assert judge_errors.table(errors).count("\n") == 7


def _fail_at_the_third():  # type: ignore[no-untyped-def]
    from src.evaluation.judge.degrade import before_any_background

    calls = iter(range(100))

    def background(rgba, draw):  # type: ignore[no-untyped-def]
        if next(calls) == 2:
            raise KeyboardInterrupt
        return before_any_background(rgba, draw)

    return background
