# SPDX-License-Identifier: GPL-2.0-or-later
"""A small git repository for the test of a script.

Always: git reads no configuration of the user or the machine, so author, dates and defaults are the same everywhere.
"""

import os
import subprocess

SCRIPTS = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts"))
ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
               "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
               "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org"}


class Repository:
    """root: a directory that exists. seconds: that git or a script may take. environment: of both."""

    def __init__(self, root, seconds, environment=None):
        self.root, self.seconds, self.environment = root, seconds, environment or ENVIRONMENT

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def git(self, *words):
        return subprocess.run(["git", *words], cwd=self.root, env=self.environment, check=True, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=self.seconds).stdout

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")

    def script(self, name, *words):
        """Exit code and output of scripts/NAME."""
        result = subprocess.run([f"scripts/{name}", *words], cwd=self.root, env=self.environment, check=False, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=self.seconds)
        return result.returncode, result.stdout
