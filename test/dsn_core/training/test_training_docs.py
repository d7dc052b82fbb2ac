"""docs/training-fields.md says what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')

ROOT = Path(__file__).parents[3]
PAGE = ROOT / 'docs' / 'training-fields.md'
HOW = 'python test/dsn_core/training/test_training_docs.py'


def page() -> str:
    import dsn_ros.bag_frames  # noqa: F401
    from dsn_core.training.config import RECIPES
    from dsn_core.training.config_docs import to_markdown

    head = (
        '# Every field of a training configuration\n\n'
        f'Written by `{HOW} docs/training-fields.md`; a test holds it against the code.'
    )
    return '\n\n'.join([head, *(to_markdown(c).strip() for c in RECIPES.values())]) + '\n'


@pytest.mark.slow
def test_the_page_is_what_the_code_says(tmp_path):
    # In a process of its own: other tests define kinds that are none of the product's.
    fresh = tmp_path / 'page.md'
    subprocess.run([sys.executable, __file__, str(fresh)], check=True, cwd=ROOT)
    assert PAGE.read_text(encoding='utf-8') == fresh.read_text(encoding='utf-8'), (
        f'out of date: run {HOW} docs/training-fields.md'
    )


if __name__ == '__main__':
    sys.path.insert(0, str(ROOT))
    Path(sys.argv[1]).write_text(page(), encoding='utf-8')
