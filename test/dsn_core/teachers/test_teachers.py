"""What all teachers share: registration, configuration, and what importing them costs."""

import subprocess
import sys

import numpy as np
import pytest

from dsn_core.errors import UserError
from dsn_core.labels import CITYSCAPES
from dsn_core.teachers import DepthTeacher, LabelTeacher
from dsn_core.teachers.classes import train_id_table
from dsn_core.teachers.optional import import_optional
from dsn_core.teachers.pictures import resized, resized_ids, size_of_short


def test_kinds():
    assert {'mask2former', 'onnx', 'folder', 'checkpoint'} <= set(LabelTeacher.kinds)
    assert {'depth_anything', 'folder', 'checkpoint'} <= set(DepthTeacher.kinds)


def test_importing_teachers_loads_none_of_their_libraries():
    code = (
        'import sys, dsn_core.teachers; '
        'print(*{"torch", "transformers", "onnx", "onnxruntime", "safetensors"} & {*sys.modules})'
    )
    found = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == ''


def test_a_library_that_is_missing_is_named():
    with pytest.raises(UserError, match=r'^teacher onnx needs no_such: pip install no_such$'):
        import_optional('no_such.part', 'onnx')


def test_class_names_in_any_spelling():
    table = train_id_table(['Traffic_Light', 'unlabelled', 'sky', 'traffic-sign'], 'model m')
    np.testing.assert_array_equal(table[:5], [6, 255, 10, 7, 255])
    assert (train_id_table(CITYSCAPES.names, 'model m')[:19] == np.arange(19)).all()
    with pytest.raises(UserError, match=r'^model m: 2 of its 3 classes .* first .bus stop.'):
        train_id_table(['bus stop', 'car', 'wardrobe'], 'model m')


@pytest.mark.parametrize(
    ('size', 'short', 'multiple', 'expected'),
    [
        ((320, 576), 518, 14, (518, 938)),  # 932.4 = 66.6 x 14
        ((576, 320), 518, 14, (938, 518)),
        ((900, 1600), 512, 32, (512, 896)),  # 910.2 = 28.4 x 32
        ((64, 64), 520, 14, (532, 532)),  # never below what was asked for
    ],
)
def test_sizes_shown(size, short, multiple, expected):
    assert size_of_short(*size, short, multiple) == expected


def test_pictures_shrink_by_area_and_ids_are_not_mixed():
    image = np.zeros((1, 4, 4, 3), np.uint8)
    image[:, ::2] = 200
    np.testing.assert_array_equal(resized(image, 2, 2), np.full((1, 2, 2, 3), 100))
    assert resized(image, 4, 4) is image
    assert resized(image, 7, 9).shape == (1, 7, 9, 3)
    ids = np.array([[0, 255], [7, 18]], np.uint8)
    large = resized_ids(ids, 6, 4)
    np.testing.assert_array_equal(large, ids.repeat(3, axis=0).repeat(2, axis=1))
    np.testing.assert_array_equal(resized_ids(large, 2, 2), ids)
