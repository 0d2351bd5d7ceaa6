"""What pyproject.toml cannot say: a built package carries config/ inside `glimmer`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfig(build_py):
    """Copies config/ beside the modules; an editable install needs no copy, since the checkout is its package."""

    def run(self):
        super().run()
        if not self.editable_mode:
            shutil.copytree("config", Path(self.build_lib) / "glimmer" / "config", dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConfig})
