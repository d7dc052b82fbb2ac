"""nuScenes as an evaluation set, from files as they are published."""

import json

import numpy as np
import pytest
from support.dataset_factory import LIDARSEG, US, NuScenes, points_of
from support.perfect_rows import predictions, scores_of_truth_and_double

from dsn_core.data.nuscenes_splits import VALIDATION_SCENES
from dsn_core.errors import ConfigError, UserError
from dsn_core.evaluation.config import EvaluationConfig, load_evaluation
from dsn_core.evaluation.nuscenes_set import TRAIN_NAMES, NuScenesSet
from dsn_core.evaluation.run import evaluate
from dsn_core.evaluation.tables import tables
from dsn_core.labels import CITYSCAPES

SIZE = (24, 32)
ROAD, CAR, NOISE = (LIDARSEG.index(n) for n in ('flat.driveable_surface', 'vehicle.car', 'noise'))


def sparse(seed, share=0.2):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(SIZE) < share, rng.uniform(2, 60, SIZE), 0)


def sparse_ids(depth, seed=0):
    choice = [LIDARSEG.index(name) for name in TRAIN_NAMES] + [NOISE]
    return np.random.default_rng(seed).choice(choice, np.count_nonzero(depth))


@pytest.fixture
def depths():
    return {'scene-0003': [sparse(1), sparse(2)], 'scene-0012': [sparse(3)]}


@pytest.fixture
def data(tmp_path, depths):
    """Two validation scenes, one of them by night, and two that are not asked for."""
    made = NuScenes(tmp_path / 'nuscenes')
    made.scene('scene-0012', 'Night, parked cars', [9.0, 9.1])
    made.scene(
        'scene-0003', 'Parked truck', [0.0, 0.25, 0.5], poses=[(x, 0, 0.1) for x in (5, 6, 7)]
    )
    made.scene('scene-0013', 'Rain', [20.0])
    made.scene('scene-0001', 'Train split', [30.0])
    for name, maps in depths.items():
        ids = [sparse_ids(depth) for depth in maps]
        made.lidar(name, [points_of(depth) for depth in maps], ids)
    for name in ('scene-0013', 'scene-0001'):
        made.lidar(name, [np.zeros((0, 3))], [np.zeros(0)])
    return made


def samples(tmp_path, root, **fields):
    return list(NuScenesSet(root, **fields).samples(tmp_path / 'work'))


def test_key_frames_of_the_validation_scenes_by_condition(tmp_path, data, depths):
    found = samples(tmp_path, data.write())
    assert [f.condition for f in found] == ['day-clear', 'day-clear', 'night']
    assert found[0].name == f'scene-0003__CAM_FRONT__{US}'
    assert found[0].sequence == found[1].sequence != found[2].sequence
    assert found[0].image.shape == (*SIZE, 3)
    assert found[0].intrinsics.tolist() == [[20, 0, 15.5], [0, 20, 11.5], [0, 0, 1]]
    maps = [*depths['scene-0003'], *depths['scene-0012']]
    for sample, depth in zip(found, maps, strict=True):
        np.testing.assert_allclose(sample.depth, depth, rtol=1e-5, atol=1e-5)
    assert NuScenesSet(data.root).count(tmp_path) == 3
    (night,) = samples(tmp_path, data.root, conditions=('night',))
    assert night.condition == 'night'
    (train,) = samples(tmp_path, data.root, split='train')
    assert train.name.startswith('scene-0001')
    assert not train.depth.any()
    assert [s.name for s in samples(tmp_path, data.root, limit=2)] == [
        found[0].name,
        found[2].name,
    ]


def quaternion_matrix(q):
    """q p q* of the three axes, by the quaternion product."""

    def times(a, b):
        w = a[0] * b[0] - a[1:] @ b[1:]
        return np.concatenate([[w], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])])

    conjugate = q * [1, -1, -1, -1]
    axes = [times(times(q, np.concatenate([[0], axis])), conjugate)[1:] for axis in np.eye(3)]
    return np.column_stack(axes)


def test_each_moves_with_its_own_calibration_and_pose(tmp_path, data, depths):
    # Any calibrations and poses, the LiDAR's and the camera's different ones; rows in any order.
    data.tables['sample_data'].reverse()
    rng = np.random.default_rng(7)
    for table in ('calibrated_sensor', 'ego_pose'):
        for row in data.tables[table]:
            quaternion = rng.normal(size=4)
            row['rotation'] = (quaternion / np.linalg.norm(quaternion)).tolist()
            row['translation'] = rng.uniform(-20, 20, 3).tolist()

    def to_global(token, channel):
        matrices = []
        for table, key in (('ego_pose', token), ('calibrated_sensor', f'scene-0003-{channel}')):
            (row,) = [r for r in data.tables[table] if r['token'] == key]
            matrix = np.eye(4)
            matrix[:3, :3] = quaternion_matrix(np.array(row['rotation']))
            matrix[:3, 3] = row['translation']
            matrices.append(matrix)
        return matrices[0] @ matrices[1]

    for i, depth in zip((0, 2), depths['scene-0003'], strict=True):
        camera = to_global(f'scene-0003-CAM_FRONT-{i}', 'CAM_FRONT')
        lidar = to_global(f'scene-0003-LIDAR_TOP-{i}', 'LIDAR_TOP')
        points = np.column_stack([points_of(depth), np.ones(np.count_nonzero(depth))])
        moved = points @ (np.linalg.inv(lidar) @ camera).T
        file = f'samples/LIDAR_TOP/scene-0003__LIDAR_TOP__{US + 250_000 * i}.pcd.bin'
        data.files[file][:, :3] = moved[:, :3]
    root = data.write()
    for i, sample, depth in zip(
        (0, 2),
        samples(tmp_path, root, conditions=('day-clear',)),
        depths['scene-0003'],
        strict=True,
    ):
        np.testing.assert_allclose(sample.depth, depth, rtol=1e-4, atol=1e-5)
        camera = to_global(f'scene-0003-CAM_FRONT-{i}', 'CAM_FRONT')
        np.testing.assert_allclose(sample.pose, camera[:3], atol=1e-9)


def test_labels_are_where_the_points_are(tmp_path, data, depths):
    (sample, *_) = samples(tmp_path, data.write())
    depth = depths['scene-0003'][0]
    expected = np.full(SIZE, 255)
    names = [TRAIN_NAMES.get(LIDARSEG[i]) for i in sparse_ids(depth)]
    v, u = np.nonzero(depth)
    expected[v, u] = [255 if n is None else CITYSCAPES.names.index(n) for n in names]
    np.testing.assert_array_equal(sample.labels, expected)
    assert {TRAIN_NAMES[n] for n in TRAIN_NAMES} == {
        CITYSCAPES.names[i] for i in np.unique(expected)[:-1]
    }


def test_the_table_of_classes_is_of_published_names_and_gives_the_papers_eight():
    assert len(LIDARSEG) == 32
    assert set(TRAIN_NAMES) <= set(LIDARSEG)
    eight = {'road', 'sidewalk', 'fence', 'vegetation', 'terrain', 'person', 'car', 'truck'}
    assert set(TRAIN_NAMES.values()) == eight


def test_without_lidarseg_depth_alone_and_it_is_said_once(tmp_path, data, caplog):
    del data.tables['lidarseg'], data.tables['category']
    each = NuScenesSet(data.write())
    for _ in range(2):
        assert all((s.labels == 255).all() and s.depth.any() for s in each.samples(tmp_path))
    assert caplog.text.count('depth is scored alone') == 1


def test_truth_is_perfect_and_its_double_only_when_scaled(tmp_path, data):
    each = NuScenesSet(data.write())
    found = list(each.samples(tmp_path))
    scores, config = scores_of_truth_and_double(
        tmp_path, each, found, 'table_2', ('day-clear', 'night')
    )
    double = scores[1].conditions
    for condition in ('day-clear', 'night'):
        assert double[condition]['scale']['median'] == pytest.approx(2)
    printed = {table.title.split(':')[0]: table for table in tables(scores, config)}
    (block,) = printed['Table 2'].blocks
    cells = {line.name: line.cells for line in block.lines}
    assert cells['perfect, unscaled'][1:] == ('0.000', '0.000', '1.000') * 2
    lines = [x for x in printed['Table 3a'].blocks[0].lines if x.name == 'perfect']
    assert [x.cells[0] for x in lines] == ['day', 'night']
    assert all(set(x.cells[1:]) == {'100.00'} for x in lines)
    assert 'perfect' not in {x.name for b in printed['Table 1'].blocks for x in b.lines}


def test_neighbours_are_compared_where_both_are_measured(tmp_path):
    # The car stands: every point is measured again.
    data = NuScenes(tmp_path / 'n').scene('scene-0003', 'Day', [0, 0.5], 1, poses=[(3, 4, 1)] * 2)
    cloud = points_of(sparse(5))
    each = NuScenesSet(data.lidar('scene-0003', [cloud, cloud]).write())
    row = predictions(tmp_path / 'p', list(each.samples(tmp_path)))
    (score,) = evaluate(EvaluationConfig((each,), (row,)), tmp_path / 'work')
    temporal = score.conditions['day-clear']['temporal']
    assert temporal['pairs'] == 1
    assert temporal['depth'] == pytest.approx(0, abs=1e-6)


def test_the_same_samples_have_the_same_fingerprint_and_others_another(tmp_path, data, depths):
    root = data.write()
    work = tmp_path / 'work'
    first = NuScenesSet(root).fingerprint(work)
    elsewhere = tmp_path / 'elsewhere'
    root.rename(elsewhere)
    assert NuScenesSet(elsewhere, name='other').fingerprint(work) == first
    assert NuScenesSet(elsewhere, conditions=('night',)).fingerprint(work) != first
    assert NuScenesSet(elsewhere, limit=1).fingerprint(work) != first
    (stored, *_) = (elsewhere / 'lidarseg' / 'v1.0-trainval').iterdir()
    stored.write_bytes(bytes(len(stored.read_bytes())))
    second = NuScenesSet(elsewhere).fingerprint(work)
    assert second != first
    table = elsewhere / 'v1.0-trainval' / 'calibrated_sensor.json'
    table.write_text(table.read_text().replace('1.5', '1.25'))
    assert NuScenesSet(elsewhere).fingerprint(work) not in (first, second)


@pytest.mark.parametrize('what', ['camera', 'lidar', 'lidarseg'])
def test_missing_blobs_are_named(tmp_path, data, what):
    root = data.write()
    folders = {
        'camera': 'samples/CAM_FRONT',
        'lidar': 'samples/LIDAR_TOP',
        'lidarseg': 'lidarseg/v1.0-trainval',
    }
    for file in (root / folders[what]).glob('scene-0003*'):
        file.unlink()
    message = rf'2 of 3 {what} files .*first .*{folders[what]}.*: extract the {what} blobs'
    with pytest.raises(UserError, match=message):
        NuScenesSet(root).count(tmp_path)
    assert NuScenesSet(root, conditions=('night',)).count(tmp_path) == 1


def test_what_is_wrong_is_named(tmp_path, data):
    root = data.write()
    with pytest.raises(UserError, match=r'scene\.json is missing: nuScenes is laid out as'):
        NuScenesSet(tmp_path).count(tmp_path)
    with pytest.raises(ConfigError, match=r'none of the 4 scenes of .* is train night'):
        NuScenesSet(root, split='train', conditions=('night',)).count(tmp_path)
    with pytest.raises(ConfigError, match=r"'CAM_UP' is not in .*: choose one of CAM_BACK"):
        NuScenesSet(root, camera='CAM_UP').count(tmp_path)
    for stored in (root / 'lidarseg' / 'v1.0-trainval').iterdir():
        stored.write_bytes(stored.read_bytes()[:-1])
    with pytest.raises(UserError, match=r'lidarseg\.bin has \d+ labels for the \d+ points of'):
        samples(tmp_path, root)
    category = root / 'v1.0-trainval' / 'category.json'
    rows = json.loads(category.read_text())
    category.write_text(json.dumps([{'name': row['name']} for row in rows]))
    with pytest.raises(UserError, match=r'category\.json has no index: take the one that comes'):
        NuScenesSet(root).fingerprint(tmp_path)
    for cloud in (root / 'samples' / 'LIDAR_TOP').iterdir():
        cloud.write_bytes(cloud.read_bytes()[:-4])
    with pytest.raises(UserError, match=r'pcd\.bin does not hold 5 numbers of 4 bytes a point'):
        samples(tmp_path, root)
    (root / 'v1.0-trainval' / 'sample_data.json').write_text('[]')
    with pytest.raises(UserError, match=r'the tables in .*trainval are not as published'):
        NuScenesSet(root).count(tmp_path)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'conditions': ('day',)}, 'conditions must be day-clear, night or both'),
        ({'conditions': ()}, 'conditions must be day-clear, night or both'),
        ({'split': 'test'}, 'split must be train, val or nothing'),
        ({'version': 'v1.0-test'}, "split must be '' for v1.0-test"),
        ({'camera': 'LIDAR_TOP'}, 'camera must be a camera, such as CAM_FRONT'),
        ({'limit': -1}, 'limit must be zero or more'),
        ({'name': ''}, 'name must be a name'),
    ],
)
def test_fields_are_checked(tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        NuScenesSet(tmp_path, **fields)


def test_the_configuration_that_comes_with_it(pytestconfig):
    config = load_evaluation(pytestconfig.rootpath / 'config/eval/nuscenes.yaml')
    (each,) = config.sets
    assert isinstance(each, NuScenesSet)
    assert (each.split, each.camera) == ('val', 'CAM_FRONT')
    assert config.table_2.cap == 80
    assert {'scene-0003', 'scene-0012', 'scene-0013'} <= VALIDATION_SCENES
