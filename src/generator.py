"""The seam: what is optimised, as a step, a run and a checkpoint see it.

The paper's x = g(theta) (NFSD, section 2): whatever theta is, it shows the loss latents, and no more is asked
of it.  Leaves are in src/generators/.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from src.guidance.schedule import Stage
from src.scene.cameras import Cameras
from src.scene.rendering import Rendering
from src.streams import Streams

Part = Callable[[str], AbstractContextManager[None]]  # says whose time it is: one of log.PARTS


class Seen(NamedTuple):
    """What a generator shows at a step: a row per view."""

    latents: Float[Tensor, "B C h w"]  # with graph
    camera: Cameras | None  # None: seen from nowhere, so no view words
    view: Rendering | None  # the maps behind the latents, if it renders any, without graph
    penalty: Float[Tensor, ""]  # its regularisers, scaled; with graph


@runtime_checkable
class Generator(Protocol):
    """g(theta): what is optimised."""

    def __call__(
        self, stage: Stage, step: int, draw: Streams, part: Part, camera: Cameras | None = None
    ) -> Seen:
        """Show something, from `draw`'s numbers; from `camera`, if one is given, instead of one's own."""

    def modules(self) -> dict[str, nn.Module]:
        """What of it a checkpoint holds, by name."""

    def groups(self) -> list[dict[str, Any]]:
        """Its parameters for the optimiser, each group with its learning rate."""

    def preview(self) -> UInt8[np.ndarray, "height width 3"]:
        """One row of pictures for the eye: no jitter, no graph."""

    def export(self, folder: Path) -> list[Path]:
        """Write what a finished run has to show; returns the paths, the most telling first."""
