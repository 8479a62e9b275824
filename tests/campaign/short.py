"""Every campaign in short, one after another in one process: python -m tests.campaign.short OUT"""

import sys
from pathlib import Path

from tests.campaign import bad_inputs, flips, kills, soak


def main(out: Path) -> int:
    """Print what was wrong, campaign by campaign; 1 if anything was."""
    killed = kills.campaign(3, 0, out / "kills", sweeps=0, evaluations=0)
    flipped = flips.campaign(1, 0, out / "flips", only="m")  # manifest.json, metrics.jsonl, turntable.mp4
    refused, _ = bad_inputs.campaign(20, 1, out / "bad-inputs")
    soaked = soak.campaign(40, out / "soak", "schedule.resolution=8", "schedule.resolution_after=16")
    wrong = [str(case) for case in killed if not case.right]
    wrong += [str(case) for case in flipped if not case["right"]]
    wrong += [str(case) for case in refused if case["wrong"]]
    wrong += [] if soaked["code"] == 0 and soaked["steps"] > 30 else [str(soaked)]
    print(
        "\n".join(wrong) or f"all right: {len(killed)} kills, {len(flipped)} flips, {len(refused)} bad inputs"
    )
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
