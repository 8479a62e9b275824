"""Several runs' turntables as one animated picture, for a README: colour only, side by side.

python -m src.export.mosaic out=docs/first-screen.webp columns=4 outputs/<run> outputs/<run> ...
"""

import sys
from pathlib import Path

from PIL import Image, ImageSequence

from src.arguments import typed_path
from src.errors import UserError


def color_frames(run: Path) -> tuple[list[Image.Image], int]:
    """The colour panels (the first squares) of a run's turntable.webp, and a frame's duration in ms."""
    path = run / "turntable.webp"
    if not path.is_file():
        raise UserError(f"{path} is missing: name finished runs' folders, as in outputs/NAME")
    with Image.open(path) as turntable:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(turntable)]
        duration = int(turntable.info.get("duration", 33))
    return [frame.crop((0, 0, frame.height, frame.height)) for frame in frames], duration


def mosaic(runs: list[Path], columns: int, out: Path) -> None:
    """Write all runs' turntables as one animated WebP; raises UserError unless sizes and lengths agree."""
    loaded = [color_frames(run) for run in runs]
    duration = loaded[0][1]
    turns = [frames for frames, _ in loaded]
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
    out.parent.mkdir(parents=True, exist_ok=True)
    sheets[0].save(out, save_all=True, append_images=sheets[1:], duration=duration, loop=0, quality=75)


def main(arguments: list[str]) -> int:
    """Read out=, columns= and the runs' folders; returns the exit code."""
    settings = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    try:
        runs = [Path(typed_path(argument, "run")) for argument in arguments if "=" not in argument]
        if unknown := set(settings) - {"out", "columns"}:
            raise UserError(f"{min(unknown)} is no setting of figures: choose out= and columns=")
        columns = settings.get("columns", "4")
        if not columns.isdecimal() or int(columns) < 1:
            raise UserError(f"columns={columns} is out of range: choose 1 or more")
        if not runs:
            raise UserError("no run is named: give folders of finished runs, as in outputs/NAME")
        out = Path(typed_path(settings.get("out", "outputs/turntables.webp"), "out"))
        mosaic(runs, int(columns), out)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
