"""Frames in the run folder: what is kept, how the intrinsics follow, what is read back."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
from support.moving_scene import MovingScene

pytest.importorskip('lightning', reason='lightning is not installed')

from dsn_core.data.source import SourceFrame
from dsn_core.errors import UserError
from dsn_core.training.frame_store import FrameStore, Thinning, store_frames

KEEP_ALL = Thinning()


def store(tmp_path, *sources, height=64, width=96, thinning=KEEP_ALL):
    store_frames(sources, tmp_path / 'day', tmp_path / 'work', height, width, thinning)
    return FrameStore(tmp_path / 'day')


def test_what_is_stored_is_read_back(tmp_path):
    scene = MovingScene(seed=3)
    found = store(tmp_path, scene)
    frames = list(scene.frames(tmp_path))
    assert len(found) == len(frames) == 10
    for i in (0, 4, 9):
        difference = found.image(i).astype(int) - frames[i].image
        assert np.abs(difference).mean() < 3  # JPEG
        np.testing.assert_allclose(found.intrinsics(i), frames[i].intrinsics)
    # The first and the last frame of each of the two drives have one neighbour only.
    assert found.targets.tolist() == [1, 2, 3, 6, 7, 8]
    assert found.distance(1, 2) == pytest.approx(0.5)
    assert found.times[1] == pytest.approx(0.1)


def test_two_sources_are_never_neighbours(tmp_path):
    scene = MovingScene(sequences=1, length=3)
    assert store(tmp_path, scene, scene).targets.tolist() == [1, 4]


def test_intrinsics_follow_the_resize(tmp_path):
    # A point of the scene must be where the resized picture shows it: a white dot is drawn where
    # K projects a point, and must be found where the stored K does.
    scene = MovingScene(sequences=1, length=3, height=128, width=256)
    point = np.array([0.7, 0.4, 4.0])

    @dataclass(frozen=True)
    class Dotted(MovingScene, kind='dotted'):
        def frames(self, work) -> Iterator[SourceFrame]:
            for frame in scene.frames(work):
                u, v, w = frame.intrinsics @ point
                dark = np.zeros_like(frame.image)
                rows, columns = np.mgrid[0:128, 0:256]
                spot = np.exp(-((columns - u / w) ** 2 + (rows - v / w) ** 2) / 18)
                yield replace(frame, image=(dark + 255 * spot[..., None]).astype(np.uint8))

    found = store(tmp_path, Dotted(), height=64, width=64)
    picture = found.image(1)[..., 0].astype(float)
    rows, columns = np.mgrid[0:64, 0:64]
    seen = (picture * columns).sum() / picture.sum(), (picture * rows).sum() / picture.sum()
    u, v, w = found.intrinsics(1) @ point
    assert seen == pytest.approx((u / w, v / w), abs=0.15)


@pytest.mark.parametrize(
    ('thinning', 'times'),
    [
        (Thinning(), [0.0, 0.1, 0.2, 0.3, 0.4]),
        (Thinning(max_fps=5), [0.0, 0.2, 0.4]),
        (Thinning(min_travel=0.9), [0.0, 0.2, 0.4]),
        (Thinning(min_travel=1.4), [0.0, 0.3]),
        (Thinning(limit=3), [0.0, 0.1, 0.2]),
    ],
)
def test_thinning(tmp_path, thinning, times):
    frames = MovingScene(sequences=1).frames(tmp_path)
    assert [f.time for f in thinning(frames)] == pytest.approx(times)


def test_travel_that_is_not_known_drops_nothing(tmp_path):
    frames = (replace(f, travelled=float('nan')) for f in MovingScene().frames(tmp_path))
    assert len(list(Thinning(min_travel=100)(frames))) == 10


def test_a_frame_that_is_there_is_not_written_again(tmp_path):
    scene = MovingScene(sequences=1)
    found = store(tmp_path, scene)
    stamps = {i: found.path(i).stat().st_mtime_ns for i in range(5)}
    content = found.path(2).read_bytes()
    found.path(2).unlink()
    again = store(tmp_path, scene)
    assert again.path(2).read_bytes() == content
    assert all(again.path(i).stat().st_mtime_ns == stamps[i] for i in (0, 1, 3, 4))


def test_too_few_frames_are_said(tmp_path):
    with pytest.raises(UserError, match='none has a neighbour'):
        store(tmp_path, MovingScene(length=2))


def test_a_damaged_frame_is_named(tmp_path):
    found = store(tmp_path, MovingScene())
    found.path(1).write_bytes(b'not a picture')
    with pytest.raises(UserError, match=r'000001\.jpg is no picture'):
        found.image(1)
    cv2.imwrite(str(found.path(1)), np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(UserError, match='20x10, wanted is 96x64'):
        found.image(1)
    with pytest.raises(UserError, match='holds no frames'):
        FrameStore(tmp_path)
