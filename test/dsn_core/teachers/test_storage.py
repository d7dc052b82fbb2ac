"""Pseudo-labels written and read back."""

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dsn_core.errors import UserError
from dsn_core.teachers.storage import (
    read_inverse_depth,
    read_labels,
    write_inverse_depth,
    write_labels,
)

EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))
PAIRS = SIZES.flatmap(
    lambda size: st.tuples(*(hnp.arrays(np.uint8, size, elements=st.integers(0, 255)),) * 2)
)
INVERSE = SIZES.flatmap(
    lambda size: hnp.arrays(
        np.float32, size, elements=st.floats(0, np.float32(1e30), width=32, allow_nan=False)
    )
)


@EXAMPLES
@given(PAIRS)
def test_ids_to_the_letter_and_confidence_within_8(tmp_path, pair):
    ids, confidence = pair
    path = tmp_path / 'day' / '000012.png'
    write_labels(path, ids, confidence)
    found_ids, found = read_labels(path)
    np.testing.assert_array_equal(found_ids, ids)
    assert found_ids.dtype == found.dtype == np.uint8
    assert np.abs(found.astype(int) - confidence).max() <= 8
    assert [p.name for p in path.parent.iterdir()] == ['000012.png']


def test_every_confidence_keeps_its_side_of_tau_and_both_ends(tmp_path):
    confidence = np.arange(256, dtype=np.uint8)[None]
    write_labels(tmp_path / 'x.png', np.zeros_like(confidence), confidence)
    _, found = read_labels(tmp_path / 'x.png')
    np.testing.assert_array_equal(found / 255 > 0.1, confidence / 255 > 0.1)
    assert (found[0, 0], found[0, 255]) == (0, 255)
    assert (np.diff(found[0].astype(int)) >= 0).all()
    assert len(np.unique(found)) == 16


def test_a_third_of_what_the_confidence_as_it_is_takes(tmp_path):
    """Regions of one class, sure inside and less so at the borders, with noise."""
    rng = np.random.default_rng(3)
    seeds = rng.random((2, 40)) * [[192], [320]]
    v, u = np.mgrid[0:192, 0:320]
    distances = np.hypot(v[..., None] - seeds[0], u[..., None] - seeds[1])
    ids = (distances.argmin(axis=2) % 19).astype(np.uint8)
    near = np.sort(distances, axis=2)
    border = near[..., 1] - near[..., 0]
    sure = 1 - 0.5 * np.exp(-border / 4) - 0.02 * rng.random(ids.shape)
    confidence = (255 * sure).astype(np.uint8)
    write_labels(tmp_path / 'x.png', ids, confidence)
    takes = (tmp_path / 'x.png').stat().st_size
    whole = len(cv2.imencode('.png', np.concatenate([ids, confidence]))[1])
    assert takes < 0.4 * whole
    assert takes < 0.3 * ids.size


@EXAMPLES
@given(INVERSE)
def test_inverse_depth_to_half_a_step_of_the_largest(tmp_path, inverse):
    path = tmp_path / 'day' / '000012.png'
    write_inverse_depth(path, inverse)
    found = read_inverse_depth(path)
    assert found.dtype == np.float32
    largest = inverse.max().astype(np.float64)
    expected = inverse / (largest or 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1 / 131070 + 1e-7)
    assert not found[inverse == 0].any()
    assert found.max() == (1 if largest else 0)
    assert [p.name for p in path.parent.iterdir()] == ['000012.png']


def test_values_and_shapes_that_cannot_be_written_leave_nothing(tmp_path):
    path = tmp_path / 'x.png'
    one = np.ones((2, 3), np.float32)
    for wrong in (-one, one * np.inf, one * np.nan, one[0]):
        with pytest.raises(ValueError, match=r'^inverse must be'):
            write_inverse_depth(path, wrong)
    with pytest.raises(ValueError, match=r'must be one \(H, W\)'):
        write_labels(path, np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.uint8))
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / 'x.png'
    ids = np.full((4, 4), 3, np.uint8)
    write_labels(path, ids, ids)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr('os.replace', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_labels(path, ids + 1, ids)
    monkeypatch.undo()
    np.testing.assert_array_equal(read_labels(path)[0], ids)


@pytest.mark.parametrize('read', [read_labels, read_inverse_depth])
def test_files_that_are_something_else_are_named(tmp_path, read):
    with pytest.raises(UserError, match=r'x\.png is missing'):
        read(tmp_path / 'x.png')
    others = {
        'text': b'no picture',
        'colour': cv2.imencode('.png', np.zeros((4, 4, 3), np.uint8))[1].tobytes(),
        'odd': cv2.imencode('.png', np.zeros((5, 4), np.uint8))[1].tobytes(),
        'bright': cv2.imencode('.png', np.full((4, 4), 200, np.uint8))[1].tobytes(),
    }
    for name, data in others.items():
        path = tmp_path / f'{name}.png'
        path.write_bytes(data)
        with pytest.raises(UserError, match=rf'{name}\.png is no .* of ours'):
            read(path)
