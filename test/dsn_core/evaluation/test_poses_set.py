"""A drive with poses as an evaluation set: pictures or a video, and what is wrong with them."""

import shutil

import cv2
import numpy as np
import pytest
import yaml
from support.moving_scene import MovingScene, draw, intrinsics

from dsn_core.data.drives import read_poses
from dsn_core.errors import ConfigError, UserError
from dsn_core.evaluation.config import load_evaluation
from dsn_core.evaluation.poses_set import PosesSet
from dsn_core.evaluation.prediction import Prediction
from dsn_core.evaluation.score import score
from dsn_core.triangulation import Limits, sparse_depth

STEP = 0.4
SCENE = MovingScene(height=160, width=256)
K = intrinsics(160, 256)
CAMERA = (K[0, 0], K[1, 1], K[0, 2], K[1, 2])
LIMITS = Limits(neighbours=3)


def poses_text(count, step=STEP, first='1 0 0'):
    return ''.join(f'{first} 0 0 1 0 0 0 0 1 {i * step}\n' for i in range(count))


@pytest.fixture(scope='module')
def drawn():
    """Eight pictures (H, W, 3) RGB and their depth."""
    seen = [draw(SCENE, 0, i * STEP) for i in range(8)]
    return [image for image, _, _ in seen], [depth for _, depth, _ in seen]


@pytest.fixture
def folder(tmp_path, drawn):
    for i, image in enumerate(drawn[0]):
        cv2.imwrite(str(tmp_path / f'{i:03d}.png'), image[..., ::-1])
    (tmp_path / 'poses.txt').write_text(poses_text(8))
    return tmp_path


def the_set(path, **fields):
    given = {'poses': 'poses.txt', 'intrinsics': CAMERA, 'limits': LIMITS, 'points': 20}
    given |= fields
    return PosesSet(path, poses=path / given.pop('poses'), **given)


def test_what_is_measured_of_each(folder, drawn):
    each = the_set(folder, condition='night', points=1)
    samples = list(each.samples(folder))
    assert [s.name for s in samples] == [f'{i:03d}' for i in range(8)]
    assert each.count(folder) == 8
    grey = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in drawn[0]])
    poses = read_poses(folder / 'poses.txt')
    for i, sample in enumerate(samples):
        # The same with all pictures at hand: the window moves along as it should.
        expected = sparse_depth(grey, K, poses, i, LIMITS)
        np.testing.assert_array_equal(sample.depth, expected)
        assert np.array_equal(sample.image, drawn[0][i])
        assert np.array_equal(sample.intrinsics, K)
        assert (sample.labels == 255).all()
        assert sample.condition == 'night'
        assert sample.pose is None
    middle = samples[4].depth
    error = np.abs(middle[middle > 0] / drawn[1][4][middle > 0] - 1)
    assert error.size > 50
    assert np.median(error) < 0.02


def test_every_third_is_scored_and_all_of_them_measure(folder):
    full = list(the_set(folder).samples(folder))
    each = the_set(folder, every=3)
    some = list(each.samples(folder))
    assert [s.name for s in some] == ['000', '003', '006']
    assert each.count(folder) == 3
    for sample, whole in zip(some, full[::3], strict=True):
        np.testing.assert_array_equal(sample.depth, whole.depth)


def test_few_points_are_none(folder):
    counts = [np.count_nonzero(s.depth) for s in the_set(folder).samples(folder)]
    limit = sorted(counts)[4]
    kept = [np.count_nonzero(s.depth) for s in the_set(folder, points=limit).samples(folder)]
    assert kept == [count if count >= limit else 0 for count in counts]
    assert 0 in kept


def test_a_cut_is_not_tracked_over(folder, tmp_path_factory):
    # Two drives in one folder of folders, the second with its own poses.
    above = tmp_path_factory.mktemp('above')
    for name in ('a', 'b'):
        shutil.copytree(folder, above / name)
    each = PosesSet(above, poses='poses.txt', intrinsics=CAMERA, limits=LIMITS, points=20)
    samples = list(each.samples(above))
    assert [s.name for s in samples[7:9]] == ['a/007', 'b/000']
    assert samples[7].sequence != samples[8].sequence
    alone = list(the_set(folder).samples(folder))
    for sample, expected in zip(samples, [*alone, *alone], strict=True):
        np.testing.assert_array_equal(sample.depth, expected.depth)


def test_a_video(tmp_path, drawn):
    file = tmp_path / 'drive.avi'
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (256, 160))
    if not writer.isOpened():
        pytest.skip('this OpenCV writes no MJPG')
    for image in drawn[0]:
        writer.write(np.ascontiguousarray(image[..., ::-1]))
    writer.release()
    (tmp_path / 'poses.txt').write_text(poses_text(8))
    each = PosesSet(file, tmp_path / 'poses.txt', intrinsics=CAMERA, limits=LIMITS, points=20)
    samples = list(each.samples(tmp_path))
    assert [s.name for s in samples] == [f'drive/{i:06d}' for i in range(8)]
    assert each.count(tmp_path) == 8
    found = samples[4].depth
    assert np.count_nonzero(found) > 50
    assert np.median(np.abs(found[found > 0] / drawn[1][4][found > 0] - 1)) < 0.03


def test_a_network_a_tenth_too_far_is_told(folder, drawn):
    class Exact:
        metric = True

        def __call__(self, sample):
            return Prediction(1.1 * drawn[1][int(sample.name)])

    config = load_evaluation_of(folder)
    figures = score(Exact(), config.sets[0].samples(folder), config, lambda: None)['day']
    assert figures['scale']['median'] == pytest.approx(1.1, rel=0.01)
    assert figures['depth']['table_2']['unscaled']['abs_rel'] == pytest.approx(0.1, abs=0.03)
    assert figures['depth']['table_2']['median_scaled']['abs_rel'] < 0.04
    assert figures['labels'] is None
    assert figures['temporal']['depth'] is None


def load_evaluation_of(folder, **fields):
    given = {
        'kind': 'poses',
        'path': str(folder),
        'poses': 'poses.txt',
        'intrinsics': [float(c) for c in CAMERA],
        'limits': {'neighbours': 3},
        'points': 20,
    }
    file = folder / 'eval.yaml'
    file.write_text(yaml.safe_dump({'sets': [given | fields], 'rows': ['default']}))
    return load_evaluation(file)


def test_the_configuration(folder):
    (each,) = load_evaluation_of(folder, every=2, fov=60.0, intrinsics=[]).sets
    assert isinstance(each, PosesSet)
    assert (each.every, each.limits.neighbours, each.tables) == (2, 3, (1, 2))
    for fields, message in (
        ({'every': 0}, r'sets\.0\.every must be one or more'),
        ({'points': 0}, r'sets\.0\.points must be one or more'),
        ({'name': ''}, r'sets\.0\.name must be a name'),
        ({'fov': 60.0}, r'sets\.0\.fov must be left out where intrinsics are given'),
        ({'limits': {'views': 1}}, r'sets\.0\.limits\.views must be three or more'),
    ):
        with pytest.raises(ConfigError, match=message):
            load_evaluation_of(folder, **fields)


def test_what_changes_the_truth_makes_another_set(folder):
    before = the_set(folder).fingerprint(folder)
    assert the_set(folder, name='another').fingerprint(folder) == before
    others = [
        the_set(folder, every=2),
        the_set(folder, points=21),
        the_set(folder, limits=Limits(neighbours=4)),
        the_set(folder, intrinsics=(200.0, 200.0, 128.0, 80.0)),
        the_set(folder, condition='dusk'),
    ]
    assert before not in {other.fingerprint(folder) for other in others}
    (folder / 'poses.txt').write_text(poses_text(8, step=0.5))
    assert the_set(folder).fingerprint(folder) != before


def test_what_is_wrong_is_named(folder):
    (folder / 'still.txt').write_text(poses_text(8, step=0.0))
    with pytest.raises(UserError, match=r'no depth could be measured .* camera must move'):
        list(the_set(folder, poses='still.txt').samples(folder))
    (folder / 'skew.txt').write_text(poses_text(8, first='2 0 0'))
    with pytest.raises(UserError, match=r'skew\.txt: the row of 000 holds no rotation'):
        list(the_set(folder, poses='skew.txt').samples(folder))
    (folder / 'short.txt').write_text(poses_text(7))
    with pytest.raises(UserError, match='7 rows for 8 frames'):
        list(the_set(folder, poses='short.txt').samples(folder))
    with pytest.raises(ConfigError, match=r'the camera of .* is not known'):
        list(the_set(folder, intrinsics=()).samples(folder))


def test_a_picture_of_another_size_is_left_out_by_name(folder, caplog):
    cv2.imwrite(str(folder / '007.png'), np.zeros((80, 128, 3), np.uint8))
    names = [sample.name for sample in the_set(folder).samples(folder)]
    assert names == [f'{i:03d}' for i in range(7)]
    assert '007.png is 128x80, the other pictures are 256x160' in caplog.text
