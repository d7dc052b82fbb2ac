import re
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
NAME = 'dsn_ros'


def version() -> str:
    # Read, not imported: what the package needs may not be installed yet.
    text = (HERE / 'dsn_core' / '__init__.py').read_text(encoding='utf-8')
    found = re.search(r"^__version__ = '([^']+)'$", text, re.MULTILINE)
    if found is None:
        raise RuntimeError('dsn_core/__init__.py has no __version__')
    return found.group(1)


setup(
    name=NAME,
    version=version(),
    description='Depth and semantic labels from one colour camera, by day and by night, for ROS 2',
    author='Seed 1953b2b0 maintainers',
    author_email='maintainers@users.noreply.b-seed-1953b2b0.example',
    maintainer='Seed 1953b2b0 maintainers',
    maintainer_email='maintainers@users.noreply.b-seed-1953b2b0.example',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['dsn_core', 'dsn_core.*', 'dsn_ros', 'dsn_ros.*']),
    package_data={'dsn_ros': ['templates/*', 'weights/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        (f'share/{NAME}/launch', sorted(glob('launch/*.launch.py'))),
        (f'share/{NAME}/config/train', sorted(glob('config/train/*.yaml'))),
        (
            f'share/{NAME}/config/train/overlays',
            sorted(glob('config/train/overlays/*.yaml')),
        ),
        (f'share/{NAME}/config/eval', sorted(glob('config/eval/*.yaml'))),
        (f'share/{NAME}/config/ablation', sorted(glob('config/ablation/*.yaml'))),
        (f'share/{NAME}/config', sorted(glob('config/*.yaml') + glob('config/*.rviz'))),
    ],
    zip_safe=False,
    # For pip. Under colcon, rosdep installs what package.xml lists, and this is not looked at.
    install_requires=[
        'apsw',
        "backports.zstd; python_version < '3.14'",
        'lz4',
        'numpy',
        'onnx',
        'onnxruntime',
        'opencv-python-headless<5',  # cv_bridge does not bear 5
        "openvino; platform_machine in 'x86_64 AMD64 aarch64 arm64'",
        'PyYAML',
        'rich',
        'rosbags>=0.11',
        'rosbags-image',
        'typer>=0.9',
    ],
    extras_require={
        # colcon runs pytest only where `test` asks for it.
        'test': ['hypothesis', 'pytest'],
        'train': [
            'lightning',
            'onnxscript',
            'safetensors',
            'tensorboard',
            'torch>=2.6',  # earlier ones can run code from a checkpoint's pickle
            'tqdm',
        ],
        'teachers': ['pillow', 'scipy', 'transformers>=5'],
        'sim': ['mujoco'],
        'cluster': ['ray>=2.52'],  # earlier ones run the work of whoever reaches them
        'tensorrt': ['tensorrt>=10.3'],
        'dev': [
            'colcon-common-extensions',
            'colcon-ros',
            'import-linter',
            'mypy',
            'ruff',
            'setuptools<80',  # later ones break colcon's --symlink-install
            'types-PyYAML',
        ],
    },
    entry_points={
        'console_scripts': [
            'dsn = dsn_ros.cli:main',
            'perception_node = dsn_ros.run_node:main',
        ],
    },
)
