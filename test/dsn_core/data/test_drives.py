"""Drives as dsn simulate writes them: what is read, and what is refused by name."""

import json

import numpy as np
import pytest
from support.drive_factory import CAR, SKY, write_drive

from dsn_core.data.augment import random_view, worse_camera
from dsn_core.data.drives import Drive, DriveError, DriveFrame, find_drives


def test_a_frame_is_read_in_metres_and_classes(tmp_path):
    drive = Drive.open(write_drive(tmp_path, 'a_day', 'train'))
    frame = drive.read(0)
    assert frame.image.shape == (96, 160, 3)
    assert frame.depth[frame.labels == CAR] == pytest.approx(9.0, abs=1 / 256)
    assert not frame.depth[frame.labels == SKY].any()
    # Red is the first channel.
    red, _, blue = frame.image[frame.labels == CAR].mean(axis=0)
    assert red > 150 > blue


def test_drives_are_found_by_split_and_condition(tmp_path):
    for name, split, condition in (
        ('a', 'train', 'day'),
        ('b', 'train', 'night'),
        ('c', 'test', 'day'),
    ):
        write_drive(tmp_path, name, split, condition)
    assert [d.path.name for d in find_drives([tmp_path], 'train')] == ['a', 'b']
    assert [d.path.name for d in find_drives([tmp_path], 'train', 'night')] == ['b']
    with pytest.raises(DriveError, match='test night drives'):
        find_drives([tmp_path], 'test', 'night')


def test_damage_is_named(tmp_path):
    path = write_drive(tmp_path, 'a', 'train')
    (path / 'depth' / '000001.png').write_bytes(b'no picture')
    with pytest.raises(DriveError, match=r'depth.000001\.png'):
        Drive.open(path).read(1)
    (path / 'drive.json').write_text(json.dumps({'condition': 'day'}))
    with pytest.raises(DriveError, match='intrinsics'):
        Drive.open(path)
    with pytest.raises(DriveError, match='no drive'):
        Drive.open(tmp_path / 'nothing')


def straight_road(height=120, width=200, f=150.0):
    """A frame of a plane road whose depth follows from the row: the truth of any window of it."""
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    depth = 1.5 * f / np.maximum(v - height / 2 + 0.5, 0.5)
    labels = (u * 19 // width).astype(np.uint8)
    return DriveFrame(np.zeros((height, width, 3), np.uint8), depth, labels)


@pytest.mark.parametrize('seed', range(12))
def test_random_view_moves_all_maps_alike(seed):
    frame = straight_road()
    image = np.repeat(frame.labels[..., None] * 10, 3, axis=-1)
    view, factor = random_view(
        DriveFrame(image, frame.depth, frame.labels), 64, 96, np.random.default_rng(seed)
    )
    assert view.image.shape == (64, 96, 3)
    assert view.depth.shape == view.labels.shape == (64, 96)
    agree = np.abs(view.image[..., 0].astype(int) - view.labels * 10) <= 5
    assert agree.mean() > 0.9
    # Window widths lie between the full picture's and 1 / (zoom x stretch) of it.
    assert 96 / 200 * 0.9 < factor < 96 / 200 * 1.8 * 1.2 * 1.2
    assert set(np.unique(view.depth)) <= set(np.unique(frame.depth))


def test_without_zoom_a_window_is_as_wide_or_as_high_as_the_frame():
    frame = straight_road(320, 576)
    for seed in range(200):  # some of which round to a window a hair larger than the frame
        rng = np.random.default_rng(seed)
        view, factor = random_view(frame, 320, 576, rng, max_zoom=1.0)
        assert view.depth.shape == (320, 576)
        assert 1 <= factor <= 1.16  # no more than a stretch


def test_no_strength_changes_nothing_and_strength_changes_light():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    assert worse_camera(image, np.random.default_rng(0), 0.0) is image
    changed = [worse_camera(image, np.random.default_rng(s), 1.0) for s in range(8)]
    assert all(c.shape == image.shape and c.dtype == np.uint8 for c in changed)
    means = [float(c.mean()) for c in changed]
    assert max(means) - min(means) > 20
    again = worse_camera(image, np.random.default_rng(3), 1.0)
    assert np.array_equal(again, changed[3])
