"""Settings of the whole suite: shape checks at run time, hypothesis profiles, one thread."""

import os
from collections.abc import Iterator

# Before torch is imported: results and times then do not depend on how many cores the machine lends.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

# Numba compiles these functions itself and cannot see through a checking wrapper: they come before the hook.
import src.toybox.render  # noqa: F401

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
