"""Oxford RobotCar as an evaluation set, from files as they are published."""

import cv2
import numpy as np
import pytest
from support.dataset_factory import US, write_extrinsics, write_robotcar, write_scans
from support.perfect_rows import scores_of_truth_and_double

from dsn_core.errors import ConfigError, UserError
from dsn_core.evaluation.config import load_evaluation
from dsn_core.evaluation.robotcar_set import RobotCarSet
from dsn_core.evaluation.tables import tables

HEIGHT, WIDTH = 48, 64
FX, FY, CX, CY = 70.0, 71.0, 15.0, 11.0  # of the factory's camera model
DAY, NIGHT = '2014-12-09-13-21-02', '2014-12-16-18-44-24'
TIMES = [0.25 * i for i in range(9)]
SPEED = 8.0  # m/s
AHEAD = (SPEED * 0.25, 0, 0, 0, 0, 0)


def drive(root, motions=(AHEAD,) * 8, name=DAY, **options):
    pictures = [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * len(TIMES)
    return write_robotcar(root, pictures, TIMES, motions=list(motions), name=name, **options)


def samples(tmp_path, **fields):
    return list(RobotCarSet(**{'every': 4, **fields}).samples(tmp_path / 'work'))


def pixel(x, y, z):
    """Row, column and depth of a point x forward, y right, z down of the camera."""
    return round(FY * z / x + CY), round(FX * y / x + CX), x


@pytest.fixture
def straight(tmp_path):
    """A car that drives straight on; the scanner, 2 m before and 1 m below, looks at an upright
    plane across the way: its x is down, its y right."""
    path = drive(tmp_path)
    write_extrinsics(tmp_path)
    line = [[-0.5, -1.0, 30], [-0.5, 0.0, 30], [-0.5, 1.0, 30], [0, 0, 0]]  # the last: no echo
    write_scans(path, {0.05 * i: line for i in range(41)})
    return path


def test_scans_are_put_together_along_the_way(tmp_path, straight):
    found = samples(tmp_path, day=straight)
    assert [f.name for f in found] == [f'{DAY}/{US + 1_000_000 * i}' for i in range(3)]
    assert {f.condition for f in found} == {'day'}
    for sample, time in zip(found, (0, 1, 2), strict=True):
        expected = np.zeros((HEIGHT, WIDTH))
        for scan in reversed(range(41)):  # the nearest last
            forward = 2 + SPEED * (0.05 * scan - time)
            for right in (-1, 0, 1):
                if forward >= 1:
                    row, column, depth = pixel(forward, right, 0.5)
                    if 0 <= row < HEIGHT and 0 <= column < WIDTH:
                        expected[row, column] = depth
        assert np.count_nonzero(expected) > (8 if time < 2 else 0)
        np.testing.assert_allclose(sample.depth, expected, rtol=1e-6, atol=1e-6)
    assert found[0].image.shape == (HEIGHT, WIDTH, 3)
    assert found[0].intrinsics.tolist() == [[FX, 0, CX], [0, FY, CY], [0, 0, 1]]
    assert (found[0].labels == 255).all()


def euler(x, y, z, roll, pitch, yaw):
    cr, sr, cp, sp = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch)
    cy, sy = np.cos(yaw), np.sin(yaw)
    matrix = np.eye(4)
    matrix[:3] = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr, x],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr, y],
        [-sp, cp * sr, cp * cr, z],
    ]
    return matrix


def bends(rng):
    return [(2, *rng.uniform(-0.1, 0.1, 2), *rng.uniform(-0.05, 0.05, 3)) for _ in range(8)]


@pytest.mark.parametrize('poses', ['vo', 'ins', 'rtk'])
def test_any_way_and_any_mounting(tmp_path, poses):
    """Against 4 x 4 matrices; scans are where a pose is stated, and half way of a turn."""
    rng = np.random.default_rng(3)
    motions = bends(rng)
    placed = {
        'stereo': (0.1, -0.2, 0.3, 0.02, -0.03, 0.04),
        'lms_front': (1.8, 0.2, 1.0, -0.04, -1.45, 0.03),
        'ins': (-1.7, 0.1, 1.2, -0.01, 0.04, 0.5),
    }
    path = drive(tmp_path, motions)
    write_extrinsics(tmp_path, **placed)
    car = [np.eye(4)]
    for motion in motions:
        car.append(car[-1] @ euler(*motion))
    if poses != 'vo':
        # The inertial unit's way on the map, north, east and down, from that of the car.
        start = euler(5735000.0, 620000.0, -110.0, 0.01, 0.02, 2.5)
        rows = []
        for time, pose in zip(TIMES, car, strict=True):
            unit = start @ pose @ euler(*placed['ins'])
            angles = (
                np.arctan2(unit[2, 1], unit[2, 2]),
                -np.arcsin(unit[2, 0]),
                np.arctan2(unit[1, 0], unit[0, 0]),
            )
            stamp = US + round(time * 1e6)
            values = [*unit[:3, 3], *angles]
            rows.append(f'{stamp},' + ','.join(repr(float(v)) for v in values))
        (path / 'gps').mkdir()
        head = 'timestamp,northing,easting,down,roll,pitch,yaw'
        (path / 'gps' / f'{poses}.csv').write_text('\n'.join([head, *rows]) + '\n')
    scans = {t: rng.uniform([-2, -6, 0], [1, 6, 255], (40, 3)) for t in TIMES}
    write_scans(path, scans)
    optical = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    hits = 0
    for sample, at in zip(samples(tmp_path, day=path, poses=poses), (0, 4, 8), strict=True):
        expected = np.full((HEIGHT, WIDTH), np.inf)
        for i, time in enumerate(TIMES):
            flat = np.column_stack([scans[time][:, :2], np.zeros(40), np.ones(40)])
            flat = flat[np.linalg.norm(flat[:, :2], axis=1) >= 0.5]
            chain = optical @ euler(*placed['stereo']) @ np.linalg.inv(car[at]) @ car[i]
            for x, y, z, _ in flat @ (chain @ euler(*placed['lms_front'])).T:
                column, row = round(FX * x / z + CX), round(FY * y / z + CY)
                if z >= 1 and 0 <= row < HEIGHT and 0 <= column < WIDTH:
                    expected[row, column] = min(expected[row, column], z)
        expected[np.isinf(expected)] = 0
        hits += np.count_nonzero(expected)
        np.testing.assert_allclose(sample.depth, expected, rtol=1e-5, atol=1e-5)
        if poses == 'vo':
            pose = car[at] @ np.linalg.inv(optical @ euler(*placed['stereo']))
            np.testing.assert_allclose(sample.pose, pose[:3], atol=1e-9)
    assert hits > 50


def test_between_two_poses_the_car_turns_evenly(tmp_path):
    # A circle: after half the time, half the angle. Scans at a quarter and three quarters.
    path = drive(tmp_path, [(0, 0, 0, 0, 0, 0.4)] * 8)
    write_extrinsics(tmp_path)
    write_scans(path, {0.0625: [[-0.5, 0.0, 9]], 0.1875: [[-0.5, 0.0, 9]]})
    (first, *_) = samples(tmp_path, day=path)
    expected = np.zeros((HEIGHT, WIDTH))
    for angle in (0.1, 0.3):
        row, column, depth = pixel(2 * np.cos(angle), 2 * np.sin(angle), 0.5)
        expected[row, column] = depth
    np.testing.assert_allclose(first.depth, expected, rtol=1e-6)


def test_scans_beyond_the_protocols_time_do_not_count(tmp_path):
    path = write_robotcar(
        tmp_path,
        [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 15,
        range(15),
        motions=[(2, 0, 0, 0, 0, 0)] * 14,
    )
    write_extrinsics(tmp_path)
    write_scans(path, {0.0: [[-0.6, 0, 1]], 4.0: [[-0.6, 0, 1]], 4.1: [[-0.6, 1, 1]]})
    adds = samples(tmp_path, day=path, every=100)
    md4all = samples(tmp_path, day=path, every=100, protocol='md4all')
    assert np.unique(adds[0].depth).tolist() == pytest.approx([0, 2, 10, 10.2])
    assert np.unique(md4all[0].depth).tolist() == pytest.approx([0, 2, 10])
    # A picture that no scan is near to is left out.
    assert len(samples(tmp_path, day=path, every=1)) == 15
    assert len(samples(tmp_path, day=path, every=1, protocol='md4all')) == 9


def test_md4all_keeps_768_rows_and_50_metres(tmp_path):
    size = (960, 1280)
    path = write_robotcar(
        tmp_path, [np.full((*size, 3), 60, np.uint8)] * 2, [0, 1], motions=[(50, 0, 0, 0, 0, 0)]
    )
    write_extrinsics(tmp_path, lms_front=(2, 0, 0, 0, -np.pi / 2, 0))
    # One at row 816 of the picture; one 52 m away, which hides nothing.
    write_scans(path, {0.0: [[11.34 * 2, 0, 1], [0.5, 1, 1]], 1.0: [[0.5, 1, 1]]})
    (adds,) = samples(tmp_path, day=path)
    (md4all,) = samples(tmp_path, day=path, protocol='md4all')
    assert (adds.image.shape, md4all.image.shape) == ((960, 1280, 3), (768, 1280, 3))
    assert md4all.depth.shape == md4all.labels.shape == (768, 1280)
    assert md4all.intrinsics[1, 2] == CY
    assert sorted(adds.depth[adds.depth > 0].tolist()) == pytest.approx([2, 2, 52])
    assert md4all.depth[md4all.depth > 0].tolist() == pytest.approx([2])


def test_a_break_in_the_odometry_parts_scans_and_sequences(tmp_path):
    path = drive(tmp_path, [AHEAD, AHEAD, None, AHEAD, AHEAD, AHEAD, AHEAD, AHEAD])
    write_extrinsics(tmp_path)
    write_scans(path, {0.25: [[-0.5, 0, 1]], 1.0: [[-0.5, 0, 1], [-0.5, 0.9, 1]]})
    found = samples(tmp_path, day=path, every=1)
    assert [f.sequence for f in found] == [f'{DAY}.0'] * 3 + [f'{DAY}.1'] * 6
    assert [np.count_nonzero(f.depth) for f in found[:4]] == [1, 1, 0, 2]


def test_pictures_that_the_odometry_does_not_reach_are_left_out(tmp_path, caplog):
    path = drive(tmp_path, [AHEAD, AHEAD, *[None] * 6])
    write_extrinsics(tmp_path)
    write_scans(path, {t: [[-0.5, 0, 1]] for t in TIMES})
    assert [f.name[-6:] for f in samples(tmp_path, day=path, every=1)] == [
        f'{round(t * 1e6):06d}' for t in TIMES[:3]
    ]
    assert '6 of 9 pictures are left out' in caplog.text


@pytest.fixture
def both(tmp_path, straight):
    night = drive(tmp_path, name=NIGHT)
    write_scans(night, {0.05 * i: [[-0.5, 0.3, 1], [-0.6, -0.5, 1]] for i in range(41)})
    return {'day': straight, 'night': night}


def write_labels(folder, stamps, value=None):
    folder.mkdir(exist_ok=True)
    labels = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 21
    labels[labels == 20] = 255
    for stamp in stamps:
        shown = labels if value is None else np.full_like(labels, value)
        assert cv2.imwrite(str(folder / f'{stamp}.png'), shown.astype(np.uint8))
    return np.where(labels < 19, labels, 255)


def test_truth_is_perfect_and_its_double_only_when_scaled(tmp_path, both):
    stamps = [US + round(t * 1e6) for t in TIMES]
    labels = write_labels(tmp_path / 'labels', stamps)
    each = RobotCarSet(**both, every=4, labels=tmp_path / 'labels')
    found = list(each.samples(tmp_path))
    assert [f.condition for f in found] == ['day'] * 3 + ['night'] * 3
    np.testing.assert_array_equal(found[0].labels, labels)
    scores, config = scores_of_truth_and_double(tmp_path, each, found, 'table_1', ('day', 'night'))
    printed = {table.title.split(':')[0]: table for table in tables(scores, config)}
    for block in printed['Table 1'].blocks:
        cells = {line.name: line.cells for line in block.lines}
        assert cells['perfect, unscaled'] == ('0.000',) * 4 + ('1.000',) * 3
        assert cells['double, unscaled'][4] == '0.000'
    lines = [x for x in printed['Table 3b'].blocks[0].lines if x.name == 'perfect']
    assert [x.cells[:2] for x in lines] == [('day', '100.00'), ('night', '100.00')]
    assert 'perfect, unscaled' not in {x.name for b in printed['Table 2'].blocks for x in b.lines}


def test_split_files_name_the_pictures(tmp_path, both):
    split = tmp_path / 'test.txt'
    split.write_text(
        f'{US + 500_000}\n\nstereo/left/{US + 250_000}.png\n{DAY} {US} {US + 62_500} x\n'
    )
    each = RobotCarSet(**both, split_files=(split,))
    names = [s.name for s in each.samples(tmp_path)]
    picked = [US, US + 250_000, US + 500_000]
    assert names == [f'{drive}/{stamp}' for drive in (DAY, NIGHT) for stamp in picked]
    split.write_text(f'{US + 1}\n{US}\n')
    with pytest.raises(
        UserError, match=rf'1 of the 2 pictures .* not in .* first is {US + 1}\.png'
    ):
        RobotCarSet(**both, split_files=(split,)).count(tmp_path)
    split.write_text('night_val_411/0000029783\n')
    with pytest.raises(UserError, match=r"test\.txt, line 1 holds no time .*0000029783'"):
        RobotCarSet(**both, split_files=(split,)).count(tmp_path)
    with pytest.raises(UserError, match=r'split file .*nothing cannot be read'):
        RobotCarSet(**both, split_files=(tmp_path / 'nothing',)).count(tmp_path)


def test_the_same_samples_have_the_same_fingerprint_and_others_another(tmp_path, both):
    work = tmp_path / 'work'
    first = RobotCarSet(**both).fingerprint(work)
    assert RobotCarSet(**both, name='again').fingerprint(work) == first
    others = [
        RobotCarSet(**both, every=3),
        RobotCarSet(day=both['day']),
        RobotCarSet(day=both['night'], night=both['day']),
        RobotCarSet(**both, protocol='md4all'),
    ]
    assert len({first, *(other.fingerprint(work) for other in others)}) == 5
    (both['night'] / 'lms_front' / f'{US + 100_000}.bin').unlink()
    second = RobotCarSet(**both).fingerprint(work)
    assert second != first
    write_extrinsics(tmp_path, stereo=(0, 0, 0.1, 0, 0, 0))
    assert RobotCarSet(**both).fingerprint(work) not in (first, second)


def test_what_is_missing_is_named(tmp_path, straight):
    def count(**fields):
        RobotCarSet(**{'day': straight, **fields}).count(tmp_path)

    with pytest.raises(ConfigError, match='mono_left holds no pictures: a traversal is laid out'):
        count(camera='mono_left')
    with pytest.raises(ConfigError, match=r'stereo_wide_left\.txt is not in .*: give models='):
        count(models=tmp_path / 'nowhere')
    with pytest.raises(ConfigError, match=r'stereo\.txt is not in .*: give extrinsics=FOLDER'):
        count(extrinsics=tmp_path / 'nowhere')
    with pytest.raises(ConfigError, match=r'poses rtk needs .*rtk\.csv, which is not there: extr'):
        count(poses='rtk')
    with pytest.raises(
        UserError, match=r'1 of 1 pictures of .* have no labels, the first is .*png'
    ):
        count(labels=tmp_path)
    for scan in (straight / 'lms_front').glob('*.bin'):
        scan.rename(scan.with_name('1' + scan.name[1:].replace('5', '6')))
    with pytest.raises(UserError, match=r'at none of the times of 1 pictures is vo.vo\.csv'):
        count()
    for scan in (straight / 'lms_front').glob('*.bin'):
        scan.unlink()
    with pytest.raises(UserError, match=r'lms_front holds no scans: a traversal is laid out as'):
        count()


def test_what_is_wrong_is_named(tmp_path, straight):
    write_labels(tmp_path / 'labels', [US], 3)
    small = np.zeros((HEIGHT - 1, WIDTH), np.uint8)
    assert cv2.imwrite(str(tmp_path / 'labels' / f'{US}.png'), small)
    with pytest.raises(UserError, match=r'\.png is 47x64 uint8, wanted is 48x64 uint8'):
        samples(tmp_path, day=straight, every=100, labels=tmp_path / 'labels')
    (straight / 'lms_front' / f'{US}.bin').write_bytes(b'x' * 25)
    with pytest.raises(UserError, match=r'\.bin does not hold 3 numbers of 8 bytes a point'):
        samples(tmp_path, day=straight)
    (tmp_path / 'extrinsics' / 'ins.txt').write_text('1 2 3')
    with pytest.raises(UserError, match=r'ins\.txt must hold x y z roll pitch yaw'):
        samples(tmp_path, day=straight)
    write_extrinsics(tmp_path)
    model = tmp_path / 'models' / 'stereo_wide_left.txt'
    model.write_text('70 71 15 11\n1 2 3\n')
    with pytest.raises(UserError, match=r'left\.txt must hold a rigid motion of 4 x 4 below its'):
        samples(tmp_path, day=straight)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'day': None}, 'day must be the folder of a traversal, or night'),
        ({'protocol': 'eigen'}, 'protocol must be adds or md4all'),
        ({'poses': 'gps'}, 'poses must be vo, ins or rtk'),
        ({'every': 0}, 'every must be one or more'),
        ({'camera': 'front'}, 'camera must be one of stereo/left, '),
        ({'name': ''}, 'name must be a name'),
    ],
)
def test_fields_are_checked(tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        RobotCarSet(**{'day': tmp_path, **fields})


def test_the_configuration_that_comes_with_it(pytestconfig):
    config = load_evaluation(pytestconfig.rootpath / 'config/eval/robotcar.yaml')
    (each,) = config.sets
    assert isinstance(each, RobotCarSet)
    assert each.day is not None
    assert each.day.name == DAY
    assert each.night is not None
    assert each.night.name == NIGHT
    assert config.table_1.cap == 40
