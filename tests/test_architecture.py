"""The rules of the house, read from the syntax trees of src."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"
FILES = sorted(SRC.rglob("*.py"))
HEAVY = ("diffusers", "transformers", "accelerate", "peft")  # 5 to 9 s to import
# These train the prior and draw with it.
MAY_IMPORT_HEAVY = {
    *(f"toybox/prior/{name}.py" for name in ("networks", "heritage", "latents", "denoising")),
    *("toybox/train.py", "toybox/sample.py"),
}
GLOBAL_DRAWS = {
    *("torch.rand", "torch.randn", "torch.randint", "torch.randperm", "torch.normal", "torch.bernoulli"),
    *("torch.multinomial", "torch.rand_like", "torch.randn_like", "torch.randint_like", "torch.manual_seed"),
}
UNPICKLERS = {"torch.load", "torch.save", "numpy.load", "np.load"}


def name_of(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import: write from src.…"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def attributes(tree: ast.AST) -> set[str]:
    return {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


@pytest.fixture(params=FILES, ids=name_of)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_the_two_halves_never_import_each_other(path: Path) -> None:
    """Oracle: design: scene/ turns parameters into an image, guidance/ an image into a gradient."""
    half = name_of(path).split("/")[0]
    forbidden = {"scene": "src.guidance", "guidance": "src.scene"}.get(half)
    found = [
        name for name in imports(ast.parse(path.read_text())) if forbidden and name.startswith(forbidden)
    ]
    assert not found


def test_no_room_for_odds_and_ends(path: Path) -> None:
    """Oracle: no file called utils, helpers, common or misc."""
    assert path.stem not in {"utils", "util", "helpers", "common", "misc"}


def test_nobody_draws_from_a_global_generator(path: Path) -> None:
    """Oracle: only streams.py makes generators; the toy world has explicit NumPy generators of its own."""
    if name_of(path) == "streams.py" or name_of(path).startswith("toybox/"):
        return
    tree = ast.parse(path.read_text())
    assert not attributes(tree) & GLOBAL_DRAWS
    assert not [name for name in attributes(tree) if name.startswith(("np.random.", "numpy.random."))]
    assert "random" not in set(imports(tree))


def test_nothing_is_unpickled(path: Path) -> None:
    """Oracle: checkpoints are safetensors and json."""
    tree = ast.parse(path.read_text())
    assert not {"pickle", "cPickle", "dill", "joblib"} & set(imports(tree))
    assert not attributes(tree) & UNPICKLERS


def test_slow_packages_are_imported_where_a_prior_is_loaded(path: Path) -> None:
    """Oracle: no import of diffusers or transformers at the top of a module."""
    if name_of(path) in MAY_IMPORT_HEAVY:
        return
    top = ast.parse(path.read_text()).body
    at_top = [node for node in top if isinstance(node, ast.Import | ast.ImportFrom)]
    found = [name for node in at_top for name in imports(node) if name.split(".")[0] in HEAVY]
    assert not found


def test_shapes_are_checked_at_run_time() -> None:
    """Oracle: deferred annotations would turn jaxtyping's checks off in silence."""
    deferred = [name_of(path) for path in FILES if "from __future__ import annotations" in path.read_text()]
    assert not deferred
