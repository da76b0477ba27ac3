# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/check finds, builds, runs and says: its Python part, on build directories made here."""

import os
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
RUN_TESTS = os.path.join(HERE, "..", "..", "scripts", "run_tests.py")
SKIPS = os.environ["NFQE_TEST_SKIPS"]
SECONDS = 60


@pytest.fixture
def call(tmp_path):
    """call(WORD...): exit code, what is printed, what is complained about; in a tree with some tests."""
    build = tmp_path / "build" / "release"
    build.mkdir(parents=True)
    shutil.copy(SKIPS, build / "skips")
    (tmp_path / "test_two.py").write_text("def test_one():\n    pass\ndef test_two():\n    assert False\n")
    tests = {
        "unit.skips": ([build / "skips", "part"], "unit"),
        "unit.skips_more": ([build / "unbuilt" / "program"], "unit"),
        "live.two": ([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path / "test_two.py"],
                     "live"),
        "lint.environment": (["/bin/sh", "-c", "test \"$COLOUR $PWD\" = \"green /\""], "lint"),
        "lint.slow": (["/bin/sleep", "30"], "lint"),
        "lint.skipped": (["/bin/sh", "-c", "echo 'SKIPPED: no tool'; exit 77"], "lint"),
    }
    lines = []
    for name, (command, label) in tests.items():
        arguments = " ".join(f"[=[{word}]=]" for word in command[1:])
        lines.append(f'add_test([=[{name}]=] "{command[0]}" {arguments})')
        limit = 1 if name == "lint.slow" else 20
        lines.append(f"set_tests_properties([=[{name}]=] PROPERTIES LABELS {label} TIMEOUT {limit} SKIP_RETURN_CODE 77"
                     f" WORKING_DIRECTORY / ENVIRONMENT COLOUR=green)")
    (build / "CTestTestfile.cmake").write_text("\n".join(lines))

    def run(*words):
        result = subprocess.run([sys.executable, "-B", RUN_TESTS, *words], cwd=tmp_path, check=False, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=SECONDS)
        return result.returncode, result.stdout, result.stderr
    return run


def test_all_tests_are_listed_with_label_and_preset(call):
    code, text, _ = call("list", "release")
    assert code == 0
    assert [line.split() for line in text.splitlines()][:3] == [
        ["unit", "release", "unit.skips"], ["unit", "release", "unit.skips_more"], ["live", "release", "live.two"]]


@pytest.mark.parametrize("name, said", [
    ("unit.skips", "user skips\n"),
    ("unit.skips_more", "user unbuilt/program\n"),
    ("unit", "user skips unbuilt/program\n"),
    ("live.two", "root all\n"),
    ("two|skips$", "root all\n"),
    ("lint.slow", "user none\n"),
])
def test_only_what_the_tests_need_is_built(call, name, said):
    assert call("plan", "release", name) == (0, said, "")


def test_unknown_name_is_refused_with_similar_ones(call):
    code, text, complaint = call("run", "release", "unit.skip_more")
    assert code == 2 and text == "" and "perhaps unit.skips_more" in complaint
    assert call("plan", "release", "(")[0] == 2


def test_test_has_the_environment_and_directory_that_ctest_gives_it(call):
    code, text, _ = call("run", "release", "lint.environment")
    assert code == 0 and text.splitlines()[-1] == "== lint.environment (release): passed"


def test_test_that_takes_too_long_is_ended_and_has_failed(call):
    code, text, _ = call("run", "release", "lint.slow")
    assert code == 1 and "== lint.slow (release): FAILED: it did not end within 1 s\n" in text
    assert text.splitlines()[-1] == "  by hand:         env COLOUR=green /bin/sleep 30"


def test_skips_are_told_whole_or_in_part(call):
    code, text, _ = call("run", "release", "lint.skipped")
    assert code == 77 and text.endswith("== lint.skipped (release): skipped: no tool\n")
    code, text, _ = call("run", "release", "unit.skips")
    assert code == 77 and "skipped: a part of it: the moon is not full; says no reason\n" in text


def test_part_of_a_cmocka_program_runs(call):
    code, text, _ = call("run", "release", "unit.skips", "-k", "passes")
    assert code == 0 and "Running 1 test(s)" in text and "OK ] test_that_passes" in text
    code, text, _ = call("run", "release", "unit.skips", "-k", "nothing")
    assert code == 1 and "FAILED: none of its functions has nothing in its name" in text
    assert "scripts/check --asan unit.skips" in text


def test_arguments_go_to_pytest(call):
    assert call("run", "release", "live.two", "-k", "one")[0] == 0
    code, text, _ = call("run", "release", "live.two", "-k", "two")
    assert code == 1 and "FAILED: exit code 1" in text and "scripts/check live.two -x --pdb" in text
    code, text, _ = call("run", "release", "live.two", "-k", "three")
    assert code == 1 and "FAILED: -k three chooses none of its functions" in text


@pytest.mark.parametrize("words", [["unit.skips", "-x"], ["lint.slow", "x"], ["skips", "-k", "x"]])
def test_arguments_that_make_no_sense_are_refused(call, words):
    code, _, complaint = call("run", "release", *words)
    assert code == 2 and complaint.startswith("check: ")


def test_several_tests_run_and_one_failure_counts(call):
    code, text, _ = call("run", "release", "lint.(environment|skipped)")
    assert code == 77 and "lint.environment (release): passed" in text
    code, text, _ = call("run", "release", "unit.skips|live.two")
    assert code == 1 and "unit.skips_more (release): FAILED: its program was not built" in text
