# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/summarize_tests.py says of each way in which a test can end.

Always: the tests are real ones (cmocka, pytest, sh), run by the real ctest, so that a new version of one of them with
other output is noticed here.
"""

import os
import re
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
SUMMARIZE = os.path.join(HERE, "..", "..", "scripts", "summarize_tests.py")
SKIPS = os.environ["NFQE_TEST_SKIPS"]
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs")
SECONDS = 60


class Suite:
    """A directory of tests for ctest, and what became of them."""

    def __init__(self, directory):
        self.directory, self.lines = directory, []

    def add(self, name, *command, **properties):
        self.lines.append(f"add_test({name} {' '.join(f'[=[{word}]=]' for word in command)})")
        settings = " ".join(f"{key} {value}" for key, value in properties.items())
        if settings:
            self.lines.append(f"set_tests_properties({name} PROPERTIES {settings})")

    def add_sh(self, name, text, **properties):
        self.add(name, "/bin/sh", "-c", text, **properties)

    def add_pytest(self, name, text):
        path = self.directory / f"test_{name.replace('.', '_')}.py"
        path.write_text(text)
        self.add(name, *PYTEST, str(path))

    def run(self, label="unit"):
        """Has ctest run them as a run of this label."""
        (self.directory / "CTestTestfile.cmake").write_text("\n".join(self.lines))
        subprocess.run(["ctest", "--test-dir", self.directory, "--output-junit",
                        self.directory / f"release-{label}.xml", "--test-output-size-passed", "65536"],
                       check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=SECONDS)
        return self.summarize(f"release:{label}")

    def summarize(self, *runs, **environment):
        command = [sys.executable, "-B", SUMMARIZE, "--results", self.directory, "--seconds", "61", *runs]
        result = subprocess.run(command,
                                env={**os.environ, "CI": "false", **environment}, check=False, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=SECONDS)
        return Summary(result)


class Summary:
    def __init__(self, result):
        self.code, self.text = result.returncode, result.stdout
        last = self.text.splitlines()[-1]
        self.counts = tuple(map(int, re.fullmatch(r"(\d+) passed, (\d+) failed, (\d+) skipped", last).groups()))

    def names(self, title):
        """The lines below a title."""
        found = re.search(rf"^{title}:\n((?:  .*\n)+)", self.text, re.MULTILINE)
        return [line.strip() for line in found.group(1).splitlines()] if found else []


@pytest.fixture
def tests(tmp_path):
    return Suite(tmp_path)


def test_what_passed_is_counted_and_the_exit_code_is_0(tests):
    tests.add("unit.one", "/bin/true")
    tests.add("unit.two", "/bin/true")
    summary = tests.run()
    assert summary.counts == (2, 0, 0) and summary.code == 0
    assert summary.names("Skipped") == summary.names("Failed") == []
    assert "All tests together took 1 min 1 s." in summary.text


def test_failures_are_named_with_their_parts_and_the_exit_code_is_1(tests):
    tests.add("unit.fine", "/bin/true")
    tests.add("unit.silent", "/bin/false")
    tests.add("unit.cmocka", SKIPS, "failed")
    tests.add_pytest("unit.pytest", "def test_right():\n    pass\ndef test_wrong():\n    assert 1 == 2\n")
    summary = tests.run()
    assert summary.counts == (1, 3, 0) and summary.code == 1
    assert summary.names("Failed") == ["unit.silent (release): see its output above",
                                       "unit.cmocka (release): test_that_fails",
                                       "unit.pytest (release): test_wrong"]


def test_crash_and_timeout_are_failures(tests):
    tests.add_sh("unit.crash", "kill -SEGV $$")
    tests.add_sh("unit.slow", "exec sleep 30", TIMEOUT=1)
    summary = tests.run()
    assert summary.counts == (0, 2, 0) and summary.code == 1


def test_whole_test_that_skips_is_skipped_with_its_reason(tests):
    tests.add_sh("unit.reason", "echo 'SKIPPED: no tool'; exit 77", SKIP_RETURN_CODE=77)
    tests.add_sh("unit.small", "echo 'skipped: no root'; exit 77", SKIP_RETURN_CODE=77)
    tests.add_sh("unit.silent", "exit 77", SKIP_RETURN_CODE=77)
    summary = tests.run()
    assert summary.counts == (0, 0, 3) and summary.code == 0
    assert summary.names("Skipped") == ["unit.reason (release): no tool", "unit.small (release): no root",
                                        "unit.silent (release): says no reason"]


def test_what_cmocka_skips_of_a_program_is_skipped(tests):
    tests.add("unit.part", SKIPS, "part")
    summary = tests.run()
    assert summary.counts == (1, 0, 2) and summary.code == 0
    assert summary.names("Skipped") == ["unit.part (test_with_a_reason) (release): the moon is not full",
                                        "unit.part (test_without_a_reason) (release): says no reason"]


def test_cmocka_program_that_skips_all_has_not_passed(tests):
    tests.add("unit.all", SKIPS, "all")
    summary = tests.run()
    assert summary.counts == (0, 0, 1) and summary.code == 0
    assert summary.names("Skipped") == ["unit.all (release): the moon is not full"]


def test_reason_without_an_end_of_line_is_still_a_skip(tests):
    tests.add_sh("unit.odd", r"printf '[ RUN      ] test_a\n[       OK ] test_a\n'; "
                 r"printf '[ RUN      ] test_b\nwhy[  SKIPPED ] test_b\n'")
    summary = tests.run()
    assert summary.counts == (1, 0, 1)
    assert summary.names("Skipped") == ["unit.odd (test_b) (release): says no reason"]


def test_what_pytest_skips_of_a_file_is_skipped(tests):
    tests.add_pytest("unit.part", "import pytest\n"
                     "def test_runs():\n    pass\n"
                     "@pytest.mark.skip(reason='no bridge')\ndef test_bridge():\n    pass\n"
                     "@pytest.mark.skip(reason='no bridge')\ndef test_other_bridge():\n    pass\n"
                     "@pytest.mark.parametrize('n', [1, 2])\ndef test_many(n):\n    pytest.skip('no VLAN')\n")
    summary = tests.run()
    assert summary.counts == (1, 0, 3) and summary.code == 0
    assert [re.sub(r"\(\S*/", "(", line) for line in summary.names("Skipped")] == [
        "unit.part (test_unit_part.py) (release): no bridge", "unit.part (test_unit_part.py) (release): no bridge",
        "unit.part (test_unit_part.py, 2 times) (release): no VLAN"]


def test_pytest_file_that_skips_all_has_not_passed(tests):
    tests.add_pytest("unit.all", "import pytest\npytestmark = pytest.mark.skip(reason='no kernel')\n"
                     "def test_one():\n    pass\ndef test_two():\n    pass\n")
    summary = tests.run()
    assert summary.counts == (0, 0, 1) and summary.code == 0
    assert summary.names("Skipped") == ["unit.all (release): no kernel"]


def test_script_that_skips_a_part_says_so(tests):
    tests.add_sh("unit.script", "echo 'SKIPPED: no tool for half of it'")
    summary = tests.run()
    assert summary.counts == (1, 0, 1)
    assert summary.names("Skipped") == ["unit.script (a part of it) (release): no tool for half of it"]


def test_missing_and_broken_result_files_are_failures(tests):
    (tests.directory / "release-abi.xml").write_text("<testsuite><testcase")
    summary = tests.summarize("release:unit", "release:abi")
    assert summary.counts == (0, 2, 0) and summary.code == 1
    assert [line.split(":")[0] for line in summary.names("Failed")] == ["unit.* (release)", "abi.* (release)"]


def test_label_without_tests_is_a_failure(tests):
    summary = tests.run("abi")
    assert summary.counts == (0, 1, 0) and summary.code == 1
    assert len(summary.names("Failed")) == 1


def test_disabled_test_is_skipped(tests):
    tests.add("unit.off", "/bin/true", DISABLED=1)
    summary = tests.run()
    assert summary.counts == (0, 0, 1) and summary.code == 0
    assert summary.names("Skipped") == ["unit.off (release): disabled in its CMakeLists.txt"]


def test_test_that_could_not_be_started_is_a_failure(tests):
    tests.add("unit.missing", "/nowhere/program")
    tests.add("unit.file", "/bin/true", REQUIRED_FILES="/nowhere/file")
    summary = tests.run()
    assert summary.counts == (0, 2, 0) and summary.code == 1
    assert summary.names("Failed") == ["unit.missing (release): Unable to find executable",
                                       "unit.file (release): Required Files Missing"]


@pytest.mark.parametrize("label, failed", [("live", 4), ("vm", 4), ("abi", 0), ("unit", 0), ("lint", 0)])
def test_skips_of_live_and_vm_tests_are_failures_in_ci(tests, label, failed):
    tests.add_sh(f"{label}.whole", "echo 'SKIPPED: no root'; exit 77", SKIP_RETURN_CODE=77)
    tests.add(f"{label}.part", SKIPS, "part")
    tests.add(f"{label}.off", "/bin/true", DISABLED=1)
    assert tests.run(label).counts == (1, 0, 4)
    summary = tests.summarize(f"release:{label}", CI="true")
    assert summary.counts == (1, failed, 4 - failed) and summary.code == (1 if failed else 0)
    assert all("CI does not accept" in line for line in summary.names("Failed"))


def test_runs_are_added_up(tests):
    tests.add("unit.one", "/bin/true")
    tests.run("unit")
    tests.add("unit.two", "/bin/false")
    tests.run("abi")
    summary = tests.summarize("release:unit", "release:abi", "release:live")
    assert summary.counts == (2, 2, 0) and summary.code == 1
