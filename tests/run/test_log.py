"""The log: every step once, whatever was killed when; numbers that are not finite stop the run by name."""

import json
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.errors import UserError
from src.guidance.schedule import Stage
from src.run.log import PARTS, Log, LoggingConfig, Seconds, cut_back

STAGE = Stage(64, 20, 980)
NUMBERS = {"opacity": 0.5, "gradient": 1e-3}


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_rows_and_events_hold_what_was_logged(tmp_path: Path) -> None:
    """Oracle: what was passed in; TensorBoard's own reader."""
    log = Log(tmp_path, first_step=0, steps=4, every=2)
    for step in range(4):
        log.step(step, STAGE, {"opacity": step / 4, "gradient": 1.0}, draws=f"d{step}")
    log.close()
    expected = {"step": 3, **STAGE._asdict(), "opacity": 0.75, "gradient": 1.0, "draws": "d3"}
    assert rows(tmp_path)[3] == expected
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("opacity")] == [(0, 0.0), (2, 0.5)]


def test_pictures_reach_tensorboard(tmp_path: Path) -> None:
    """Oracle: TensorBoard's own reader, and the pixels that were put in."""
    row = np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3)
    log = Log(tmp_path, first_step=0, steps=4, every=2)
    log.picture(3, row)
    log.close()
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    (event,) = events.Images("preview")
    assert event.step == 3
    with Image.open(BytesIO(event.encoded_image_string)) as picture:
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), row)


def test_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    """Oracle: steps 0..5 after a kill at step 4 (with a row cut in half) and a resume from step 2."""
    log = Log(tmp_path, first_step=0, steps=6, every=1)
    for step in range(4):
        log.step(step, STAGE, NUMBERS, draws="")
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "opac')
    log = Log(tmp_path, first_step=2, steps=6, every=1)
    for step in range(2, 6):
        log.step(step, STAGE, NUMBERS, draws="")
    log.close()
    assert [row["step"] for row in rows(tmp_path)] == list(range(6))


def test_cut_back_of_nothing_is_nothing(tmp_path: Path) -> None:
    """Oracle: no file appears."""
    cut_back(tmp_path / "metrics.jsonl", 3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_stops_by_name(tmp_path: Path, number: float) -> None:
    """Oracle: the sentence names the quantity, the step and the remedy."""
    log = Log(tmp_path, first_step=0, steps=6, every=1)
    with pytest.raises(UserError, match=r"step 3: gradient is (nan|inf).*lower optimizer.lr_encoding"):
        log.step(3, STAGE, NUMBERS | {"gradient": number}, draws="")
    log.close()
    assert rows(tmp_path) == []


def test_seconds_add_up_over_sittings() -> None:
    """Oracle: the parts and the rest sum to the whole, and the first sitting's are carried on."""
    first = Seconds(torch.device("cpu"), {"render": 5.0, "rest": 2.0})
    began = time.perf_counter()
    with first("render"):
        time.sleep(0.02)
    by_part = first.by_part()
    assert set(by_part) == {*PARTS, "rest"}
    assert by_part["render"] >= 5.02
    assert by_part["rest"] >= 2.0
    # The sum exceeds the 7 s brought along by no more than the time that really passed.
    assert 7.02 <= sum(by_part.values()) <= 7.001 + time.perf_counter() - began


def test_seconds_are_charged_even_when_the_block_raises() -> None:
    """Oracle: a part entered and left by an exception still has time on its account."""
    seconds = Seconds(torch.device("cpu"))
    with pytest.raises(ZeroDivisionError), seconds("unet"):
        _ = 1 / 0
    assert seconds.by_part()["unet"] > 0


def test_one_checkpoint_is_too_few() -> None:
    """Oracle: a broken newest one falls back to the one before, so there must be one before."""
    with pytest.raises(UserError, match=r"logging\.checkpoints_kept=1 is too few: choose 2 or more"):
        LoggingConfig(checkpoints_kept=1)
