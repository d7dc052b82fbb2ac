"""What the pipeline gives out, by the plainest arithmetic there is: what the quick one must equal.

A pass over the whole picture for every step, a Python loop for every choice, nothing in place.
"""

import cv2
import numpy as np

from dsn_ros.cloud import CLOUD_DTYPE
from dsn_ros.obstacles import OBSTACLE_DTYPE


def plain_cloud(seen):
    """``organised_cloud``."""
    cloud = np.zeros(seen.depth.shape, dtype=CLOUD_DTYPE)
    z = np.where(np.isfinite(seen.depth), seen.depth, np.float32(np.nan))
    rays = seen.camera.rays()
    cloud['x'], cloud['y'], cloud['z'] = rays[..., 0] * z, rays[..., 1] * z, z
    red, green, blue = np.moveaxis(seen.image.astype(np.uint32), -1, 0)
    cloud['rgb'] = (red << 16 | green << 8 | blue).view(np.float32)
    cloud['label'], cloud['confidence'] = seen.labels, seen.confidence
    return cloud


def plain_obstacles(seen, is_obstacle, options):
    """``obstacle_cloud``: the same points in the same order."""
    height, width = seen.depth.shape
    counts = np.zeros((height + 2, width + 2), int)
    chosen = is_obstacle[seen.labels] & (
        seen.confidence >= (round(options.min_confidence * 255) if options.min_confidence else 0)
    )
    for v in range(3):
        for u in range(3):
            counts[v : v + height, u : u + width] += chosen
    chosen = chosen & (counts[1:-1, 1:-1] >= 3)
    chosen &= (seen.depth > 0) & (seen.depth <= options.max_range)
    block = max(1, int(seen.camera.focal_length * options.voxel / options.max_range))
    blocks = {}
    for v, u in np.argwhere(chosen).tolist():
        here = (v // block, u // block)
        if here not in blocks or seen.depth[v, u] < seen.depth[blocks[here]]:
            blocks[here] = (v, u)
    rays, points = seen.camera.rays(), []
    for here in sorted(blocks):
        v, u = blocks[here]
        z = seen.depth[v, u]
        x, y = rays[v, u, 0] * z, rays[v, u, 1] * z
        squared = x * x + y * y + z * z
        if squared <= options.max_range**2:
            points.append((squared, x, y, z, seen.labels[v, u]))
    points.sort(key=lambda each: each[0])  # of equal ones the first stays the first
    voxels = {}
    edges = [np.float32(options.voxel), np.float32(options.voxel * 4), np.float32(options.voxel)]
    for _, *xyz, label in points:
        key = tuple(int(np.floor(p / edge)) for p, edge in zip(xyz, edges, strict=True))
        voxels.setdefault(key, (*xyz, label))
    kept = list(voxels.values())[: options.max_points]
    return np.array(kept, dtype=OBSTACLE_DTYPE).reshape(1, -1)


def plain_confidence(confidence, image):
    """What ``dimmed_in_the_dark`` gives out: confidence times 0.5 to 1 by the light there is."""
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    blocks = (max(width // 8, 1), max(height // 8, 1))
    mean = cv2.resize(grey, blocks, interpolation=cv2.INTER_AREA)
    square = cv2.resize(grey * grey, blocks, interpolation=cv2.INTER_AREA)
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    dark = mean < 32
    lit = np.ones((height, width), np.float32)
    if np.count_nonzero(dark) >= 0.005 * dark.size:
        noise = max(float(np.percentile(spread[dark], 25)), 1.5)
        ramps = [np.clip((each / noise - 1.6) / (2.4 - 1.6), 0, 1) for each in (mean, spread)]
        share = np.maximum(*ramps).astype(np.float32)
        share[~dark] = 1
        lit = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
    factor = np.float32(0.5) + np.float32(0.5) * lit
    return (confidence * factor + np.float32(0.49)).astype(np.uint8)


def plain_faults(image, depth, labels):
    """The faults of one frame that ``Sanity.look`` finds, whatever came before."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    size = (min(grey.shape[1], 144), min(grey.shape[0], 80))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(int)
    steps = [np.abs(np.diff(small, axis=axis)).ravel() for axis in (0, 1)]
    across = np.concatenate(steps)
    found = set()
    if _reached(small, 0.99) < 16:
        found.add('black')
    elif (small >= 250).sum() >= 0.75 * small.size:
        found.add('white')
    elif _reached(across, 0.99) < max(8, 5 * min(_reached(across, 0.5), 4)):
        found.add('covered')
    some = depth[::8, ::8].astype(np.float64)
    if not np.isfinite(some).all():
        found.add('depth')
    else:
        nearer, farther = np.percentile(some, [5, 95])
        if not (nearer > 0 and farther > 1.02 * nearer):
            found.add('depth')
    few = labels[::8, ::8]
    if max(((few == each).sum() for each in range(255)), default=0) >= 0.995 * few.size:
        found.add('labels')
    return found


def _reached(values, share):
    """The least value that at least ``share`` of the ``values`` do not exceed."""
    ordered = np.sort(values, axis=None)
    return ordered[max(int(np.ceil(share * ordered.size)) - 1, 0)]
