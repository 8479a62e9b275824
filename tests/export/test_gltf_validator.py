"""The Khronos group's own validator on what we export (make test-gltf fetches it)."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from src.export.mesh import main
from tests.export.scenes import ball_run

MODULES = Path(__file__).parents[2] / ".venv" / "node_modules"
SCRIPT = """
const file = process.argv[1];
require("gltf-validator").validateBytes(new Uint8Array(require("fs").readFileSync(file)))
  .then((report) => console.log(JSON.stringify(report.issues)));
"""


@pytest.mark.node
@pytest.mark.parametrize("texture", ["texture=64", "texture=0"])
@pytest.mark.parametrize("closed", ["closed=true", "closed=false"])
def test_a_glb_is_valid(tmp_path: Path, texture: str, closed: str) -> None:
    """Oracle: gltf-validator: no error and no warning."""
    ball_run(tmp_path / "run", 1)
    out = tmp_path / "ball.glb"
    assert main([f"run={tmp_path / 'run'}", f"out={out}", "resolution=32", "faces=400", texture, closed]) == 0
    environment = {"NODE_PATH": str(MODULES)} | os.environ
    done = subprocess.run(
        ["node", "-e", SCRIPT, str(out)], capture_output=True, text=True, check=True, env=environment
    )
    issues = json.loads(done.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]
