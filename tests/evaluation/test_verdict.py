"""What the judge says of true solids, and of solids that are wrong in one way."""

from collections.abc import Callable

import pytest
import torch

from src.config import VideoConfig
from src.evaluation import janus
from src.evaluation.judge.judge import Judge, load_judge
from src.evaluation.judge.wording import TEMPLATES, VIEWS, Saying
from src.evaluation.verdict import Rate, chosen, error_beside, of_views
from src.evaluation.views import AZIMUTHS, Views, around
from src.streams import Streams
from src.toybox.world.captions import Subject
from src.toybox.world.portraits import FRESH, picture
from tests.evaluation.judges import GivenJudge

SIZE = 64
SPREAD = 0.15  # of a share over 48 views of one instance, which are alike, about the share over all


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge()


@pytest.fixture(scope="module")
def solid() -> Callable[[Subject], Views]:
    """Views of one fresh true solid, all from the same instance and paint."""
    made: dict[Subject, Views] = {}

    def of(subject: Subject) -> Views:
        if subject not in made:
            camera = around(VideoConfig(distance=1.45, fov_degrees=45.0), SIZE)
            draws = [Streams(FRESH, 0)("test/picture") for _ in camera.azimuth]
            shots = [picture(subject, camera.one(i), 5, draw, soft=False) for i, draw in enumerate(draws)]
            rgba = torch.stack([torch.from_numpy(shot) for shot in shots]).permute(0, 3, 1, 2)
            made[subject] = Views(camera, rgba[:, :3], rgba[:, 3:], torch.ones_like(rgba[:, 3:]))
        return made[subject]

    return of


def right_on_clean(judge: Judge, question: str) -> float:
    """How often the judge was right on fresh clean solids, as its own errors.json says."""
    assert judge.errors is not None
    count = judge.errors["clean"]["counts"][question]
    return count["right"] / count["count"]


def test_a_judge_that_knows_nothing_is_right_by_chance() -> None:
    """Oracle: 1 of 128 sentences; random unit vectors, 6,144 pictures, within 4 standard deviations."""
    camera = around(VideoConfig(), 8)
    blank = torch.zeros(len(camera.azimuth), 1, 8, 8)
    views = Views(camera, blank.expand(-1, 3, -1, -1), blank, blank)
    judge, right = GivenJudge(blank), 0
    for seed in range(128):
        seen = torch.randn(len(blank), 16, generator=torch.Generator().manual_seed(seed))
        judge.seen = seen / seen.norm(dim=1, keepdim=True)
        found = of_views(judge, views, f"{seed} red cats", None).r_precision
        assert found.count == len(blank)
        right += found.right
    expected = 128 * len(blank) / 128
    assert abs(right - expected) < 4 * expected**0.5


def test_what_looks_like_nothing_is_nothing() -> None:
    """Oracle: no sentence is chosen on a tie, or by a picture that is not finite."""
    read = torch.eye(3)
    seen = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.1], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    broken = torch.full((1, 3), torch.nan)
    assert chosen(torch.cat([seen, broken]), read) == [0, 1, -1, -1, -1]


def test_views_are_counted_where_they_have_a_name() -> None:
    """Oracle: a judge that always hears "back view": of 24 azimuths, borders left out, the 5 at the back."""
    subject = Subject("lion")
    seen = torch.tensor([1.0, 0.0, 0.0]).repeat(2 * AZIMUTHS, 1)
    hears = {view: torch.tensor([float(view == "back view"), 1.0, 0.0]) for view in VIEWS}
    read = {t.format(Saying(subject, view).text()): row for view, row in hears.items() for t in TEMPLATES}
    camera = around(VideoConfig(), 8)
    blank = torch.zeros(2 * AZIMUTHS, 1, 8, 8)
    views = Views(camera, blank.expand(-1, 3, -1, -1), blank, blank)
    found = of_views(GivenJudge(seen, read), views, "a lion", subject)
    assert found.view == Rate(2 * 5, 2 * 20)
    assert found.called_front == Rate(0, 2 * 5)


@pytest.mark.parametrize(
    "subject",
    [
        Subject("lion", "red"),
        Subject("duck", "yellow", base="lily pad"),
        Subject("mug", "purple"),
        Subject("tree"),
    ],
)
def test_a_true_solid_is_what_it_is(
    judge: Judge, solid: Callable[[Subject], Views], subject: Subject
) -> None:
    """Oracle: the solid that was rendered, as often as the judge was right on fresh ones of all kinds."""
    found = of_views(judge, solid(subject), subject.phrase(), subject)
    assert found.kind is not None
    assert found.kind.share >= right_on_clean(judge, "kind") - SPREAD
    assert found.r_precision.share >= right_on_clean(judge, "r_precision") - SPREAD
    if subject.color:
        assert found.color is not None
        assert found.color.share >= right_on_clean(judge, "color") - SPREAD
    else:
        assert found.color is None
    assert found.material is None


def test_a_wrong_colour_is_wrong_in_its_colour_alone(judge: Judge, solid: Callable[[Subject], Views]) -> None:
    """Oracle: a blue lion under the prompt "a red lion": no view red, the kind as right as before."""
    wrong, right = Subject("lion", "red"), Subject("lion", "blue")
    found = of_views(judge, solid(right), wrong.phrase(), wrong)
    assert found.color is not None
    assert found.kind is not None
    assert found.color.share <= 0.05
    assert found.r_precision.share <= 0.05
    assert found.kind.share >= right_on_clean(judge, "kind") - SPREAD


def test_a_second_face_is_a_janus_and_nothing_else(judge: Judge, solid: Callable[[Subject], Views]) -> None:
    """Oracle: a lion whose views from behind show the front is two-faced, a true one is not."""
    subject = Subject("lion", "red")
    true = solid(subject)
    behind = (true.camera.azimuth.rad2deg() - 180).abs() < 45
    half = AZIMUTHS // 2
    faces = torch.cat([ring.roll(half, 0) for ring in true.color.split(AZIMUTHS)])
    masks = torch.cat([ring.roll(half, 0) for ring in true.opacity.split(AZIMUTHS)])
    keep = behind[:, None, None, None]
    two_faced = true._replace(
        color=torch.where(keep, faces, true.color), opacity=torch.where(keep, masks, true.opacity)
    )
    rates, verdicts = [], []
    for views in (true, two_faced):
        verdicts.append(of_views(judge, views, subject.phrase(), subject))
        rates.append(janus.measure(verdicts[-1], judge, subject))
    assert rates[0] is not None
    assert rates[1] is not None
    assert rates[0].raw.share <= 0.1
    # Of the fronts that it shows from behind the judge knows `sensitivity`, give or take a quarter.
    assert rates[1].sensitivity is not None
    assert rates[1].raw.share >= rates[1].sensitivity - 0.25
    assert rates[0].corrected is not None
    assert rates[1].corrected is not None
    assert rates[0].corrected <= 0.1
    assert rates[1].corrected >= rates[0].corrected + 0.6
    for name in ("kind", "color"):
        before, after = (getattr(v, name).share for v in verdicts)
        assert abs(before - after) <= 0.15


def test_every_figure_has_its_error_beside_it(judge: Judge) -> None:
    """Oracle: the counts of errors.json; a foreign judge says that it has none."""
    assert judge.errors is not None
    count = judge.errors["clean"]["counts"]["kind"]
    said = error_beside(judge, "kind")
    assert f"{count['right'] / count['count']:.1%} of clean" in said
    assert "unmeasured" in error_beside(GivenJudge(torch.zeros(1, 1)), "kind")


def test_a_question_that_was_never_measured_is_said_to_be_so() -> None:
    """Oracle: an older judge's errors without a base, or with no picture that has one."""
    for bases in ({}, {"base": {"right": 0, "count": 0}}):
        state = {"counts": {"kind": {"right": 9, "count": 10}} | bases}
        judge = GivenJudge(torch.zeros(1, 1), errors={"clean": state, "degraded": state})
        assert "90.0% of clean and 90.0% of degraded" in error_beside(judge, "kind")
        assert "unmeasured" in error_beside(judge, "base")
