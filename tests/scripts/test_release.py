# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/release refuses, and which files it writes: in small git repositories.

Always: scripts/test and scripts/reproducible are replaced there by scripts that record their arguments and fail on
request.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile

import pytest

from repository import ENVIRONMENT, SCRIPTS, Repository

SECONDS = 60
WHEN = 1234567890  # of the commit
DATED = {**ENVIRONMENT, "GIT_AUTHOR_DATE": f"{WHEN} +0100", "GIT_COMMITTER_DATE": f"{WHEN} +0100"}
STAND_IN = '#!/bin/bash\necho "$(basename "$0") $*" >>"$(dirname "$0")/../build/calls"\n[[ ! -e build/{0}-fails ]]\n'
CHANGELOG = "# Changelog\n\n## 1.2.3 (2026-11-30)\n\n- One thing.\n\n- Another.\n\n## 1.2.2 (2026-01-01)\n\n- Old.\n"


class Tree(Repository):
    """A repository with what scripts/release looks at."""

    def __init__(self, root):
        super().__init__(root, SECONDS, DATED)
        self.output = root / "build" / "release-1.2.3"
        (root / "scripts").mkdir(parents=True)
        (root / "build").mkdir()
        for name in ("release", "lib.sh"):
            shutil.copy(os.path.join(SCRIPTS, name), root / "scripts" / name)
        for name in ("test", "reproducible"):
            path = root / "scripts" / name
            path.write_text(STAND_IN.format(name))
            path.chmod(0o755)
        self.write("plugin-api/include/nfqe/version.h", '#define NFQE_VERSION "1.2.3"\n')
        self.write("CHANGELOG.md", CHANGELOG)
        self.write(".gitignore", "build/\n")
        self.git("init", "--quiet")
        self.commit()

    def release(self, *words):
        return self.script("release", *words)

    def refused(self, text, *words):
        """The release is refused for this reason, and leaves nothing."""
        code, said = self.release(*(words or ("1.2.3",)))
        assert code == 1 and text in said
        assert not self.output.exists() and self.git("tag") == ""


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "tree")


def test_release_leaves_tarball_sum_and_tag_text_and_makes_no_tag(tree):
    code, said = tree.release("1.2.3")
    assert code == 0, said
    assert sorted(os.listdir(tree.output)) == ["SHA256SUMS", "nfq-engine-1.2.3.tar.gz", "tag"]
    digest = hashlib.sha256((tree.output / "nfq-engine-1.2.3.tar.gz").read_bytes()).hexdigest()
    assert (tree.output / "SHA256SUMS").read_text() == f"{digest}  nfq-engine-1.2.3.tar.gz\n"
    text = (tree.output / "tag").read_text()
    assert text == ("nfq-engine 1.2.3\n\n- One thing.\n\n- Another.\n\n"
                    f"sha256 of nfq-engine-1.2.3.tar.gz:\n{digest}\n")
    assert text in said and "git push origin v1.2.3" in said
    assert tree.git("tag") == "" and tree.git("status", "--porcelain") == ""


def test_tarball_has_what_is_committed_with_the_time_of_the_commit(tree):
    assert tree.release("1.2.3")[0] == 0
    with tarfile.open(tree.output / "nfq-engine-1.2.3.tar.gz") as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        assert [member.name for member in members] == [f"nfq-engine-1.2.3/{name}"
                                                       for name in tree.git("ls-files").split()]
        assert {(member.mtime, member.uid, member.uname) for member in members} == {(WHEN, 0, "root")}
        assert {member.mode for member in members} == {0o644, 0o755}


def test_tarball_is_the_same_from_another_clone_and_with_other_settings(tree, tmp_path):
    tree.write("text", "a\nb\n")
    tree.commit()
    assert tree.release("1.2.3")[0] == 0
    tree.git("clone", "--quiet", tree.root, tmp_path / "clone")
    (tmp_path / "clone" / "build").mkdir()
    (tmp_path / "settings").write_text("[core]\n\tautocrlf = true\n[tar]\n\tumask = 0077\n")
    subprocess.run(["scripts/release", "1.2.3"], cwd=tmp_path / "clone", check=True, timeout=SECONDS,
                   env={**DATED, "GIT_CONFIG_GLOBAL": str(tmp_path / "settings"), "TZ": "Asia/Tokyo"})
    sums = [(path / "build" / "release-1.2.3" / "SHA256SUMS").read_text() for path in (tree.root, tmp_path / "clone")]
    assert sums[0] == sums[1]


def test_build_and_tests_are_checked(tree):
    assert tree.release("1.2.3", "--quick")[0] == 0
    assert tree.release("1.2.3")[0] == 0
    called = (tree.root / "build" / "calls").read_text().splitlines()
    assert [line.split("/")[0].strip() for line in called] == ["reproducible", "test --quick", "reproducible", "test"]
    assert called[0].endswith("/nfq-engine-1.2.3")


@pytest.mark.parametrize("name, said", [("test", "scripts/test failed"), ("reproducible", "not reproducible")])
def test_failing_test_or_build_is_refused(tree, name, said):
    tree.write(f"build/{name}-fails", "")
    tree.refused(said)


def test_uncommitted_and_unknown_files_are_refused(tree):
    tree.write("stranger", "")
    tree.refused("?? stranger")
    tree.commit()
    tree.write("stranger", "changed")
    tree.refused(" M stranger")


def test_other_version_than_the_header_has_is_refused(tree):
    tree.refused("the version in plugin-api/include/nfqe/version.h is 1.2.3, not 1.2.2", "1.2.2")


@pytest.mark.parametrize("old, new, said", [
    ("## 1.2.3 (2026-11-30)", "## 1.2.4 (2026-11-30)", "has no section"),
    ("## 1.2.3 (2026-11-30)", "## 1.2.30 (2026-11-30)", "has no section"),
    ("## 1.2.3 (2026-11-30)", "## 1.2.3 (unreleased)", "has no date"),
    ("## 1.2.3 (2026-11-30)", "## 1.2.3", "has no date"),
    ("- One thing.\n\n- Another.\n", "", "is empty"),
])
def test_unfinished_changelog_is_refused(tree, old, new, said):
    tree.write("CHANGELOG.md", CHANGELOG.replace(old, new))
    tree.commit()
    tree.refused(said)


def test_version_that_is_tagged_is_refused(tree):
    tree.git("tag", "v1.2.3")
    code, said = tree.release("1.2.3")
    assert code == 1 and "v1.2.3 exists already" in said and not tree.output.exists()


def test_files_of_an_earlier_try_do_not_outlive_a_failure(tree):
    assert tree.release("1.2.3")[0] == 0
    tree.write("build/test-fails", "")
    tree.refused("scripts/test failed")


@pytest.mark.parametrize("words", [[], ["1.2"], ["v1.2.3"], ["1.2.3", "--fast"], ["1.2.3", "--quick", "x"]])
def test_wrong_usage_is_refused(tree, words):
    code, said = tree.release(*words)
    assert code == 2 and said.startswith("usage: scripts/release")
