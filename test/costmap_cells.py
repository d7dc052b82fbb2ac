"""How much of what stands in the way depth and labels mark, and how much else.

python test/costmap_cells.py demo/street out/demo/perception.mcap

The bag with the truth, and what ``dsn replay`` made of it. Cells of 0.2 m, up to 12 m from the
camera and 2 m above the ground, as config/nav2_semantic.yaml has them. Cells within 0.6 m of each
other count as the same.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

sys.path[0] = str(Path(__file__).parents[1])  # not test/, whose dsn_core are tests

from dsn_core.labels import CITYSCAPES
from dsn_ros.bag_tf import read_tree
from dsn_ros.bags import open_bag
from dsn_ros.camera import Camera
from dsn_ros.messages import camera_info_fields, image_view, stamp_ns
from dsn_ros.obstacles import obstacle_classes

CELL, RANGE, HIGHEST, SAME = 0.2, 12.0, 2.0, 0.6  # metres
LOWEST = 0.2  # metres: below is the ground, or a kerb
SIDE = round(2 * RANGE / CELL)


def main(bag_path, result_path):
    """Print the shares by condition as JSON."""
    true, seen = _read(bag_path, '/ground_truth/'), _read(result_path, '/perception/')
    with open_bag(bag_path) as bag:
        tree = read_tree(bag)
        heard = list(bag.messages(['/ground_truth/condition']))
        conditions = [(each.receive_ns, bag.deserialize(each).data) for each in heard]
    shares = defaultdict(list)
    for stamp in sorted(true.keys() & seen.keys()):
        frame, real = true[stamp]
        pose = tree.lookup('base_footprint', frame, np.array([stamp]))[0]
        occupied, marked = _cells(real, pose), _cells(seen[stamp][1], pose)
        condition = max(c for c in conditions if c[0] <= stamp)[1]
        shares[condition].append((_found(occupied, marked), _found(marked, occupied)))
    names = ('occupied cells that are marked', 'marked cells that are occupied')
    result = {
        condition: {
            'frames': len(rows),
            **dict(zip(names, np.round(np.nanmean(rows, axis=0), 3).tolist(), strict=True)),
        }
        for condition, rows in sorted(shares.items())
    }
    sys.stdout.write(json.dumps(result, indent=2) + '\n')


def _read(path, under):
    """By stamp: the camera's frame, and the points (N, 3) in it that stand in the way."""
    depths, labels, found, camera, frame = {}, {}, {}, None, ''
    stands = obstacle_classes(CITYSCAPES.names)
    with open_bag(path) as bag:
        info = next(name for name in bag.topics if name.endswith('camera_info'))
        for message in bag.messages([f'{under}depth/image', f'{under}labels/image', info]):
            content = bag.deserialize(message)
            if message.topic == info:
                camera = Camera.from_info(camera_info_fields(content))
                frame = content.header.frame_id
                continue
            kept = depths if 'depth' in message.topic else labels
            millimetres = content.encoding == '16UC1'
            values = np.array(image_view(content))
            kept[stamp_ns(content.header)] = values / 1000 if millimetres else values
    for stamp in depths.keys() & labels.keys():
        depth, label = depths[stamp], labels[stamp]
        k = np.reshape(camera.resized(*depth.shape).k, (3, 3))
        v, u = np.nonzero(stands[label] & np.isfinite(depth) & (depth > 0) & (depth < 2 * RANGE))
        z = depth[v, u].astype(np.float64)
        x, y = (u - k[0, 2]) / k[0, 0] * z, (v - k[1, 2]) / k[1, 1] * z
        found[stamp] = frame, np.stack([x, y, z], axis=1)
    return found


def _cells(xyz, pose):
    """(SIDE, SIDE) uint8: cells with a point of ``xyz`` (N, 3) that stands in the way."""
    grid = np.zeros((SIDE, SIDE), np.uint8)
    placed = xyz @ pose[:3, :3].T + pose[:3, 3]
    near = np.hypot(*(placed - pose[:3, 3])[:, :2].T) < RANGE
    kept = placed[near & (placed[:, 2] > LOWEST) & (placed[:, 2] < HIGHEST)]
    i, j = np.floor(((kept - pose[:3, 3])[:, :2] + RANGE) / CELL).astype(int).T
    grid[i, j] = 1
    return grid


def _found(cells, others):
    """Share of ``cells`` near which there is one of ``others``; NaN without cells."""
    reach = round(SAME / CELL)
    around = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach
    widened = cv2.dilate(others, around.astype(np.uint8))
    return np.mean(widened[cells > 0]) if cells.any() else np.nan


if __name__ == '__main__':
    main(*sys.argv[1:])
