"""A street of boxes whose every surface is known, and what a camera on a robot sees of it.

The map is REP 103: x ahead, y left, z up, the ground at z = 0. Pictures are ray-cast in float64;
what they should show a costmap is worked out the other way round, from the places to the camera.
"""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from dsn_core.golden import GoldenFigures, golden_frame
from dsn_core.labels import CITYSCAPES
from dsn_core.metadata import METADATA_KEY
from dsn_ros.camera import Camera
from dsn_ros.engines import Prediction
from support.stand_in_engine import OneSize, metadata

ID = {name: CITYSCAPES.id_of(name) for name in CITYSCAPES.names}
HEIGHT, WIDTH, FOCAL = 192, 320, 190.0
CAMERA = Camera.pinhole(WIDTH, HEIGHT, FOCAL, FOCAL, (WIDTH - 1) / 2, 70.0)
FRAME = 'camera_optical_frame'


@dataclass(frozen=True)
class Box:
    label: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]


# Off the grid: a wall on the border of two cells would be in either, by rounding.
CAR_AHEAD = Box('car', (7.07, -1.33, 0.0), (10.63, 0.47, 1.4))
STREET = (
    Box('building', (2.05, 6.55, 0.0), (30.0, 9.0, 9.0)),
    Box('building', (3.05, -9.0, 0.0), (30.0, -6.55, 7.0)),
    Box('car', (5.07, 2.05, 0.0), (8.63, 3.73, 1.5)),
    CAR_AHEAD,
    Box('person', (5.53, -3.37, 0.0), (5.93, -2.93, 1.8)),
    Box('pole', (8.05, -4.65, 0.0), (8.27, -4.43, 5.0)),
    Box('fence', (9.05, -5.95, 0.0), (13.0, -5.85, 1.1)),
)


def ground_label(y):
    """Class ids of the ground at map y: road, sidewalk to both sides, terrain beyond."""
    side = np.abs(np.asarray(y))
    return np.where(side < 4, ID['road'], np.where(side < 5.5, ID['sidewalk'], ID['terrain']))


def robot_pose(x=0.0, y=-0.5, yaw=0.1, camera_height=1.35, pitch=0.12, roll=0.02):
    """(4, 4) camera's optical frame → map: level optical axes, tilted, on the robot."""
    axes = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # columns: right, down, ahead

    def turn(axis, angle):
        c, s = np.cos(angle), np.sin(angle)
        i, j = [k for k in range(3) if k != axis]
        matrix = np.eye(3)
        matrix[i, i] = matrix[j, j] = c
        matrix[i, j], matrix[j, i] = (-s, s) if axis != 1 else (s, -s)
        return matrix

    pose = np.eye(4)
    pose[:3, :3] = turn(2, yaw) @ turn(1, pitch) @ turn(0, roll) @ axes
    pose[:3, 3] = (x, y, camera_height)
    return pose


def look(boxes, pose):
    """Depth (H, W) float32 along the optical axis, +inf in the sky, and labels (H, W) uint8."""
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    k = CAMERA.k
    rays = np.stack([(u - k[2]) / k[0], (v - k[5]) / k[4], np.ones_like(u)], axis=-1)
    rays, origin = rays @ pose[:3, :3].T, pose[:3, 3]
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = np.where(rays[..., 2] < 0, -origin[2] / rays[..., 2], np.inf)
        depth[depth > 200] = np.inf
        y = origin[1] + np.where(np.isfinite(depth), depth, 0) * rays[..., 1]
        labels = np.where(np.isfinite(depth), ground_label(y), ID['sky']).astype(np.uint8)
        for box in boxes:
            at = (np.array([box.low, box.high])[:, None, None] - origin) / rays
            enter = np.nanmax(at.min(axis=0), axis=-1)
            leave = np.nanmin(at.max(axis=0), axis=-1)
            hit = (enter < leave) & (enter > 0) & (enter < depth)
            depth[hit], labels[hit] = enter[hit], ID[box.label]
    return depth.astype(np.float32), labels


def visible(points, boxes, pose):
    """(N,) bool: which map points (N, 3) the camera sees: in the picture, and nothing before."""
    origin = pose[:3, 3]
    x, y, z = ((points - origin) @ pose[:3, :3]).T
    k = CAMERA.k
    with np.errstate(divide='ignore', invalid='ignore'):
        u, v = k[0] * x / z + k[2], k[4] * y / z + k[5]
    seen = (z > 0.05) & (u >= 0) & (u <= WIDTH - 1) & (v >= 0) & (v <= HEIGHT - 1)
    for step in np.linspace(0.1, 0.997, 180):  # by small steps rather than by equations
        x, y, z = (origin + step * (points[seen] - origin)).T
        free = np.ones(len(x), dtype=bool)
        for box in boxes:
            (x0, y0, z0), (x1, y1, z1) = box.low, box.high
            free &= ~((x > x0) & (x < x1) & (y > y0) & (y < y1) & (z > z0) & (z < z1))
        seen[np.flatnonzero(seen)] = free
    return seen


def surface(box, spacing):
    """(N, 3) points on the sides and the top of ``box``, about ``spacing`` apart."""
    low, high = np.array(box.low), np.array(box.high)
    counts = np.ceil((high - low) / spacing).astype(int) + 1
    steps = [np.linspace(low[i], high[i], counts[i]) for i in range(3)]
    faces = []
    for axis, sides in ((0, (low[0], high[0])), (1, (low[1], high[1])), (2, (high[2],))):
        for side in sides:
            face = [*steps]
            face[axis] = np.array([side])
            faces.append(np.stack(np.meshgrid(*face, indexing='ij'), axis=-1).reshape(-1, 3))
    return np.concatenate(faces)


def labels_by_cell(boxes, pose, resolution, reach):
    """(column, row) of a cell → ids of the classes that the camera sees in it within ``reach`` m.

    From small squares of the ground and points of the boxes, asked one by one whether they are
    seen; what a cell shows between two rows of pixels is in it as well.
    """
    step = resolution / 3
    x, y = np.meshgrid(np.arange(-1, 14, step), np.arange(-10, 10, step), indexing='ij')
    ground = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3) + (step / 2, step / 2, 0)
    shown = [(ground, ground_label(ground[:, 1]))]
    for box in boxes:
        points = surface(box, resolution / 2)
        shown.append((points, np.full(len(points), ID[box.label])))
    cells = {}
    for points, labels in shown:
        near = np.linalg.norm(points - pose[:3, 3], axis=1) < reach
        points, labels = points[near], labels[near]
        seen = visible(points, boxes, pose)
        where = np.floor(points[seen, :2] / resolution).astype(int)
        for cell, label in zip(where.tolist(), labels[seen].tolist(), strict=True):
            cells.setdefault(tuple(cell), set()).add(label)
    return cells


def boxes_by_cell(boxes, resolution):
    """The cells that any part of a box's outline stands in, seen or not."""
    points = np.concatenate([surface(box, resolution / 4) for box in boxes])
    return {tuple(c) for c in np.floor(points[:, :2] / resolution).astype(int).tolist()}


class ExactEngine(OneSize):
    """Gives out what ``look`` saw as if a network had; confidence is the picture's green."""

    name, device, precision = 'exact', 'CPU', 'fp32'

    def __init__(self, depth, labels, **changes):
        self.metadata = metadata(height=HEIGHT, width=WIDTH, **changes)
        self._depth, self._labels = as_a_network(depth), labels

    def infer(self, images):
        depth, labels = self._depth[None].copy(), self._labels[None].copy()
        return Prediction(depth, labels, images[..., 1].copy())

    def close(self):
        pass


def as_a_network(depth):
    """``depth`` finite in the sky too, as networks give it."""
    return np.where(np.isfinite(depth), depth, np.float32(100))


def write_model(path, depth, labels):
    """The same as a deploy graph, for a node in another process."""
    figures = GoldenFigures.of(
        as_a_network(depth), labels, golden_frame(HEIGHT, WIDTH)[..., 1].copy()
    )
    grid = ['N', HEIGHT, WIDTH]
    constants = {
        'never': np.zeros((1, 1, 1), np.bool_),
        'seen_depth': as_a_network(depth)[None],
        'seen_labels': labels[None],
        'red': np.array(0, np.int64),
        'green': np.array(1, np.int64),
    }
    nodes = [
        helper.make_node('Gather', ['image', 'red'], ['first'], axis=3),
        helper.make_node('Cast', ['first'], ['first_float'], to=TensorProto.FLOAT),
        helper.make_node('Where', ['never', 'first_float', 'seen_depth'], ['depth']),
        helper.make_node('Where', ['never', 'first', 'seen_labels'], ['labels']),
        helper.make_node('Gather', ['image', 'green'], ['confidence'], axis=3),
    ]
    graph = helper.make_graph(
        nodes,
        'exact',
        [helper.make_tensor_value_info('image', TensorProto.UINT8, [*grid, 3])],
        [
            helper.make_tensor_value_info('depth', TensorProto.FLOAT, grid),
            helper.make_tensor_value_info('labels', TensorProto.UINT8, grid),
            helper.make_tensor_value_info('confidence', TensorProto.UINT8, grid),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=8)
    about = metadata(height=HEIGHT, width=WIDTH, golden=figures)
    helper.set_model_props(model, {METADATA_KEY: about.to_json()})
    path.write_bytes(model.SerializeToString())
    return path
