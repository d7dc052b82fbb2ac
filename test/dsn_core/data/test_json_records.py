"""Lists of objects, read a piece at a time."""

import json

import pytest

from dsn_core.data.json_records import json_records
from dsn_core.errors import UserError

ROWS = [{'a': 1, 'b': [1.5, {'c': 'x]}"\\ ,ü'}]}, {}, {'a': None}]


@pytest.mark.parametrize('chunk', [1, 2, 3, 7, 1000])
@pytest.mark.parametrize('indent', [None, 0, 2])
def test_any_piece_size_gives_the_same_objects(tmp_path, chunk, indent):
    file = tmp_path / 'table.json'
    file.write_text('\n ' + json.dumps(ROWS, indent=indent, ensure_ascii=False), encoding='utf-8')
    assert list(json_records(file, chunk)) == ROWS


def test_an_empty_list(tmp_path):
    (tmp_path / 'table.json').write_text('[ ]')
    assert list(json_records(tmp_path / 'table.json')) == []


@pytest.mark.parametrize('text', ['', '{"a": 1}', '[{"a": 1}', '[{"a": 1}, {"a"', '[1, 2]', '[{]'])
def test_damage_is_named(tmp_path, text):
    (tmp_path / 'table.json').write_text(text)
    with pytest.raises(UserError, match=r'table\.json is damaged \(.*\): extract it again'):
        list(json_records(tmp_path / 'table.json', 4))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r'table\.json cannot be read'):
        list(json_records(tmp_path / 'table.json'))
