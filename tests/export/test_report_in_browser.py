"""The report in Chromium (`make test-browser`): one clock, keys, a closer look, sorting, a phone."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from src.export.report import report
from tests.small_sweeps import VIEWS, make_run

pytestmark = pytest.mark.browser
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Without a window nothing is drawn, and so nobody calls back before a drawing.
CLOCK = "<script>requestAnimationFrame = (call) => setTimeout(() => call(performance.now()), 16);</script>"
# What a script of the tests finds out is left where the dumped page shows it.
DRIVER = """
<script>
const press = (key) => document.activeElement.dispatchEvent(
  new KeyboardEvent('keydown', {key, bubbles: true}));
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const frames_shown = () => [...new Set(all('.run img, aside img').filter((img) => img.offsetParent).map(
  (img) => Math.round(-new DOMMatrix(getComputedStyle(img).transform).e / img.parentNode.clientWidth)))];
const kinds_shown = () => [...new Set(
  all('.run img').filter((img) => img.offsetParent).map((img) => img.className))];
const state = () => ({frames: frames_shown(), degrees: one('#degrees').value, turning});
(async () => {
  const told = {};
  %s
  const found = document.createElement('pre');
  found.id = 'told';
  found.textContent = JSON.stringify(told);
  document.body.append(found);
})();
</script>
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two losses and two seeds that took 9, 11, 10 and no seconds."""
    folder = tmp_path_factory.mktemp("sweep")
    for loss, seed, seconds in (("nfsd", 0, 9), ("nfsd", 1, 11), ("sds", 0, 10), ("sds", 1, None)):
        path = make_run(folder, f"loss={loss}", f"seed={seed}", seconds={"unet": float(seconds or 0)})
        if seconds is None:  # as a run leaves it that was killed
            manifest = json.loads((path / "manifest.json").read_text())
            del manifest["seconds"]
            (path / "manifest.json").write_text(json.dumps(manifest))
    report(folder)
    return folder


def browse(folder: Path, script: str, *flags: str, width: int = 1280) -> Any:
    """Open the report, run a script in it, and return what it told."""
    (browser,) = [path for name in NAMES if (path := shutil.which(name))][:1]
    page = (folder / "index.html").read_text(encoding="utf-8")
    page = page.replace("</head>", CLOCK + "</head>").replace("</body>", DRIVER % script + "</body>")
    driven = folder / "driven.html"
    driven.write_text(page, encoding="utf-8")
    # A window is never narrower than 500 pixels; a frame is.
    whole = folder / "framed.html"
    whole.write_text(f'<iframe src="driven.html" width="{width}" height="800"></iframe>')
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=6000", *flags]
    opened = driven if width > 500 else whole
    done = subprocess.run(
        [*command, "--window-size=1280,900", "--allow-file-access-from-files", "--dump-dom", opened.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    (told,) = re.findall(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    return json.loads(html.unescape(told))


def test_one_clock_turns_everything(folder: Path) -> None:
    """Oracle: all pictures show one and the same frame, another one later; the slider holds all at 135
    degrees; the arrow goes one step on, over the end to the front again; space lets go.
    """
    told = browse(
        folder,
        """
        await wait(700); told.first = state();
        await wait(700); told.second = state();
        angle.value = 3; angle.oninput(); await wait(500); told.held = state();
        for (let i = 0; i < 5; i++) press('ArrowRight'); told.stepped = state();
        press('ArrowLeft'); told.back = state();
        press(' '); await wait(700); told.turning = state();
        """,
    )
    assert len(told["first"]["frames"]) == len(told["second"]["frames"]) == 1
    assert told["first"]["frames"] != told["second"]["frames"]
    assert told["held"] == {"frames": [3], "degrees": f"{3 * 360 // VIEWS}°", "turning": False}
    assert told["stepped"] == {"frames": [0], "degrees": "0°", "turning": False}
    assert told["back"] == {"frames": [VIEWS - 1], "degrees": f"{360 - 360 // VIEWS}°", "turning": False}
    assert told["turning"]["turning"]
    assert told["turning"]["frames"] != [VIEWS - 1]


def test_who_asked_for_less_motion_gets_it(folder: Path) -> None:
    """Oracle: with the system's setting nothing turns, and the slider still does."""
    told = browse(
        folder,
        "await wait(700); told.at_rest = state(); angle.value = 2; angle.oninput(); told.held = state();",
        "--force-prefers-reduced-motion",
    )
    assert told["at_rest"] == {"frames": [0], "degrees": "0°", "turning": False}
    assert told["held"]["frames"] == [2]


def test_keys_and_focus_show_depth_and_opacity(folder: Path) -> None:
    """Oracle: d, o and c change all pictures; focus shows one run's three, its name and its own row; a space
    typed on a control is the control's.
    """
    told = browse(
        folder,
        """
        for (const key of ['d', 'o', 'c']) { press(key); told[key] = kinds_shown(); }
        all('.run')[2].dispatchEvent(new FocusEvent('focus'));
        told.close = [...aside.querySelectorAll('img')].map((img) => img.className);
        told.title = aside.querySelector('h2').textContent;
        told.facts = [...aside.querySelectorAll('dt')].map(
          (dt) => [dt.textContent, dt.nextSibling.textContent]);
        const before = turning; play.focus(); press(' '); told.untouched = turning === before;
        """,
    )
    assert [told[key] for key in "doc"] == [["depth"], ["opacity"], ["colour"]]
    assert told["close"] == ["colour", "depth", "opacity"]
    assert told["title"] == "sds · seed 0"
    facts = dict(told["facts"])
    assert (facts["loss"], facts["seed"], facts["seconds"]) == ("sds", "0", "10")
    assert told["untouched"]


def test_the_table_sorts_both_ways(folder: Path) -> None:
    """Oracle: seconds 9, 10, 11 and back, as numbers; the run without any is last both times; then losses."""
    told = browse(
        folder,
        """
        const column = (title) => all('th').findIndex((th) => th.textContent === title);
        const read = (title) => all('tbody tr').map((row) => row.cells[column(title)].textContent);
        const click = (title) => all('th button')[column(title)].click();
        click('seconds'); told.up = read('seconds'); told.sort = all('[aria-sort]').map((th) => th.ariaSort);
        click('seconds'); told.down = read('seconds');
        click('loss'); told.losses = read('loss');
        """,
    )
    assert told["up"] == ["9", "10", "11", "–"]
    assert told["sort"] == ["ascending"]
    assert told["down"] == ["11", "10", "9", "–"]
    assert told["losses"] == ["nfsd", "nfsd", "sds", "sds"]


def test_a_phone_has_room_for_it(folder: Path) -> None:
    """Oracle: 390 pixels wide, nothing sticks out; a tap opens the closer look, Escape closes it."""
    script = """
        told.sticks_out = document.documentElement.scrollWidth - document.documentElement.clientWidth;
        told.before = getComputedStyle(aside).display;
        all('.run')[1].click(); told.after = getComputedStyle(aside).display;
        told.three = aside.querySelectorAll('img').length;
        press('Escape'); told.closed = getComputedStyle(aside).display;
        parent.document.body.append(Object.assign(document.createElement('pre'),
          {id: 'told', textContent: JSON.stringify(told)}));
    """
    told = browse(folder, script, width=390)
    assert told == {"sticks_out": 0, "before": "none", "after": "block", "three": 3, "closed": "none"}
