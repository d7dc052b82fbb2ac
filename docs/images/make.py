"""Draws street.jpg: frames of the demo bag by day and by night, with what a robot gets of them.

python docs/images/make.py
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import CITYSCAPES
from dsn_core.visual import colourise_depth, overlay
from dsn_ros.bag_camera import BagCamera
from dsn_ros.bag_tf import read_tree
from dsn_ros.bags import Bag, open_bag
from dsn_ros.engines import load_engine
from dsn_ros.messages import image_view, stamp_ns
from dsn_ros.obstacles import ObstacleOptions, obstacle_classes, obstacle_cloud
from dsn_ros.pipeline import Frame, Perception, Pipeline
from dsn_ros.scale import ScaleOptions

HERE = Path(__file__).parent
BAG = HERE.parents[1] / 'demo' / 'street'
FRAMES = (15, 37)  # of the day drive and, at the same place, of the night drive
TRUTH = {kind: f'/ground_truth/{kind}/image' for kind in ('depth', 'labels')}
GAP = 6  # pixels
# As in test/costmap_cells.py: metres.
CELL, RANGE, LOWEST, HIGHEST = 0.2, 12.0, 0.2, 2.0
PIXELS = 24  # of the costmap's picture, for a metre
PAPER, THERE, RING = (250, 250, 250), (250, 205, 130), (225, 225, 225)


@dataclass
class Moment:
    """A frame of the bag, its truth (metres, class ids), and where the camera was (4, 4)."""

    frame: Frame
    truth: dict[str, NDArray[np.float32]]
    pose: NDArray[np.float64]


def moments(bag: Bag) -> Iterator[Moment]:
    """The frames that are drawn; their truth comes after them."""
    camera = BagCamera(bag, None, None, ScaleOptions())
    tree = read_tree(bag)
    index, frames, truths = 0, {}, {}
    for message in bag.messages([*camera.topics, *TRUTH.values()]):
        content = bag.deserialize(message)
        if camera.hear(message.topic, content):
            continue
        stamp = stamp_ns(content.header)
        if message.topic == camera.topic.name:
            if index in FRAMES:
                picture = camera.picture(content)
                frames[stamp] = camera.frame(picture, stamp, content.header.frame_id)
            index += 1
            continue
        kind = next(kind for kind, topic in TRUTH.items() if topic == message.topic)
        unit = 1e-3 if content.encoding == '16UC1' else 1.0
        truths[kind, stamp] = image_view(content).astype(np.float32) * np.float32(unit)
    for stamp, frame in frames.items():
        truth = {kind: truths[kind, stamp] for kind in TRUTH}
        pose = tree.lookup('base_footprint', frame.frame_id, np.array([stamp]))[0]
        yield Moment(frame, truth, pose)


def costmap(seen: Perception, moment: Moment) -> NDArray[np.uint8]:
    """From above, ahead is up: orange where something stands, in colours what ``seen`` marks."""
    height, width = seen.depth.shape
    depth, labels = (
        cv2.resize(moment.truth[kind], (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        for kind in TRUTH
    )
    true = replace(seen, depth=depth, labels=labels.astype(np.uint8))
    plan = np.full((height, width, 3), PAPER, np.uint8)
    foot = (width // 2, height - PIXELS)  # the camera, above the ground
    for metres in (4, 8, 12):
        cv2.circle(plan, foot, metres * PIXELS, RING, 1, cv2.LINE_AA)
    for each, colours in ((seen, CITYSCAPES.palette()), (true, None)):
        cloud = obstacle_cloud(
            each, obstacle_classes(CITYSCAPES.names), ObstacleOptions(RANGE, max_points=50000)
        )[0]
        xyz = np.stack([cloud['x'], cloud['y'], cloud['z']], axis=1).astype(np.float64)
        z = (xyz @ moment.pose[:3, :3].T + moment.pose[:3, 3])[:, 2]
        xy = (xyz @ moment.pose[:3, :3].T)[:, :2]
        kept = (z > LOWEST) & (z < HIGHEST)
        cells = np.floor(xy[kept] / CELL) * CELL
        side = round(CELL * PIXELS)
        for (ahead, left), label in zip(cells, cloud['label'][kept], strict=True):
            u, v = (
                foot[0] - round((left + CELL) * PIXELS),
                foot[1] - round((ahead + CELL) * PIXELS),
            )
            if colours is None:  # smaller, so that it hides no mark
                cv2.rectangle(plan, (u + 1, v + 1), (u + side - 2, v + side - 2), THERE, -1)
            else:
                shade = tuple(map(int, colours[label]))
                cv2.rectangle(plan, (u, v), (u + side, v + side), shade, -1)
    robot = np.array([(0, -12), (-8, 8), (8, 8)]) + foot
    cv2.fillPoly(plan, [robot], (30, 30, 30), cv2.LINE_AA)
    return plan


def row(pipeline: Pipeline, moment: Moment) -> NDArray[np.uint8]:
    """Picture, depth, labels and costmap side by side."""
    seen = pipeline.process(moment.frame)
    gap = np.full((seen.image.shape[0], GAP, 3), 255, np.uint8)
    labels = overlay(seen.image, seen.labels, strength=0.65)
    parts = (seen.image, colourise_depth(seen.depth), labels, costmap(seen, moment))
    return np.hstack([part for each in parts for part in (each, gap)][:-1])


def main() -> None:
    """Write street.jpg beside this file."""
    pipeline = Pipeline(load_engine())
    with open_bag(BAG) as bag:
        rows = [row(pipeline, moment) for moment in moments(bag)]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    picture = np.vstack([rows[0], gap, rows[1]])
    small = cv2.resize(picture, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(HERE / 'street.jpg'), small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == '__main__':
    main()
