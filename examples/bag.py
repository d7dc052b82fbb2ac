"""What stands in the way, frame by frame of a bag: python examples/bag.py BAG [--frames N].

No ROS is needed: sqlite3, mcap and ROS 1 bags are read as they are.
"""

import argparse
from itertools import islice
from pathlib import Path

import numpy as np

from dsn_ros.bags import choose_image_topic, find_camera_info_topic, open_bag
from dsn_ros.camera import Camera
from dsn_ros.compressed_images import compressed_to_rgb
from dsn_ros.engines import load_engine
from dsn_ros.messages import bag_converter, camera_info_fields, image_to_rgb, stamp_ns
from dsn_ros.obstacles import ObstacleOptions, obstacle_classes, obstacle_cloud
from dsn_ros.pipeline import Frame, Pipeline


def main() -> None:
    """Print the time, the light and the nearest obstacle of each frame."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('bag', type=Path)
    parser.add_argument('--topic', help='image topic, where the bag has several')
    parser.add_argument('--frames', type=int, help='no more than so many')
    arguments = parser.parse_args()

    engine = load_engine()
    pipeline = Pipeline(engine)
    options = ObstacleOptions(max_range=30.0)
    stops = obstacle_classes(engine.metadata.class_names)
    camera = None
    with open_bag(arguments.bag) as bag:
        topic = choose_image_topic(bag, arguments.topic).name
        info = find_camera_info_topic(bag, topic)
        if info is not None:
            first = next(iter(bag.messages([info])))
            camera = Camera.from_info(camera_info_fields(bag.deserialize(first)), topic)
        for message in islice(bag.messages([topic]), arguments.frames):
            msg = bag.deserialize(message)
            raw = hasattr(msg, 'encoding')  # else a CompressedImage
            image = image_to_rgb(msg, bag_converter) if raw else compressed_to_rgb(msg)
            stamp = stamp_ns(msg.header)
            seen = pipeline.process(Frame(image, stamp, msg.header.frame_id, camera))
            said = f'{stamp / 1e9:.2f} s, {seen.lighting.condition}: '
            if seen.scale.metric and seen.camera is not None:
                cloud = obstacle_cloud(seen, stops, options)
                near = float(np.min(cloud['z'], initial=np.inf))
                said += f'{len(cloud)} obstacle points, the nearest at {near:.1f} m'
            else:
                said += f'depth is relative: {seen.scale.source}'
            print(said)


if __name__ == '__main__':
    main()
