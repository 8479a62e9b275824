"""Plots: what is written on them can be read."""

from matplotlib.figure import Figure

from src.evaluation.plots import legend


def test_a_legend_of_long_names_lies_within_its_sheet() -> None:
    """Oracle: matplotlib's own extents; nine of our longest names did not fit in one row."""
    sheet = Figure(figsize=(12.8, 3.8), layout="constrained")
    panel = sheet.subplots()
    for number in range(9):
        panel.plot([0], [0], "o", label=f"VSD 7.5 + loss.sigma_power={number} + critic.learning_rate=1e-4")
    legend(sheet)
    sheet.draw_without_rendering()
    extent = sheet.legends[0].get_window_extent()
    assert extent.x0 >= 0
    assert extent.x1 <= sheet.bbox.width
    assert extent.y1 < panel.get_window_extent().y0


def test_short_names_stand_in_one_row() -> None:
    """Oracle: as high as a legend of one name."""
    heights = []
    for count in (1, 5):
        sheet = Figure(figsize=(12.8, 3.8), layout="constrained")
        panel = sheet.subplots()
        for number in range(count):
            panel.plot([0], [0], "o", label=f"SDS {number}")
        legend(sheet)
        sheet.draw_without_rendering()
        heights.append(sheet.legends[0].get_window_extent().height)
    assert heights[0] == heights[1]
