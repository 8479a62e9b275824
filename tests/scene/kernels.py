"""Stand-ins for kernels that only run on CUDA, written from what their sources say and not from ours."""

import inspect
import math
from typing import Any

import nerfacc
import numpy as np
import torch
from nerfacc.data_specs import RayIntervals, RaySamples
from torch import Tensor, nn

TRAVERSE = inspect.signature(nerfacc.traverse_grids)
WEIGHTS = inspect.signature(nerfacc.render_weight_from_density)
weights_of_dense = nerfacc.render_weight_from_density  # the real one, for rows of samples


def traverse_grids(*args: Any, **kwargs: Any) -> tuple[RayIntervals, RaySamples, Tensor]:
    """nerfacc's, held against its signature: steps are added up in float32 from the near plane on; kept where
    the middle is inside the box, before the far plane, and in an occupied cell [x, y, z]."""
    call = TRAVERSE.bind(*args, **kwargs)
    call.apply_defaults()
    given = call.arguments
    origins, directions, cells, boxes = (given[name] for name in ("rays_o", "rays_d", "binaries", "aabbs"))
    near, far, step = given["near_planes"], given["far_planes"], given["step_size"]
    for tensor in (
        origins,
        directions,
        boxes,
        near,
        far,
    ):  # the kernels read memory as float32, whatever it is
        assert tensor.dtype == torch.float32
    assert cells.dtype == torch.bool
    assert type(step) is float
    assert origins.shape == directions.shape == (*near.shape, 3) == (*far.shape, 3)
    assert cells.shape[0] == len(boxes) == 1
    assert given["cone_angle"] == 0
    assert given["traverse_steps_limit"] is None
    low, high = boxes[0].split(3)
    ends = torch.stack([(low - origins) / directions, (high - origins) / directions])
    enters = torch.maximum(ends.amin(0).amax(-1), near)
    leaves = torch.minimum(ends.amax(0).amin(-1), far)
    count = int(((leaves - near).amax() / step).clamp(min=0)) + 2
    added = np.full((len(near), count), np.float32(step))
    added[:, 0] = near.numpy()
    middles = torch.from_numpy(np.add.accumulate(added, axis=1)) + step / 2  # one after another, in float32
    points = origins[:, None] + middles[..., None] * directions[:, None]
    place = ((points - low) / (high - low) * cells.shape[-1]).long().clamp(0, cells.shape[-1] - 1)
    kept = (middles >= enters[:, None]) & (middles < leaves[:, None]) & cells[0][place.unbind(-1)]
    samples = RaySamples(vals=middles[kept], ray_indices=kept.nonzero()[:, 0])
    return RayIntervals(vals=near[:0]), samples, far


def render_weight_from_density(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """nerfacc's for packed samples, held against its signature and computed by its own form for rows."""
    call = WEIGHTS.bind(*args, **kwargs)
    call.apply_defaults()
    given = call.arguments
    ray, rays = given["ray_indices"], given["n_rays"]
    assert ray.dtype == torch.int64
    assert (ray.diff() >= 0).all()  # its sums run over chunks of neighbours
    number = torch.arange(len(ray)) - torch.searchsorted(ray, ray)
    rows = []
    for name in ("t_starts", "t_ends", "sigmas"):
        assert given[name].dtype == torch.float32
        assert given[name].shape == ray.shape
        rows.append(
            torch.zeros(rays, len(ray) and int(number.max()) + 1).index_put((ray, number), given[name])
        )
    weights, through, alphas = (part[ray, number] for part in weights_of_dense(*rows))
    return weights, through, alphas


def tcnn_shapes(settings: dict[str, Any], ulps: int = 0) -> list[tuple[np.float32, int, int]]:
    """Scale, vertices an edge, and rows of each of tiny-cuda-nn's levels, its power of two off by `ulps`."""
    shapes = []
    for level in range(settings["n_levels"]):
        power = np.exp2(np.float32(level) * np.log2(np.float32(settings["per_level_scale"])))
        power += np.float32(ulps if level else 0) * np.spacing(power)
        scale = power * np.float32(settings["base_resolution"]) - np.float32(1)
        resolution = math.ceil(scale) + 1
        rows = min((resolution**3 + 7) // 8 * 8, 2 ** settings["log2_hashmap_size"])
        shapes.append((scale, resolution, rows))
    return shapes


class Encoding(nn.Module):
    """tinycudann.Encoding for a hash grid: `kernel_grid` of its grid.h, in torch."""

    def __init__(
        self, n_input_dims: int, encoding_config: dict[str, Any], seed: int = 1337, dtype: Any = None
    ) -> None:
        super().__init__()
        assert (n_input_dims, dtype) == (3, torch.float32)
        assert (encoding_config["otype"], encoding_config["interpolation"]) == ("HashGrid", "Linear")
        assert encoding_config["hash"] == "CoherentPrime"
        self.features = encoding_config["n_features_per_level"]
        self.shapes = tcnn_shapes(encoding_config)
        self.numbers = sum(rows for *_, rows in self.shapes) * self.features
        self.params = nn.Parameter(torch.full((self.numbers,), 1e-4))

    def forward(self, x: Tensor) -> Tensor:
        assert self.params.shape == (self.numbers,)
        assert self.params.dtype == x.dtype == torch.float32
        assert len(x)
        encoded, offset = [], 0
        for scale, resolution, rows in self.shapes:
            grid = self.params[offset * self.features : (offset + rows) * self.features]
            offset += rows
            position = x * float(scale) + 0.5
            cell = position.floor()
            result = torch.zeros(len(x), self.features)
            for corner in range(8):
                weight, place, index, stride, hashed = torch.ones(len(x)), [], 0, 1, 0
                for axis, prime in enumerate((1, 2654435761, 805459861)):
                    upper = corner >> axis & 1
                    inside = position[:, axis] - cell[:, axis]
                    weight = weight * (inside if upper else 1 - inside)
                    place.append(cell[:, axis].long() + upper)
                    index, stride = index + place[axis] * stride, stride * resolution
                    hashed = hashed ^ (place[axis] * prime & 0xFFFFFFFF)
                row = (hashed if rows < stride else index) % rows
                feature = row[:, None] * self.features + torch.arange(self.features)
                result = result + weight[:, None] * grid[feature]
            encoded.append(result)
        return torch.cat(encoded, 1)
