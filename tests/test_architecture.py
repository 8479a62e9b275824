"""The rules of the house, read from the syntax trees of src."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"
FILES = sorted(SRC.rglob("*.py"))
HEAVY = ("diffusers", "transformers", "accelerate", "peft")  # 5 to 9 s to import
# These train the prior and draw with it.
MAY_IMPORT_HEAVY = {
    *("toybox/prior/networks.py", "toybox/prior/latents.py", "toybox/prior/denoising.py"),
    *("toybox/prior/heritage.py", "toybox/prior/lessons.py", "toybox/train.py", "toybox/sample.py"),
}
GLOBAL_DRAWS = {
    *("torch.rand", "torch.randn", "torch.randint", "torch.randperm", "torch.normal", "torch.bernoulli"),
    *("torch.multinomial", "torch.rand_like", "torch.randn_like", "torch.randint_like", "torch.manual_seed"),
}
# Packages whose import has another name than they have in an index.
PACKAGES = {"PIL": "pillow", "hydra": "hydra-core", "skimage": "scikit-image", "yaml": "pyyaml"}
BUILT_BY_HAND = {"tinycudann"}  # no index has it
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


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    """Every file of src, read once."""
    return {name_of(path): ast.parse(path.read_text()) for path in FILES}


def test_the_two_halves_never_import_each_other(trees: dict[str, ast.Module]) -> None:
    """Oracle: design: scene/ turns parameters into an image, guidance/ an image into a gradient."""
    forbidden = {"scene": "src.guidance", "guidance": "src.scene"}
    found = {
        name: [each for each in imports(tree) if each.startswith(forbidden[name.split("/")[0]])]
        for name, tree in trees.items()
        if name.split("/")[0] in forbidden
    }
    assert not {name: wrong for name, wrong in found.items() if wrong}
    assert len(found) > 10


def test_no_room_for_odds_and_ends() -> None:
    """Oracle: no file called utils, helpers, common or misc."""
    assert not {path.stem for path in FILES} & {"utils", "util", "helpers", "common", "misc"}


def test_nobody_draws_from_a_global_generator(trees: dict[str, ast.Module]) -> None:
    """Oracle: only streams.py makes generators; the toy world has explicit NumPy generators of its own."""
    found = {}
    for name, tree in trees.items():
        if name != "streams.py" and not name.startswith("toybox/"):
            drawn = attributes(tree)
            wrong = drawn & GLOBAL_DRAWS | {"random"} & set(imports(tree))
            wrong |= {each for each in drawn if each.startswith(("np.random.", "numpy.random."))}
            found |= {name: wrong} if wrong else {}
    assert not found


def test_nothing_is_unpickled(trees: dict[str, ast.Module]) -> None:
    """Oracle: checkpoints are safetensors and json."""
    pickles = {"pickle", "cPickle", "dill", "joblib"}
    found = {
        name: pickles & set(imports(tree)) | attributes(tree) & UNPICKLERS for name, tree in trees.items()
    }
    assert not {name: wrong for name, wrong in found.items() if wrong}


def test_slow_packages_are_imported_where_a_prior_is_loaded(trees: dict[str, ast.Module]) -> None:
    """Oracle: no import of diffusers or transformers at the top of a module."""
    found = {}
    for name, tree in trees.items():
        at_top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        heavy = [each for node in at_top for each in imports(node) if each.split(".")[0] in HEAVY]
        if heavy and name not in MAY_IMPORT_HEAVY:
            found[name] = heavy
    assert not found


def test_shapes_are_checked_at_run_time() -> None:
    """Oracle: deferred annotations would turn jaxtyping's checks off in silence."""
    deferred = [name_of(path) for path in FILES if "from __future__ import annotations" in path.read_text()]
    assert not deferred


def test_every_command_ends_in_a_sentence(trees: dict[str, ast.Module]) -> None:
    """Oracle: where a file can be run, its main is one_sentence's, and its code is the process's."""
    wrong, seen = {}, 0
    for name, tree in trees.items():
        text = ast.unparse(tree)
        if "if __name__ == '__main__'" not in text or name == "train.py":  # which is the door's
            continue
        seen += 1
        if "@one_sentence\ndef main(arguments: list[str]) -> int:" not in text:
            wrong[name] = "its main is not one_sentence's"
        if not text.endswith("if __name__ == '__main__':\n    sys.exit(main(sys.argv[1:]))"):
            wrong[name] = "its code is lost"
        module = "src." + name.removesuffix(".py").removesuffix("/__main__").replace("/", ".")
        if f"python -m {module}" not in (ast.get_docstring(tree) or ""):
            wrong[name] = "--help, which shows what the file says first, would not say how to call it"
    assert not wrong
    assert seen > 15


def test_no_file_imports_itself_by_way_of_others() -> None:
    """Oracle: a topological order of all files exists; imports within functions count."""
    modules = {"src." + name_of(path).removesuffix(".py").replace("/", "."): path for path in FILES}
    graph = {
        name: {found for found in imports(ast.parse(path.read_text())) if found in modules} - {name}
        for name, path in modules.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_what_is_imported_is_declared(trees: dict[str, ast.Module]) -> None:
    """Oracle: pyproject.toml; a package that only another one brings can go with it any day."""
    project = tomllib.loads((SRC.parent / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {re.split(r"[<>=;~! ]", line)[0].lower() for lines in lists for line in lines}
    tops = {each.split(".")[0] for tree in trees.values() for each in imports(tree)}
    foreign = tops - set(sys.stdlib_module_names) - {"src"} - BUILT_BY_HAND
    named = {PACKAGES.get(top, top.replace("_", "-")).lower() for top in foreign}
    assert not named - {each.replace("_", "-") for each in declared}


def test_nobody_elses_private_names(trees: dict[str, ast.Module]) -> None:
    """Oracle: a leading underscore; torch has no public name for the mode that sees every operation."""
    allowed = {"torch.utils._python_dispatch", "torch.utils._pytree"}
    found = {}
    for name, tree in trees.items():
        private = {
            ".".join(each.split(".")[:3])
            for each in imports(tree)
            if any(part.startswith("_") for part in each.split(".")) and each.split(".")[0] != "src"
        }
        private = {each for each in private if each != "__future__"} - allowed
        found |= {name: private} if private else {}
    assert not found
