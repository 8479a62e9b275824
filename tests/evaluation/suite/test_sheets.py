"""Pictures with figures: what stands where, and that a truth's outline is drawn where the truth is."""

import numpy as np
import torch

from src.config import VideoConfig
from src.evaluation.suite.figures import Row
from src.evaluation.suite.sheets import TRUTH, Cell, contact_sheet, portrait, thumbnails
from src.evaluation.views import Views, around


def box(low: int, high: int) -> Views:
    """A red box of pixels [low, high) in every view of 24 pixels."""
    camera = around(VideoConfig(), 24)
    opacity = torch.zeros(48, 1, 24, 24)
    opacity[..., low:high, low:high] = 1
    return Views(camera, opacity * torch.tensor([1.0, 0, 0]).view(3, 1, 1), opacity, opacity)


def test_thumbnails_are_four_sides_of_two_elevations_before_grey() -> None:
    """Oracle: the views' order, 0, 90, 180, 270 degrees of each ring; red on grey 127.5, rounded to even."""
    views = box(6, 18)
    views.color[6] = 0  # 90 degrees
    small = thumbnails(views)
    assert small.shape == (8, 3, 24, 24)
    assert small[:, 0, 12, 12].tolist() == [255, 0, 255, 255, 255, 255, 255, 255]
    assert small[0, :, 0, 0].tolist() == [128, 128, 128]


def test_a_portrait_draws_the_true_outline_where_the_truth_is() -> None:
    """Oracle: sixteen boxes' outlines in a colour of their own, none without a truth; size is the same."""
    with_truth = np.asarray(
        portrait(box(6, 18), box(4, 20).opacity, "a red box", [Row("IoU", "70%", "higher")])
    )
    without = np.asarray(portrait(box(6, 18), None, "a red box", [Row("IoU", "70%", "higher")]))
    drawn = (with_truth == TRUTH).all(-1)
    # 16 of 24 pixels at 144 pixels a view: a side of 96, give or take the blur of enlarging.
    assert abs(drawn.sum() / 16 - 4 * 95) < 40
    assert not (without == TRUTH).all(-1).any()
    assert with_truth.shape == without.shape


def test_a_sheet_has_a_place_for_every_run_and_says_which_are_missing() -> None:
    """Oracle: the second method's only run shows its colour in the second column alone."""
    cell = Cell(thumbnails(box(0, 24)), ["IoU 70%"])
    sheet = np.asarray(
        contact_sheet(["a cat", "a dog"], ["A", "B"], {("a dog", "B"): cell}, "suite", "legend")
    )
    red = (sheet == (255, 0, 0)).all(-1)
    rows, columns = np.nonzero(red)
    assert rows.min() > sheet.shape[0] // 2 - 40
    assert columns.min() > sheet.shape[1] // 2
    assert red.sum() == 4 * 72 * 72


def test_a_long_method_stays_above_its_own_column() -> None:
    """Oracle: without a second title, nothing is drawn between the first column and the end of the sheet."""
    long = "NFSD 7.5 + schedule.resolution_after=128 + field.hash_grid.levels=6 + prompts.interpolate=true"
    sheet = np.asarray(contact_sheet(["a cat"], [long, ""], {}, "suite", ""))
    second = 10 + 120 + 4 * 72 + 10
    # Below title and legend, above the cells; the title breaks into three lines of 18 pixels.
    head = sheet[50 : 62 + 3 * 18]
    assert (head[:, second:] == 255).all()
    assert (head[-18:, 130:second] < 255).any()
