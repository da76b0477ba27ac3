# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: `cmake --install BUILD --prefix P` is complete and can be used at once, whatever the prefix was before.

pkg-config names the headers below P, a plugin compiles with that, and the engine finds plugins by their names below P;
all of it also after the directory was moved. Nothing is started here: the engine ends at a plugin that is not there.
"""

import os
import shutil
import subprocess

import pytest

BUILD = os.environ["NFQE_BUILD"]
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "plugins", "drop_tcp80", "drop_tcp80.c")
SECONDS = 60
EXIT_PLUGIN = 4


def run(*command, **environment):
    return subprocess.run(command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False)


def find(root, name):
    """The one file of this name below root."""
    found, = [os.path.join(directory, name) for directory, _, names in os.walk(root) if name in names]
    return found


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """Where it is after it was installed elsewhere, with all that names the prefix in the build tree."""
    first, moved = (tmp_path_factory.mktemp("install") / name for name in ("first", "moved"))
    result = run("cmake", "--install", BUILD, "--prefix", str(first))
    assert result.returncode == 0, result.stdout
    check_plugin_compiles(str(first))
    shutil.move(first, moved)
    return str(moved)


def check_plugin_compiles(prefix):
    directory = os.path.dirname(find(prefix, "nfqe-plugin.pc"))
    result = run("pkg-config", "--cflags", "nfqe-plugin", PKG_CONFIG_PATH=directory)
    assert result.returncode == 0, result.stdout
    include, = [word[2:] for word in result.stdout.split() if word.startswith("-I")]
    assert os.path.realpath(include) == os.path.realpath(os.path.join(prefix, "include"))
    result = run("cc", "-shared", "-fPIC", "-I", include, "-o", os.path.join(prefix, "own.so"), SOURCE)
    assert result.returncode == 0, result.stdout
    result = run("pkg-config", "--variable=plugindir", "nfqe-plugin", PKG_CONFIG_PATH=directory)
    assert os.path.exists(os.path.join(result.stdout.strip(), "drop_tcp80.so"))


def test_a_plugin_compiles_with_what_pkg_config_says(prefix):
    check_plugin_compiles(prefix)


def test_the_engine_finds_installed_plugins_by_their_names(prefix):
    installed = os.path.dirname(find(prefix, "drop_tcp80.so"))
    result = run(find(prefix, "nfq-engine"), "--plugin", "drop_tcp80", "--plugin", "missing", "--queue", "1")
    assert result.returncode == EXIT_PLUGIN
    name, _, reason = result.stdout.removeprefix("nfq-engine: ").partition(": ")
    assert os.path.realpath(name) == os.path.join(os.path.realpath(installed), "missing.so")
    assert reason == "cannot be opened: No such file or directory\n", "the first plugin was accepted"
