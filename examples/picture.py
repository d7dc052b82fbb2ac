"""Depth and labels of one picture: python examples/picture.py PICTURE [OUT] [--fov DEGREES]."""

import argparse
from pathlib import Path

import cv2
import numpy as np

from dsn_core.data.picture_file import read_picture, to_rgb
from dsn_core.visual import overlay
from dsn_ros.camera import Camera
from dsn_ros.engines import load_engine
from dsn_ros.pipeline import Frame, Pipeline, PipelineOptions


def main() -> None:
    """Write OUT/depth.npy (metres, or the network's units) and OUT/overlay.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('picture', type=Path)
    parser.add_argument('out', type=Path, nargs='?', default=Path('out/example'))
    parser.add_argument('--fov', type=float, help='horizontal field of view: makes depth metric')
    arguments = parser.parse_args()

    image = to_rgb(read_picture(arguments.picture))
    height, width = image.shape[:2]
    camera = Camera.of_view(width, height, arguments.fov) if arguments.fov else None

    engine = load_engine()  # the default weights, on the best that this machine has
    pipeline = Pipeline(engine, PipelineOptions(output_size='camera'))
    seen = pipeline.process(Frame(image, camera=camera))

    arguments.out.mkdir(parents=True, exist_ok=True)
    np.save(arguments.out / 'depth.npy', seen.depth)
    painted = overlay(seen.image, seen.labels)
    cv2.imwrite(str(arguments.out / 'overlay.png'), painted[..., ::-1])

    known = np.isfinite(seen.depth)
    near = float(np.percentile(seen.depth[known], 5)) if known.any() else float('nan')
    unit = 'm' if seen.scale.metric else f'units ({seen.scale.source})'
    names = engine.metadata.class_names
    ids, counts = np.unique(seen.labels[seen.labels < len(names)], return_counts=True)
    most = sorted(zip(counts, ids, strict=True), reverse=True)[:3]
    print(f'nearest 5 %: {near:.1f} {unit}; light: {seen.lighting.condition}')
    print('most of:', ', '.join(names[i] for _, i in most))


if __name__ == '__main__':
    main()
