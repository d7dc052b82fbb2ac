"""The metadata in a deploy graph: round trip, and each field named when it is wrong."""

import dataclasses
import json

import numpy as np
import pytest

from dsn_core.golden import GoldenFigures, golden_frame
from dsn_core.metadata import ModelMetadata, nearest_shape

GRID = {'depth': [[1] * 4] * 4, 'labels': [[0] * 4] * 4, 'confidence': [[0] * 4] * 4}


def metadata() -> ModelMetadata:
    golden = GoldenFigures(
        np.full((4, 4), 7.5, np.float32), np.ones((4, 4), np.uint8), np.full((4, 4), 200, np.uint8)
    )
    return ModelMetadata(
        'm', 64, 64, ('road', 'sky'), 0.1, 100.0, 'metric', 300.0, 'fp32', 'nothing', 'ab', golden
    )


def test_round_trip():
    before = metadata()
    after = ModelMetadata.from_json(before.to_json())
    assert after.to_json() == before.to_json()
    assert after.golden.depth.dtype == np.float32


def test_confidence_tables_survive_and_old_graphs_have_none():
    assert 'confidence' not in json.loads(metadata().to_json())
    assert ModelMetadata.from_json(metadata().to_json()).confidence == {}
    tables = {'day': (0.0, 0.5, 0.5, 1.0), 'night': (0.1, 0.9)}
    before = dataclasses.replace(metadata(), confidence=tables)
    assert ModelMetadata.from_json(before.to_json()).confidence == tables


def test_other_sizes_survive_with_their_figures_and_old_graphs_have_none():
    alone = metadata()
    assert 'other_sizes' not in json.loads(alone.to_json())
    assert ModelMetadata.from_json(alone.to_json()).sizes == ((64, 64),)
    wide = GoldenFigures(
        np.full((4, 8), 2.5, np.float32), np.zeros((4, 8), np.uint8), np.ones((4, 8), np.uint8)
    )
    both = dataclasses.replace(alone, other_sizes={(64, 128): wide})
    found = ModelMetadata.from_json(both.to_json())
    assert found.to_json() == both.to_json()
    assert found.sizes == ((64, 64), (64, 128))
    there = found.at((64, 128))
    assert (there.size, there.sizes, there.focal_length) == ((64, 128), ((64, 128),), 300.0)
    assert np.array_equal(there.golden.depth, wide.depth)
    with pytest.raises(KeyError):
        found.at((128, 64))


def test_the_nearest_shape_is_that_which_bends_least():
    sizes = ((320, 576), (384, 512), (416, 416), (512, 384))
    assert nearest_shape(sizes, 720, 1280) == (320, 576)
    assert nearest_shape(sizes, 480, 640) == (384, 512)
    assert nearest_shape(sizes, 640, 480) == (512, 384)
    assert nearest_shape(sizes, 1, 1) == (416, 416)
    assert nearest_shape(sizes, 10, 1000) == (320, 576)
    # As much too wide as too high: the first.
    assert nearest_shape(((100, 100), (100, 400)), 100, 200) == (100, 100)


@pytest.mark.parametrize(
    ('field', 'value', 'named'),
    [
        ('height', 32, 'height'),
        ('width', 0, 'width'),
        ('width', '64', 'width'),
        ('class_names', [], 'class_names'),
        ('class_names', ['a', ''], 'class_names'),
        ('class_names', ['a', 'b', 'a'], "'a' is there twice"),
        ('min_depth', 0, 'min_depth'),
        ('max_depth', 0.05, 'max_depth'),
        ('scale', 'feet', 'scale'),
        ('focal_length', -1, 'focal_length'),
        ('precision', 'fp8', 'precision'),
        ('format_version', 2, 'format_version'),
        ('confidence', {'day': [0.1]}, 'confidence of day'),
        ('confidence', {'night': [0.2, 0.1, 1]}, 'confidence of night'),
        ('confidence', {'dusk': [0, 1.5]}, 'confidence of dusk'),
        ('confidence', {'dusk': [float('nan'), 1]}, 'confidence of dusk'),
        ('confidence', {'dusk': 3}, 'int'),
        ('confidence', [0, 1], 'list'),
        ('golden', {'depth': [[1]], 'labels': [[0]], 'confidence': [[0, 1]]}, 'golden'),
        (
            'golden',
            {'depth': [[1] * 4] * 4, 'labels': [[9] * 4] * 4, 'confidence': [[0] * 4] * 4},
            'golden',
        ),
        ('golden', {'depth': [[0]], 'labels': [[0]], 'confidence': [[0]]}, 'golden'),
        ('golden', {'depth': [[1]], 'labels': [[300]], 'confidence': [[0]]}, 'golden'),
        ('golden', {'depth': [[1]], 'labels': [[0]], 'confidence': [[0]]}, r'not the \(4, 4\)'),
        ('golden', {}, 'golden'),
        ('other_sizes', [{'height': 64, 'width': 90}], 'golden'),
        ('other_sizes', [{'height': 64, 'width': 96, 'golden': GRID}], r'64 x 96'),
        ('other_sizes', [{'height': 64, 'width': 50, 'golden': GRID}], 'width'),
        ('other_sizes', 5, 'int'),
    ],
)
def test_a_wrong_field_is_named(field, value, named):
    data = json.loads(metadata().to_json())
    data[field] = value
    with pytest.raises(ValueError, match=named):
        ModelMetadata.from_json(json.dumps(data))


@pytest.mark.parametrize('field', list(json.loads(metadata().to_json())))
def test_a_missing_field_is_named(field):
    data = json.loads(metadata().to_json())
    del data[field]
    with pytest.raises(ValueError, match=field):
        ModelMetadata.from_json(json.dumps(data))


@pytest.mark.parametrize(
    ('text', 'named'),
    [('', 'Expecting value'), ('[]', 'list'), ('null', 'NoneType'), ('{"golden": 3}', 'golden')],
)
def test_other_json_is_refused(text, named):
    with pytest.raises(ValueError, match=named):
        ModelMetadata.from_json(text)


def test_golden_frame_is_the_same_everywhere():
    # A checksum over the picture, computed when it was drawn first: another machine, another
    # NumPy or another word size must draw the same one, or every stored answer is void.
    image = golden_frame(320, 576).astype(np.uint64)
    weights = np.arange(1, image.size + 1, dtype=np.uint64).reshape(image.shape)
    assert int((image * weights).sum() % np.uint64(2**61 - 1)) == CHECKSUM


CHECKSUM = 15856735303262
