"""The hash encoding (src/scene/levels.py) as Triton kernels, and nothing else: Triton reads their source.

One program handles a block of points on one level.  Arguments are pointers and numbers, which Triton types by
itself: annotations other than its own would mislead it.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl


@triton.jit
def _corner(points, scales, wholes, i, real, level, corner: tl.constexpr):
    """Row of the table [block] and trilinear weight [block] of one corner of every point's cell."""
    scale = tl.load(scales + level)
    row = tl.load(wholes + 4 * level)  # the level's first
    weight = tl.load(points + 3 * i, real, 0.0) * 0 + 1
    number = i.to(tl.int64) * 0
    hashed = number
    stride = number + 1
    resolution = tl.load(wholes + 4 * level + 1)
    for axis in tl.static_range(3):
        position = tl.load(points + 3 * i + axis, real, 0.0) * scale + 0.5
        cell = tl.floor(position)
        inside = position - cell
        if (corner >> axis) & 1:
            weight = weight * inside
            vertex = cell.to(tl.int64) + 1
        else:
            weight = weight * (1 - inside)
            vertex = cell.to(tl.int64)
        number = number + vertex * stride
        stride = stride * resolution
        if axis == 0:
            hashed = vertex
        elif axis == 1:
            hashed = hashed ^ (vertex * 2654435761)
        else:
            hashed = hashed ^ (vertex * 805459861)
    hashed = hashed & tl.load(wholes + 4 * level + 2)
    dense = tl.load(wholes + 4 * level + 3)
    return row + tl.where(dense != 0, number, hashed), weight


@triton.jit
def encode(
    points, table, scales, wholes, encoded, n,
    levels: tl.constexpr, features: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """encoded[i, level, :] = sum over corners of weight * table[row, :]; width: a power of 2 >= features."""
    level = tl.program_id(1)
    i = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    feature = tl.arange(0, width)
    real = i < n
    both = real[:, None] & (feature < features)[None, :]
    blend = tl.zeros((block, width), encoded.dtype.element_ty)
    for corner in tl.static_range(8):
        row, weight = _corner(points, scales, wholes, i, real, level, corner)
        values = tl.load(table + row[:, None] * features + feature[None, :], both, 0.0)
        blend += weight[:, None] * values
    place = (i[:, None] * levels + level) * features + feature[None, :]
    tl.store(encoded + place, blend, both)


@triton.jit
def accumulate(
    points, upstream, scales, wholes, gradient, n,
    levels: tl.constexpr, features: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """gradient[row, :] += weight * upstream[i, level, :] for every corner of every point."""
    level = tl.program_id(1)
    i = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    feature = tl.arange(0, width)
    real = i < n
    both = real[:, None] & (feature < features)[None, :]
    place = (i[:, None] * levels + level) * features + feature[None, :]
    onto = tl.load(upstream + place, both, 0.0)
    for corner in tl.static_range(8):
        row, weight = _corner(points, scales, wholes, i, real, level, corner)
        tl.atomic_add(gradient + row[:, None] * features + feature[None, :], weight[:, None] * onto, both)
