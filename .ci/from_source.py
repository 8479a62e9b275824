"""Build as setuptools does, but no wheel: nfsd3d runs from its checkout, conf/ and weights beside src/."""

from typing import Any, NoReturn

from setuptools.build_meta import (  # noqa: F401 (a build backend is its names)
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

SENTENCE = (
    "nfsd3d is used from its source checkout, and a wheel would lack conf/ and the bundled weights: install "
    "it with pip install -e . (or make setup)"
)


def build_wheel(*_: Any, **__: Any) -> NoReturn:
    """Refuse, in one sentence."""
    raise SystemExit(SENTENCE)


build_sdist = build_wheel
