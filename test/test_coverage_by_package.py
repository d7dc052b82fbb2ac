"""What `make coverage` prints of a report, and when it fails."""

import json
import runpy
from pathlib import Path

import pytest

main = runpy.run_path(str(Path(__file__).with_name('coverage_by_package.py')))['main']


def report(folder, **files):
    """A report of files, each with lines, lines reached, branches and branches reached."""
    names = ('num_statements', 'covered_lines', 'num_branches', 'covered_branches')
    found = {
        name.replace('__', '/') + '.py': {'summary': dict(zip(names, counts, strict=True))}
        for name, counts in files.items()
    }
    path = folder / 'coverage.json'
    path.write_text(json.dumps({'files': found}))
    return path


def test_lines_and_branches_are_added_up_by_package(tmp_path, capsys):
    files = {
        'a__one': (60, 54, 20, 10),
        'a__two': (20, 20, 0, 0),
        'a__b__three': (100, 100, 100, 96),
    }
    assert main(report(tmp_path, **files)) == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in said] == [['a', '84.0'], ['a/b', '98.0'], ['all', '93.3']]
    assert said[0][3:] == ['74', 'of', '80', 'lines', '10', 'of', '20', 'branches']


@pytest.mark.parametrize(('reached', 'code'), [(85, 0), (84, 1)])
def test_under_85_percent_fails(tmp_path, capsys, reached, code):
    assert main(report(tmp_path, a__one=(50, 50, 50, reached - 50))) == code
    assert ('84.0 % is less than 85 %' in capsys.readouterr().out) is bool(code)


def test_nothing_measured_fails(tmp_path, capsys):
    assert main(report(tmp_path)) == 1
    assert 'nothing was measured' in capsys.readouterr().out
