"""Draws street.jpg: frames of the demo bag by day and by night, with depth and labels.

python docs/images/make.py
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.visual import colourise_depth, overlay
from dsn_ros.bags import choose_image_topic, find_camera_info_topic, open_bag
from dsn_ros.camera import Camera
from dsn_ros.engines import load_engine
from dsn_ros.messages import camera_info_fields, compressed_to_rgb
from dsn_ros.pipeline import Frame, Pipeline

HERE = Path(__file__).parent
BAG = HERE.parents[1] / 'demo' / 'street'
FRAMES = (6, 28)  # of the day drive and, at the same place, of the night drive
GAP = 6  # pixels


def row(pipeline: Pipeline, image: NDArray[np.uint8], camera: Camera) -> NDArray[np.uint8]:
    """Picture, depth and labels side by side."""
    seen = pipeline.process(Frame(image, camera=camera))
    gap = np.full((image.shape[0], GAP, 3), 255, np.uint8)
    labels = overlay(seen.image, seen.labels, strength=0.65)
    return np.hstack([seen.image, gap, colourise_depth(seen.depth), gap, labels])


def main() -> None:
    """Write street.jpg beside this file."""
    pipeline = Pipeline(load_engine())
    rows = []
    with open_bag(BAG) as bag:
        topic = choose_image_topic(bag).name
        info = find_camera_info_topic(bag, topic)
        assert info is not None
        camera, index = None, 0
        for message in bag.messages([topic, info]):
            content = bag.deserialize(message)
            if message.topic == info:
                camera = Camera.from_info(camera_info_fields(content))
                continue
            if index in FRAMES and camera is not None:
                rows.append(row(pipeline, compressed_to_rgb(content), camera))
            index += 1
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    picture = np.vstack([rows[0], gap, rows[1]])
    small = cv2.resize(picture, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(HERE / 'street.jpg'), small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == '__main__':
    main()
