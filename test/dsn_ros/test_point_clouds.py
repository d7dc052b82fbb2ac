"""PointCloud2 in the ways that drivers lay it out."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsn_ros.errors import MessageError
from dsn_ros.point_clouds import read_points

STAMP = 1_700_000_000_123_456_789
CODES = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f4': 7, 'f8': 8}
EXTRA = {'intensity': 'f4', 'ring': 'u2', 'tag': 'u1', 'signal': 'i4'}


def message(columns, order=None, height=1, gap=0, row_gap=0, big=False):
    """A PointCloud2 of {name: (type code, values)}, ``gap`` bytes after every field."""
    columns = {name: columns[name] for name in order or columns}
    count = len(next(iter(columns.values()))[1])
    width, step, fields = count // height, 0, []
    for name, (code, _) in columns.items():
        fields.append(SimpleNamespace(name=name, offset=step, datatype=CODES[code], count=1))
        step += np.dtype(code).itemsize + gap
    rows = [bytearray(b'\xab' * (width * step + row_gap)) for _ in range(height)]
    for field, (code, values) in zip(fields, columns.values(), strict=True):
        for i, value in enumerate(values):
            raw = np.array(value, ('>' if big else '<') + code).tobytes()
            at = (i % width) * step + field.offset
            rows[i // width][at : at + len(raw)] = raw
    header = SimpleNamespace(
        stamp=SimpleNamespace(sec=STAMP // 10**9, nanosec=STAMP % 10**9), frame_id='/lidar'
    )
    return SimpleNamespace(
        header=header,
        height=height,
        width=width,
        fields=fields,
        is_bigendian=big,
        point_step=step,
        row_step=width * step + row_gap,
        data=np.frombuffer(b''.join(rows), np.uint8),
        is_dense=False,
    )


def xyz_of(values, code='f4'):
    return {axis: (code, values[:, i]) for i, axis in enumerate('xyz')}


@given(
    data=st.data(),
    height=st.integers(1, 3),
    width=st.integers(1, 5),
    gap=st.integers(0, 5),
    row_gap=st.integers(0, 7),
    big=st.booleans(),
    code=st.sampled_from(['f4', 'f8']),
)
def test_any_layout(data, height, width, gap, row_gap, big, code):
    numbers = st.floats(-100, 100, width=32) | st.sampled_from([np.nan, np.inf, -np.inf])
    count = height * width
    values = np.array(
        data.draw(st.lists(numbers, min_size=3 * count, max_size=3 * count))
    ).reshape(count, 3)
    columns = xyz_of(values, code)
    extra = data.draw(st.lists(st.sampled_from(sorted(EXTRA)), unique=True))
    columns |= {name: (EXTRA[name], np.arange(count) % 100) for name in extra}
    order = data.draw(st.permutations(sorted(columns)))
    found = read_points(message(columns, order, height, gap, row_gap, big))
    np.testing.assert_array_equal(found.xyz, values[np.isfinite(values).all(axis=1)])
    assert (found.stamp_ns, found.frame_id, found.times_ns) == (STAMP, 'lidar', None)


@pytest.mark.parametrize(
    ('name', 'code', 'values', 'since_ns', 'within'),
    [
        ('t', 'u4', [0, 50_000_000, 99_999_999], [0, 50_000_000, 99_999_999], 0),
        ('time', 'f4', [-0.1, -0.05, 0.0], [-100_000_000, -50_000_000, 0], 10),
        ('time_offset', 'f8', [0.0, 0.02, 0.04], [0, 20_000_000, 40_000_000], 1),
        ('offset_time', 'u4', [0, 7, 1000], [0, 7, 1000], 0),
        ('timestamp', 'f8', [STAMP * 1e-9, STAMP * 1e-9 + 0.1], [0, 100_000_000], 500),
        ('timestamp', 'f8', [float(STAMP), float(STAMP + 10**8)], [0, 100_000_000], 500),
    ],
)
def test_times_of_points(name, code, values, since_ns, within):
    points = np.ones((len(values), 3))
    points[0, 1] = np.nan
    columns = {**xyz_of(points), name: (code, values)}
    found = read_points(message(columns))
    since = found.times_ns - STAMP
    np.testing.assert_allclose(since, since_ns[1:], atol=within)


@pytest.mark.parametrize('values', [[3e9, 3e9], [np.nan, 0.1], [12.0, 15.0]])
def test_times_that_make_no_sense_are_ignored(values):
    columns = {**xyz_of(np.ones((2, 3))), 'timestamp': ('f8', values)}
    assert read_points(message(columns)).times_ns is None


def test_no_points():
    empty = message(xyz_of(np.ones((1, 3))))
    empty.width, empty.row_step, empty.data = 0, 0, np.empty(0, np.uint8)
    assert read_points(empty).xyz.shape == (0, 3)


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (lambda m: m.fields.pop(2), 'field z'),
        (lambda m: setattr(m.fields[1], 'datatype', 9), 'y .*datatype 9'),
        (lambda m: setattr(m.fields[1], 'datatype', 5), 'y .*int32'),
        (lambda m: setattr(m.fields[2], 'offset', 11), 'z .*byte 15'),
        (lambda m: setattr(m, 'data', m.data[:-1]), '47 bytes'),
        (lambda m: setattr(m, 'row_step', 20), 'row_step 20'),
    ],
)
def test_what_does_not_fit_is_named(change, named):
    broken = message(xyz_of(np.ones((4, 3))), height=2)
    change(broken)
    with pytest.raises(MessageError, match=named):
        read_points(broken)
