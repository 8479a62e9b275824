"""The figures that an evaluation gives: what each is called, in which unit, and which way is better."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """One line of every table."""

    key: str  # group.name in evaluation.json
    title: str
    better: str  # which way: "higher", "lower", "near 0", or "" where none is
    meaning: str
    percent: bool = False
    digits: int = 2
    unit: str = ""

    def write(self, value: float, difference: bool = False) -> str:
        """The number as tables have it, without its unit; with a sign where both occur."""
        signed = difference or self.better == "near 0"
        shown = 100 * value if self.percent else value
        return f"{shown:{'+' if signed else ''}.{0 if self.percent else self.digits}f}"


DIVERSITY = Figure(
    "looks.diversity",
    "diversity across seeds",
    "higher",
    "how far the same view of two seeds' objects differs before grey (root mean square of RGB in 0 ... 1), "
    "mean over views and pairs of seeds",
    digits=3,
)
FIGURES = (
    Figure(
        "geometry.iou_share",
        "silhouette IoU, of ceiling",
        "higher",
        "common over joint area of the silhouettes of the object and of the true solid that fits it best "
        "(over yaw, scale and translation), from 48 sides; as a share of what true solids of the kind reach "
        "among themselves",
        percent=True,
    ),
    Figure(
        "geometry.chamfer_share",
        "surface distance, of ceiling",
        "higher",
        "Chamfer distance of the same two: that of true solids among themselves over the object's",
        percent=True,
    ),
    Figure(
        "geometry.depth_share",
        "depth error, of ceiling",
        "higher",
        "mean depth difference within both silhouettes, expressed in the same way",
        percent=True,
    ),
    Figure(
        "consistency.color_difference",
        "colour change between views",
        "lower",
        "mean difference of a surface point's colour (0 ... 1) seen again 15 degrees on",
        digits=3,
    ),
    Figure(
        "consistency.unmatched",
        "surface without a match",
        "lower",
        "share of surface points that the view 15 degrees on contradicts",
        percent=True,
    ),
    Figure(
        "looks.spectrum_distance",
        "distance of spectrum",
        "lower",
        "mean difference of the pictures' radial log power spectrum from that of ancestral samples of the "
        "prior (guidance 7.5) for the same prompt and view words; too much power counts as too little does",
        unit="dB",
    ),
    Figure(
        "looks.spectrum_distance_floor",
        "its floor",
        "",
        "the same between as many samples and as many others: noise of the figure above",
        unit="dB",
    ),
    Figure(
        "looks.spectrum_detail",
        "fine detail beside samples",
        "near 0",
        "signed difference over the finer half of that spectrum: below 0 blurred, above 0 noisy or crisper",
        unit="dB",
    ),
    Figure(
        "looks.saturation_excess",
        "saturation beside samples",
        "near 0",
        "mean chroma (largest less smallest of R, G, B; 0 ... 1) of the object's pixels, less the samples'",
        digits=3,
    ),
    DIVERSITY,
)
FLAGS = ("empty", "fog", "floaters", "billboard", "divergence")


def value_of(evaluation: Mapping[str, Any], key: str) -> float | None:
    """A figure of an evaluation; None where it was not measured."""
    group, _, name = key.partition(".")
    value = evaluation["figures"].get(group, {}).get(name)
    return None if value is None else float(value)


def in_words(evaluation: Mapping[str, Any]) -> list[str]:
    """One line for each figure of a run, and for what was not measured."""
    lines = []
    for figure in FIGURES:
        value = value_of(evaluation, figure.key)
        if value is not None:
            unit = "%" if figure.percent else f" {figure.unit}".rstrip()
            better = f" ({figure.better} is better)" if figure.better else ""
            lines.append(f"{figure.title}: {figure.write(value)}{unit}{better}")
    flags = [flag for flag in FLAGS if value_of(evaluation, f"failures.{flag}")]
    if "failures" in evaluation["figures"]:
        lines.append(f"failures: {', '.join(flags) or 'none'}")
    return lines + [f"no {group}: {reason}" for group, reason in evaluation["not_measured"].items()]


def in_short(evaluation: Mapping[str, Any]) -> list[str]:
    """Two lines for under a small picture."""
    spectrum = value_of(evaluation, "looks.spectrum_distance")
    return [f"spectrum {spectrum:.1f} dB" if spectrum is not None else "no looks"]
