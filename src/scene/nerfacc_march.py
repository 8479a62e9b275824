"""nerfacc's kernels (Li et al. 2023, "NerfAcc") in the place of our march and compositing; CUDA, float32.

Never run by us: the one GPU that we have had was without them.

nerfacc lines a ray with equal steps from its near plane and keeps those whose middle lies in an occupied cell
before the far plane.  The near plane is moved until these middles are our samples; our bins follow from their
numbers.  Not used: nerfacc's jitter (a global generator's) and its thresholds (they drop samples).  What
differs: the last bin, cut short by the sphere, is looked up where it would be if whole, and lost where that
is outside the cube; cells are met with the rounding of added-up steps; opacity is the sum of the weights.
"""

import nerfacc
import torch
from jaxtyping import Float
from torch import Tensor

from src.scene.march import March, Samples, clip_to_sphere


class NerfaccMarch(March):
    """Our march, with the survivors found by nerfacc's traversal of the occupancy grid."""

    def survivors(self, rays: slice) -> Samples:
        """The samples that survive on these rays."""
        origins, directions = self.origins[self.view(rays)], self.directions[rays]
        near, far = clip_to_sphere(origins, directions, self.radius)
        step, n = 2 * self.radius / self.bins, self.occupancy.cfg.resolution
        part = torch.full_like(near, 0.5) if self.jitter is None else self.jitter[rays]
        cells = self.occupancy.bits.view(1, n, n, n).permute(0, 3, 2, 1)  # theirs are [level, x, y, z]
        cube = directions.new_tensor([[-self.radius] * 3 + [self.radius] * 3])
        # Behind the first sample lies half a step; before the last plane, each bin that starts in the sphere.
        planes = {"near_planes": near + (part - 0.5) * step, "far_planes": far + part * step}
        found = nerfacc.traverse_grids(origins, directions, cells, cube, **planes, step_size=step)[1]
        ray = found.ray_indices
        number = ((found.vals - near[ray]) / step - part[ray]).round()
        start = near[ray] + step * number
        length = (far[ray] - start).clamp(0, step)
        points = origins[ray] + (start + part[ray] * length)[:, None] * directions[ray]
        real = (length > 0) & (number < self.bins)  # rounding may add a last bin of next to nothing
        if self.reach is not None:
            real &= start < self.reach[rays][ray]
        return Samples(ray[real], (start + 0.5 * length)[real], length[real], points[real])


def composite(
    samples: Samples, density: Tensor, color: Tensor, rays: int, far_plane: Float[Tensor, " rays"]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Foreground [rays, channels], opacity, depth and z-variance [rays] of packed samples."""
    packed = {"ray_indices": samples.ray, "n_rays": rays}
    zero, middle = torch.zeros_like(samples.length), samples.middle[:, None]
    weights, _, _ = nerfacc.render_weight_from_density(zero, samples.length, density, **packed)
    values = torch.cat([color, torch.ones_like(middle), middle], 1)
    sums = nerfacc.accumulate_along_rays(weights, values, **packed)
    foreground, opacity, first = sums.split([color.shape[1], 1, 1], 1)
    safe = opacity.clamp(min=1e-6)
    apart = (middle - (first / safe)[samples.ray]).square()
    spread = nerfacc.accumulate_along_rays(weights, apart, **packed) / safe
    return foreground, opacity[:, 0], first[:, 0] + (1 - opacity[:, 0]) * far_plane, spread[:, 0]
