"""What two costmap layers do with messages, from their documentation: no message may be helped.

Grids are dictionaries: (column, row) of a cell of the map frame → cost.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

FLOAT32 = 7  # sensor_msgs/PointField


def positions(cloud):
    """(N, 3) float64 of a PointCloud2's x, y, z, point after point of ``point_step`` bytes."""
    offsets = {f.name: f.offset for f in cloud.fields}
    types = {f.name: f.datatype for f in cloud.fields}
    assert [types[name] for name in 'xyz'] == [FLOAT32] * 3
    assert not cloud.is_bigendian
    data = bytes(cloud.data)
    count = cloud.width * cloud.height
    assert len(data) == count * cloud.point_step
    return np.stack(
        [np.ndarray((count,), '<f4', data, offsets[name], (cloud.point_step,)) for name in 'xyz'],
        axis=1,
    ).astype(np.float64)


def to_map(points, camera_to_map):
    return points @ camera_to_map[:3, :3].T + camera_to_map[:3, 3]


@dataclass
class Tile:
    """What was seen in one cell: the looks of the class that holds it (confidence, stamp)."""

    looks: dict = field(default_factory=dict)
    holder: int | None = None


class SemanticLayer:
    """ros-navigation/semantic_segmentation_layer, one source, as its README tells.

    A pixel's point is point v * width + u, whatever ``step`` and ``row_step`` say.
    """

    def __init__(self, source, resolution):
        self.source, self.resolution = source, resolution
        self.rules = {
            name: source[kind]
            for kind in source['class_types']
            for name in source[kind]['classes']
        }
        self.by_id = None
        self.tiles = {}

    def label_info(self, message):
        self.by_id = {
            c.class_id: self.rules[c.class_name]
            for c in message.class_map
            if c.class_name in self.rules
        }

    def frame(self, mask, confidence, cloud, camera_to_map):
        assert self.by_id is not None, 'the layer crashes: LabelInfo must come first'
        for other in (cloud, confidence):
            assert (other.width, other.height) == (mask.width, mask.height)
            assert other.header == mask.header
        points = to_map(positions(cloud), camera_to_map)
        away = np.linalg.norm(points - camera_to_map[:3, 3], axis=1)
        least, most = (self.source[f'{m}_obstacle_distance'] for m in ('min', 'max'))
        stamp = mask.header.stamp.sec + mask.header.stamp.nanosec * 1e-9
        labels, sure = bytes(mask.data), bytes(confidence.data)
        usable = np.isfinite(points[:, 2]) & (away > least) & (away < most)
        cells = np.floor(points[:, :2] / self.resolution)
        best = {}
        for v in range(mask.height):
            for u in range(mask.width):
                i = v * mask.width + u
                if not usable[i]:
                    continue
                cell = (int(cells[i, 0]), int(cells[i, 1]))
                if cell not in best or self._cost(labels[i]) > self._cost(labels[best[cell]]):
                    best[cell] = i
        for cell, i in best.items():
            self._look(cell, labels[i], sure[i], stamp)

    def _cost(self, label):
        rule = self.by_id.get(label)
        return rule['max_cost'] if rule else 0

    def _look(self, cell, label, confidence, stamp):
        if label not in self.by_id:
            return
        tile = self.tiles.setdefault(cell, Tile())
        looks = tile.looks.setdefault(label, deque())
        looks.append((confidence, stamp))
        held = len(tile.looks.get(tile.holder, ())) if tile.holder is not None else 0
        if self.by_id[label]['dominant_priority'] or len(looks) > held:
            tile.holder, tile.looks = label, {label: looks}

    def grid(self):
        return {cell: self._tile_cost(tile) for cell, tile in self.tiles.items()}

    def _tile_cost(self, tile):
        rule = self.by_id[tile.holder]
        confidences = [c for c, _ in tile.looks[tile.holder]]
        often = len(confidences) >= rule['samples_to_max_cost']
        sure = np.mean(confidences) > rule['mark_confidence']
        return rule['max_cost'] if often and sure else rule['base_cost']


class ObstacleLayer:
    """nav2_costmap_2d::ObstacleLayer: frees the cells on the lines of sight, then marks points.

    Only the newest cloud of each source counts (observation_persistence 0).
    """

    def __init__(self, options, resolution):
        self.options, self.resolution = options, resolution
        self.newest = {}
        self.costs = {}

    def cloud(self, message, source, camera_to_map):
        """Take in ``message``; points beyond the source's heights are dropped at once."""
        rules = self.options[source]
        points = to_map(positions(message), camera_to_map)
        kept = (points[:, 2] >= rules['min_obstacle_height']) & (
            points[:, 2] <= rules['max_obstacle_height']
        )
        self.newest[source] = (points[kept], camera_to_map[:3, 3])

    def update(self):
        for name in self.options['observation_sources'].split():
            if self.options[name]['clearing'] and name in self.newest:
                self._clear(*self.newest[name], self.options[name]['raytrace_max_range'])
        for name in self.options['observation_sources'].split():
            if self.options[name]['marking'] and name in self.newest:
                self._mark(*self.newest[name], self.options[name])
        return dict(self.costs)

    def _clear(self, points, origin, reach):
        ends = np.unique(np.floor(points[:, :2] / self.resolution), axis=0)
        ends = (ends + 0.5) * self.resolution
        way = ends - origin[:2]
        length = np.linalg.norm(way, axis=1)
        for metres in np.arange(0, reach, self.resolution / 2):
            on = metres <= length
            at = origin[:2] + way[on] * (metres / np.maximum(length[on], 1e-9))[:, None]
            for cell in np.unique(np.floor(at / self.resolution).astype(int), axis=0):
                self.costs[tuple(cell.tolist())] = 0

    def _mark(self, points, origin, rules):
        away = np.linalg.norm(points - origin, axis=1)
        low, high = (self.options[f'{m}_obstacle_height'] for m in ('min', 'max'))
        kept = (away < rules['obstacle_max_range']) & (away >= rules['obstacle_min_range'])
        kept &= (points[:, 2] >= low) & (points[:, 2] <= high)
        for cell in np.unique(np.floor(points[kept, :2] / self.resolution).astype(int), axis=0):
            self.costs[tuple(cell.tolist())] = 254
