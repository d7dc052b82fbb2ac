"""Live from a camera, or a video: python examples/webcam.py [0 | VIDEO] [--out VIDEO.avi].

Shows picture, labels and depth side by side; q ends it. With --out it writes them, and needs no
screen.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from dsn_core.data.picture_file import to_rgb
from dsn_core.visual import colourise_depth, overlay
from dsn_ros.engines import load_engine
from dsn_ros.pipeline import Frame, Pipeline, PipelineOptions


def main() -> None:
    """Run until the video ends, or q is pressed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', nargs='?', default='0', help='number of a camera, or a video')
    parser.add_argument('--fov', type=float, default=70.0, help='horizontal field of view')
    parser.add_argument('--out', type=Path, help='write an .avi in place of showing')
    arguments = parser.parse_args()

    source = arguments.source
    video = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not video.isOpened():
        parser.error(f'{source} is no camera and no video that can be opened')
    engine = load_engine()
    pipeline = Pipeline(engine, PipelineOptions(fov_degrees=arguments.fov))
    writer, frames = None, 0
    while True:
        there, bgr = video.read()
        if not there:
            break
        stamp = cv2.getTickCount() * 1_000_000_000 // int(cv2.getTickFrequency())
        seen = pipeline.process(Frame(to_rgb(bgr), int(stamp)))
        frames += 1
        painted = [seen.image, overlay(seen.image, seen.labels), colourise_depth(seen.depth)]
        shown = np.ascontiguousarray(np.hstack(painted)[..., ::-1])
        if arguments.out is None:
            cv2.imshow('picture, labels, depth', shown)  # needs opencv-python, not -headless
            if cv2.waitKey(1) == ord('q'):
                break
            continue
        if writer is None:
            size = shown.shape[1], shown.shape[0]
            writer = cv2.VideoWriter(
                str(arguments.out), cv2.VideoWriter.fourcc(*'MJPG'), 10.0, size
            )
        writer.write(shown)
    if writer is not None:
        writer.release()
    print(f'{frames} frames')


if __name__ == '__main__':
    main()
