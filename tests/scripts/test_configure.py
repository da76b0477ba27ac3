# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a tree can be configured wherever it is, and says how to get what is missing.

The tree is a copy of the files that git knows. Only cmake runs in it.
"""

import os
import shutil
import subprocess

import pytest

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
SECONDS = 100


def run(directory, *command, **environment):
    result = subprocess.run(command, cwd=directory, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False)
    return result.returncode, result.stdout


@pytest.fixture
def copy(tmp_path):
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
                           timeout=SECONDS).stdout.split("\0")
    for name in filter(None, names):
        if os.path.exists(os.path.join(ROOT, name)):
            target = tmp_path / "tree" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), target)
    return tmp_path / "tree"


def test_a_tree_that_was_moved_is_configured_again(copy):
    """Also if it was copied together with its build directory."""
    configure = ("bash", "-c", "source scripts/lib.sh; mkdir -p build; configure_preset release")
    assert run(copy, *configure) == (0, "")
    moved = copy.rename(copy.with_name("moved"))
    assert run(moved, "cmake", "--preset", "release")[0] != 0, "cmake by itself refuses the cache"
    assert run(moved, *configure) == (0, "")
    assert f"CMAKE_HOME_DIRECTORY:INTERNAL={moved}\n" in (moved / "build/release/CMakeCache.txt").read_text()


def test_without_packages_it_names_what_installs_them(copy):
    code, output = run(copy, "cmake", "--preset", "release", PKG_CONFIG_LIBDIR="/nonexistent", PKG_CONFIG_PATH="")
    assert code != 0 and "run scripts/bootstrap" in output, output
