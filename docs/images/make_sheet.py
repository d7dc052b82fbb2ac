"""Draws street_sheet.jpg: simulated towns by day, at dusk and by night, with their ground truth.

python docs/images/make_sheet.py
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.simulation import SimulatedDrive, SimulatedFrame, SimulationOptions
from dsn_core.visual import colourise_depth, overlay

HERE = Path(__file__).parent
TOWNS = {'day': (0, 3), 'dusk': (9, 16), 'night': (5, 29)}  # of every weather
NARROW = {'day': 2205, 'dusk': 2120, 'night': 2172}
FRAME = 1  # of each drive
GAP = 4  # pixels
BEST = 400_000  # bytes at most


def cell(frame: SimulatedFrame) -> NDArray[np.uint8]:
    """Picture above, depth and labels below it, half as large."""
    truth = np.hstack(
        [colourise_depth(frame.depth), overlay(frame.image, frame.labels, strength=0.8)]
    )
    size = (frame.image.shape[1], frame.image.shape[0] // 2)
    truth = cv2.resize(truth, size, interpolation=cv2.INTER_AREA)
    return np.vstack([frame.image, truth])


def main() -> None:
    """Write street_sheet.jpg beside this file."""
    rows = []
    for condition, seeds in TOWNS.items():
        streets = [(seed, 0.0) for seed in seeds] + [(NARROW[condition], 1.0)]
        cells = []
        for seed, narrow in streets:
            options = SimulationOptions(fps=0.5, narrow=narrow)
            frames = SimulatedDrive(seed, condition, options).frames(FRAME + 1)
            cells.append(cell(list(frames)[FRAME]))
        rows.append(np.hstack([np.pad(c, ((0, GAP), (0, GAP), (0, 0))) for c in cells]))
    sheet = cv2.resize(np.vstack(rows), None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    for quality in range(90, 40, -5):
        ok, code = cv2.imencode('.jpg', sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        if ok and len(code) <= BEST:
            break
    (HERE / 'street_sheet.jpg').write_bytes(code.tobytes())


if __name__ == '__main__':
    main()
