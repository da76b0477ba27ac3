# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/mutants with a small project, and the limits within which it runs mutants.

Needs namespaces, which scripts/mutants refuses to work without; where they are not allowed, this is skipped.
"""

import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from repository import SCRIPTS, Repository

sys.path.insert(0, SCRIPTS)

import mutant_lab  # noqa: E402

SECONDS = 120
PREFIX = mutant_lab.isolation()
pytestmark = pytest.mark.skipif(PREFIX is None, reason="this user may not make namespaces")

FILES = {
    "CMakeLists.txt": """cmake_minimum_required(VERSION 3.25)
project(small C)
enable_testing()
add_compile_options(-Wall -Werror)
add_executable(test_sum engine/sum.c tests/test_sum.c)
add_test(NAME unit.sum COMMAND test_sum)
set_tests_properties(unit.sum PROPERTIES LABELS unit)
add_test(NAME live.never COMMAND false)
set_tests_properties(live.never PROPERTIES LABELS live)
""",
    "CMakePresets.json": """{"version": 6, "configurePresets": [{"name": "release", "generator": "Ninja",
"binaryDir": "${sourceDir}/build/release", "cacheVariables": {"CMAKE_BUILD_TYPE": "Release"}}]}
""",
    ".gitignore": "build/\n",
    "engine/sum.c": """int sum(const int *numbers, int count)
{
    int result = 0;

    for (int i = 0; i < count; i++) {
        result += numbers[i];
    }
    return result;
}

int unused(int a)
{
    return a + 5;
}
""",
    "tests/test_sum.c": """int sum(const int *numbers, int count);
int main(void)
{
    static const int numbers[4096] = {1, 2, 3};

    return sum(numbers, 3) == 6 ? 0 : 1;
}
""",
    "tests/equivalent_mutants": """# comment

file: engine/sum.c
- return a + 5;
+ return a + 6;
why: it is never called
""",
}


class Project(Repository):
    def __init__(self, root):
        super().__init__(root, SECONDS)
        (root / "scripts").mkdir()
        for name in os.listdir(SCRIPTS):
            if name.endswith(".py") or name == "mutants":
                shutil.copy(os.path.join(SCRIPTS, name), root / "scripts" / name)
        for path, text in FILES.items():
            self.write(path, text)
        self.git("init", "--quiet")
        self.commit()

    def mutants(self, *words):
        return self.script("mutants", *words)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_killed_survived_and_equivalent_mutants_are_told_apart(project):
    code, text = project.mutants("--all", "engine/sum.c")
    assert code == 0, text
    assert "engine/sum.c:6: arithmetic: killed by unit.sum: exit code 1\n" in text       # -=
    assert "engine/sum.c:5: arithmetic: killed by unit.sum: " in text  # i--: out of bounds, or for ever
    assert "\n\nengine/sum.c:13: survived: arithmetic\n- return a + 5;\n+ return a - 5;\n" in text
    assert "+ return a + 6;" not in text
    sums = re.search(r"^(\d+) mutants: (\d+) killed, (\d+) survived, (\d+) did not build; (\d+) equivalent ", text,
                     re.MULTILINE)
    total, killed, survived, not_built, left_out = map(int, sums.groups())
    assert total == killed + survived + not_built and left_out == 1
    assert killed >= 6 and survived == text.count(": survived: ")
    assert (project.root / "build/mutants/report").read_text() in text
    assert (project.root / "engine/sum.c").read_text() == FILES["engine/sum.c"]


def test_mutant_that_the_compiler_refuses_did_not_build(project):
    project.write("engine/sum.c", FILES["engine/sum.c"] + "_Alignas(16) static int four[4] = {0};\nint *f(void);\n"
                  "int *f(void)\n{\n    return &four[sizeof(char[1 - 0])];\n}\n")
    code, text = project.mutants("--since", "HEAD", "engine/sum.c")
    assert code == 0 and ": constant: did not build\n" in text


def test_only_lines_that_were_changed_since_a_commit_are_mutated(project):
    project.write("engine/other.c", "int other(int a)\n{\n    return a + 1;\n}\n")
    project.commit()
    project.write("engine/sum.c", FILES["engine/sum.c"].replace("a + 5", "a + 7"))
    for words, places in ((["--since", "HEAD"], {"engine/sum.c:13"}),
                          ([], {"engine/sum.c:13", "engine/other.c:3"}),
                          (["engine/other.c"], {"engine/other.c:3"}),
                          (["--since", "HEAD~1..HEAD", "engine/other.c"], {"engine/other.c:3"})):
        code, text = project.mutants("--list", *words)
        assert code == 0 and set(re.findall(r"^(engine/\S+:\d+): ", text, re.MULTILINE)) == places


def test_sample_depends_on_the_seed_alone(project):
    def listed(seed):
        code, text = project.mutants("--list", "--all", "--max", "4", "--seed", seed, "engine/sum.c")
        assert code == 0 and "\n4 mutants; " in text
        return text.replace(f"seed {seed}", "")
    assert listed("1") == listed("1") and len({listed(str(seed)) for seed in range(5)}) > 1


def test_failing_test_without_a_mutant_ends_it(project):
    project.write("tests/test_sum.c", "int main(void)\n{\n    return 3;\n}\n")
    code, text = project.mutants("--all", "engine/sum.c")
    assert code == 1 and "unit.sum fails without a mutant: exit code 3" in text


@pytest.mark.parametrize("words, code", [(["--all"], 2), (["--max", "0"], 2), (["--exclude", "("], 2),
                                         (["--all", "none.c"], 1), (["--since", "nowhere"], 1)])
def test_wrong_usage_is_refused(project, words, code):
    assert project.mutants(*words)[0] == code


def test_entry_without_a_reason_is_refused(project):
    project.write("tests/equivalent_mutants", "file: engine/sum.c\n- a\n+ b\n")
    code, text = project.mutants("--list", "--all", "engine/sum.c")
    assert code == 1 and "tests/equivalent_mutants" in text


@pytest.mark.parametrize("old, new", [("+ return a + 6;", "+ return a + 8;"), ("file: engine/sum.c", "file: engine/x.c")])
def test_entry_that_fits_nothing_any_more_is_named(project, old, new):
    project.write("tests/equivalent_mutants", FILES["tests/equivalent_mutants"].replace(old, new))
    code, text = project.mutants("--list", "--all", "engine/sum.c")
    assert code == 0 and re.search("fits no mutant any more: engine/.*: - return a \\+ 5;", text)
    assert "+ return a + 6;" in text


# ---- the bounds ------------------------------------------------------------------------------------------

@pytest.fixture
def run(tmp_path):
    """run(TEXT, seconds): what running a shell script within the bounds comes to."""
    def start(text, seconds=20):
        return mutant_lab.Bounds(PREFIX, mutant_lab.ADDRESS_BYTES).run(
            ["/bin/sh", "-c", text], seconds, tmp_path / "output", tmp_path, dict(os.environ))
    return start


@pytest.mark.parametrize("text, code", [("true", 0), ("exit 7", 7), ("kill -SEGV $$", -11), ("kill -KILL $$", -9)])
def test_exit_code_comes_through(run, text, code):
    assert run(text) == code


def test_what_never_ends_is_ended_with_all_that_it_started(run, tmp_path):
    begin = time.monotonic()
    assert run(f"setsid sh -c 'trap \"\" TERM; while :; do date >{tmp_path}/alive; sleep 0.05; done' & "
               "while :; do :; done", 1) == "did not end within 1 s"
    assert time.monotonic() - begin < 5
    stamp = os.stat(tmp_path / "alive").st_mtime_ns
    time.sleep(0.3)
    assert os.stat(tmp_path / "alive").st_mtime_ns == stamp


def test_what_is_left_behind_is_ended(run, tmp_path):
    assert run(f"setsid sh -c 'while :; do date >{tmp_path}/alive; sleep 0.05; done' & sleep 0.3; exit 0") == 0
    stamp = os.stat(tmp_path / "alive").st_mtime_ns
    time.sleep(0.3)
    assert os.stat(tmp_path / "alive").st_mtime_ns == stamp


def test_signal_to_everybody_reaches_nothing_else(run):
    with subprocess.Popen(["sleep", "60"]) as other:
        assert run("kill -KILL -1; sleep 0.1; exit 3") in (3, -9)
        assert other.poll() is None
        other.kill()


def test_too_many_processes_are_ended(run, monkeypatch):
    monkeypatch.setattr(mutant_lab, "PROCESSES_MAX", 20)
    assert run("i=0; while [ $i -lt 40 ]; do sleep 30 & i=$((i + 1)); done; wait") == "more than 20 processes"


def test_too_much_memory_is_ended(run, monkeypatch):
    eater = f"{sys.executable} -c 'import time; text = b\"x\" * (200 << 20); time.sleep(30)'"
    monkeypatch.setattr(mutant_lab, "MEMORY_BYTES", 100 << 20)
    assert str(run(eater)).startswith("more than ")
    monkeypatch.undo()
    monkeypatch.setattr(mutant_lab, "ADDRESS_BYTES", 100 << 20)
    assert run(eater) == 1


def test_files_do_not_grow_without_end(run, monkeypatch):
    monkeypatch.setattr(mutant_lab, "FILE_BYTES", 1 << 20)
    assert run("yes") != 0
    assert run("head -c 2M /dev/zero >file") != 0


def test_networks_of_the_machine_are_out_of_reach(run, tmp_path):
    assert run("grep -c : /proc/net/dev") == 0
    assert (tmp_path / "output").read_text() == "1\n"  # lo
