"""Settings of the whole suite: shape checks at run time, hypothesis profiles, one thread."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

# Before torch is imported: results and times then do not depend on how many cores the machine lends.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

# Read where kernels are defined: without a GPU, Triton's interpreter runs them.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# Numba and Triton read these functions' source and cannot see through a checking wrapper: before the hook.
import src.toybox.world.render
from tests.pretend_hub import PretendHub, build_base, point_client_at

# Triton has wheels for Linux alone; elsewhere its kernels are no part of the suite.
if find_spec("triton") is not None:
    import src.scene.hash_grid_kernels  # noqa: F401

    collect_ignore: list[str] = []
else:
    collect_ignore = ["scene/test_hash_grid_triton.py", "run/test_accelerators.py", "test_on_gpu.py"]

# Every jaxtyping annotation in src is checked against the real tensors while the tests run.
install_import_hook("src", "beartype.beartype")

settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "deep", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def _whole_floats() -> Iterator[None]:
    """A run flushes denormals in its whole process; the next test shall have them back."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendHub]:
    """A pretend hub, and this process's client pointed at it with an empty cache."""
    from huggingface_hub.utils import close_session

    pretend = PretendHub()
    point_client_at(pretend.url, tmp_path / "cache", monkeypatch)
    yield pretend
    close_session()
    pretend.close()


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with the settings of Stable Diffusion 2.1-base; read-only for the tests."""
    return build_base(tmp_path_factory.mktemp("base_model"))
