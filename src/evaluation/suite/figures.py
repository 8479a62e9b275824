"""The figures that an evaluation gives: what each is called, in which unit, and which way is better."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """One line of every table."""

    key: str  # group.name in evaluation.json
    title: str
    better: str  # which way: "higher", "lower" or "near 0"
    meaning: str
    beside: str = ""  # a run's own remark, filled in with the figures of its group
    percent: bool = False
    digits: int = 2
    unit: str = ""
    reference: str = ""  # what a suite's mean is read beside, filled in with the means of its group

    def write(self, value: float, difference: bool = False) -> str:
        """The number as tables have it, without its unit; with a sign where both occur."""
        signed = difference or self.better == "near 0"
        shown = 100 * value if self.percent else value
        return f"{shown:{'+' if signed else ''}.{0 if self.percent else self.digits}f}"

    def write_with_unit(self, value: float) -> str:
        """The number as a run's own table has it."""
        return self.write(value) + ("%" if self.percent else f" {self.unit}".rstrip())


class Row(NamedTuple):
    """One line of a run's own table."""

    title: str
    value: str
    remark: str


def _judged(name: str, title: str, meaning: str) -> Figure:
    counted = f"{{{name}_right}} of {{{name}_count}} views"
    return Figure(f"judge.{name}", title, "higher", meaning, counted, percent=True)


FRONTS = "the judge calls {janus_sensitivity:.0%} of true fronts front, {janus_false_alarm:.0%} of true backs"
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
        "silhouette IoU, share of ceiling",
        "higher",
        "common over joint area of the silhouettes of the object and of the true solid that fits it best "
        "(over yaw, scale and translation), from 48 sides; the ceiling is what true solids of the kind reach "
        "among themselves",
        "IoU {silhouette_iou:.2f}, ceiling {iou_ceiling:.2f}",
        percent=True,
        reference="a true solid: 100; IoU {silhouette_iou:.2f}, ceiling {iou_ceiling:.2f}",
    ),
    Figure(
        "geometry.chamfer_share",
        "surface distance, share of ceiling",
        "higher",
        "Chamfer distance of the same two: that of true solids among themselves over the object's",
        "Chamfer {chamfer:.3f}, ceiling {chamfer_ceiling:.3f} of the solid's radius",
        percent=True,
        reference="a true solid: 100",
    ),
    Figure(
        "geometry.depth_share",
        "depth error, share of ceiling",
        "higher",
        "mean depth difference within both silhouettes, expressed in the same way",
        "error {depth_error:.3f}, ceiling {depth_ceiling:.3f} of the solid's radius",
        percent=True,
        reference="a true solid: 100",
    ),
    _judged(
        "r_precision",
        "R-precision",
        "share of views whose nearest caption, for the judge, is the prompt and none of 100 or more others",
    ),
    _judged("kind", "kind recognised", "share of views in which the judge sees the prompt's kind of object"),
    _judged("color", "colour recognised", "the same for the colour, where the prompt names one"),
    _judged("material", "material recognised", "the same for the material, where the prompt names one"),
    _judged("base", "base recognised", "the same for what it stands on, where the prompt names that"),
    _judged("view", "view recognised", "the same for the side it is seen from, of kinds with a front"),
    Figure(
        "judge.janus_raw",
        "views from behind called front",
        "lower",
        "share of the views within 40 degrees of the back that the judge calls a front, of kinds with one",
        "{janus_raw_right} of {janus_raw_count} views",
        percent=True,
    ),
    Figure(
        "judge.janus",
        "Janus rate",
        "lower",
        "the same, corrected by how often the judge calls true fronts and true backs of the kind front; "
        "below 0 where it called fewer backs front than it does of true ones",
        FRONTS,
        percent=True,
        reference=FRONTS,
    ),
    Figure(
        "faces.distance",
        "face beside the truth",
        "lower",
        "distance (one less the judge's cosine) of the square around the face in the front views from the "
        "nearest of 24 true ones, of kinds with a face; floor: true ones beside other instances",
        "floor {distance_floor:.3f}",
        digits=3,
        reference="floor {distance_floor:.3f}",
    ),
    Figure(
        "consistency.color_difference",
        "colour change between views",
        "lower",
        "mean difference of a surface point's colour (0 ... 1) seen again 15 degrees on; 1 where none is",
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
        "prior (guidance 7.5) for the same prompt, view words and background; too much power counts as too "
        "little does; floor: as many samples beside as many others",
        "floor {spectrum_distance_floor:.2f}",
        unit="dB",
        reference="floor {spectrum_distance_floor:.2f}",
    ),
    Figure(
        "looks.spectrum_detail",
        "fine detail beside samples",
        "near 0",
        "signed difference over the finer half of that spectrum: below 0 blurred, above 0 noisy or crisper",
        "floor {spectrum_detail_floor:.2f}",
        unit="dB",
        reference="floor {spectrum_detail_floor:.2f}",
    ),
    Figure(
        "looks.saturation_excess",
        "saturation beside samples",
        "near 0",
        "mean chroma (largest less smallest of R, G, B; 0 ... 1) of the object's pixels, less the samples'",
        "{saturation:.3f}, samples {saturation_of_samples:.3f}, floor {saturation_excess_floor:.3f}",
        digits=3,
        reference="samples {saturation_of_samples:.3f}, floor {saturation_excess_floor:.3f}",
    ),
    DIVERSITY,
    Figure(
        "cost.unet_rows",
        "asked of the UNet",
        "lower",
        "how many noises the prior's UNet predicted, and VSD's critic, in all stages of a run",
        digits=0,
    ),
)
FLAGS = ("empty", "fog", "floaters", "billboard", "divergence")


def value_of(evaluation: Mapping[str, Any], key: str) -> float | None:
    """A figure of an evaluation; None where it was not measured."""
    group, _, name = key.partition(".")
    value = evaluation["figures"].get(group, {}).get(name)
    return None if value is None else float(value)


def flags_of(evaluation: Mapping[str, Any]) -> list[str]:
    """The failures that an evaluation flags."""
    return [flag for flag in FLAGS if value_of(evaluation, f"failures.{flag}")]


def rows_of(evaluation: Mapping[str, Any]) -> list[Row]:
    """A run's table: its figures, what to read each beside, and what was not measured."""
    rows = []
    for figure in FIGURES:
        value = value_of(evaluation, figure.key)
        if value is not None:
            beside = figure.beside.format(**evaluation["figures"][figure.key.split(".")[0]])
            remarks = [f"{figure.better} is better", beside, error_of(evaluation, figure)]
            rows.append(Row(figure.title, figure.write_with_unit(value), "; ".join(filter(None, remarks))))
    if "failures" in evaluation["figures"]:
        rows.append(Row("failures", ", ".join(flags_of(evaluation)) or "none", f"of {', '.join(FLAGS)}"))
    return rows + [Row(group, "not measured", why) for group, why in evaluation["not_measured"].items()]


def error_of(evaluation: Mapping[str, Any], figure: Figure) -> str:
    """What the judge's own error on true solids is in this figure; empty for figures that are not its."""
    group, _, name = figure.key.partition(".")
    return str(evaluation["judge"]["errors"].get(name, "")) if group == "judge" else ""


SHORT = (  # two lines under a small picture
    (("geometry.iou_share", "IoU"), ("judge.kind", "kind"), ("judge.color", "colour")),
    (("judge.janus", "Janus"), ("looks.spectrum_distance", "spectrum")),
)
LEGEND = (
    "under each run: silhouette IoU, share of ceiling; views of which the judge recognises kind and colour; "
    "Janus rate; distance of spectrum; failures"
)


def in_short(evaluation: Mapping[str, Any]) -> list[str]:
    """Two lines for under a small picture; LEGEND explains them."""
    figures = {figure.key: figure for figure in FIGURES}
    lines = []
    for line in SHORT:
        parts = []
        for key, title in line:
            value = value_of(evaluation, key)
            if value is not None:
                parts.append(f"{title} {figures[key].write_with_unit(value)}")
        lines.append(parts)
    lines[-1] += flags_of(evaluation)
    return [" · ".join(parts) for parts in lines]
