"""Several runs' turntables as one animated picture, for a README: colour only, side by side.

python -m src.export.mosaic out=docs/first-screen.webp columns=4 outputs/<run> outputs/<run> ...
"""

import sys
from pathlib import Path

from PIL import Image

from src.arguments import to_write, typed_path
from src.door import one_sentence
from src.errors import UserError
from src.export.turns import PANELS, pace_of, panel, read_turn
from src.export.video import replace_file


def color_frames(run: Path) -> list[Image.Image]:
    """The colour panels of a run's turntable; raises UserError if there is none."""
    turn = read_turn(run)
    if not turn:
        raise UserError(f"{run}/turntable.webp is missing: name finished runs' folders, as in outputs/NAME")
    return [panel(frame, PANELS[0]) for frame in turn]


def mosaic(runs: list[Path], columns: int, out: Path) -> None:
    """Write all runs' turntables as one animated WebP; raises UserError unless sizes and lengths agree."""
    turns, duration = [color_frames(run) for run in runs], pace_of(runs[0])
    if len({(len(frames), frames[0].size) for frames in turns}) > 1:
        raise UserError("the runs' turntables differ in size or length: give runs of one preset")
    width, height = turns[0][0].size
    rows = -(-len(turns) // columns)
    sheets = []
    for moment in zip(*turns, strict=True):
        sheet = Image.new("RGB", (columns * width, rows * height), "white")
        for i, frame in enumerate(moment):
            sheet.paste(frame, (i % columns * width, i // columns * height))
        sheets.append(sheet)
    first, *rest = sheets
    replace_file(
        out,
        lambda path: first.save(
            path, save_all=True, append_images=rest, duration=duration, loop=0, quality=75
        ),
    )


@one_sentence
def main(arguments: list[str]) -> int:
    """Read out=, columns= and the runs' folders; returns the exit code."""
    known = [argument for argument in arguments if argument.startswith(("out=", "columns="))]
    settings = dict(argument.split("=", 1) for argument in known)
    runs = [Path(typed_path(argument, "run")) for argument in arguments if argument not in known]
    if unknown := [str(run) for run in runs if "=" in str(run) and not run.is_dir()]:
        raise UserError(f"{unknown[0]} is neither a run's folder nor a setting: choose out= and columns=")
    columns = settings.get("columns", "4")
    if not columns.isdecimal() or int(columns) < 1:
        raise UserError(f"columns={columns} is out of range: choose 1 or more")
    if not runs:
        raise UserError("no run is named: give folders of finished runs, as in outputs/NAME")
    out = to_write(settings.get("out", "outputs/turntables.webp"))
    if out.suffix.lower() != ".webp":
        raise UserError(f"out={out} has no ending that we know: choose .webp")
    mosaic(runs, int(columns), out)
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
