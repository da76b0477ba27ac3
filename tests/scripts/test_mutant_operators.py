# SPDX-License-Identifier: GPL-2.0-or-later
"""Which mutants scripts/mutant_operators.py makes of a line of C, and what it leaves alone."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts"))

import mutant_operators  # noqa: E402


def in_function(body, kind="void"):
    return f"static {kind} function(int a, int b)\n{{\n{body}\n}}\n"


def changes(text, operator=None):
    """The mutants of a text: the first line that differs, as it is then."""
    found = []
    for mutant in mutant_operators.mutants(text):
        if operator in (None, mutant.operator):
            old, new = text.split("\n"), mutant.apply(text).split("\n")
            found.append(next(line.strip() for line, before in zip(new, old) if line != before))
    return found


@pytest.mark.parametrize("operator, line, expected", [
    ("negated condition", "    if (a) {\n    }", ["if (!(a)) {"]),
    ("negated condition", "    while (f(a) && b) {\n    }", ["while (!(f(a) && b)) {"]),
    ("negated condition", "    if (!a) {\n    }", []),          # as without the !
    ("negated condition", "    if (a == b) {\n    }", []),      # as with !=
    ("dropped !", "    if (!a || a != b) {\n    }", ["if (a || a != b) {"]),
    ("comparison", "    a = a < b;", ["a = a <= b;"]),
    ("comparison", "    a = a >= b;", ["a = a > b;"]),
    ("comparison", "    a = p->x == b;", ["a = p->x != b;"]),
    ("arithmetic", "    a = a + b;", ["a = a - b;"]),
    ("arithmetic", "    a += b << *p;", ["a -= b << *p;", "a += b >> *p;"]),
    ("arithmetic", "    a++;", ["a--;"]),
    ("arithmetic", "    return -ENOMEM;", []),
    ("&& and ||", "    a = a && b;", ["a = a || b;"]),
    ("true and false", "    a = true_or(true);", ["a = true_or(false);"]),
    ("constant", "    a = 0;", ["a = 1;"]),
    ("constant", "    a = 1U;", ["a = 0U;"]),
    ("constant", "    a = 64 + 0x0f;", ["a = 65 + 0x0f;", "a = 64 + 0x10;"]),
    ("constant", "    a = b16 + 1.5;", []),
    ("off by one", "    a = b[a];", ["a = b[a + 1];"]),
    ("off by one", "    char text[MAX];", []),
    ("off by one", "    memcpy(a, p->b, p->len);", ["memcpy(a, p->b, p->len + 1);"]),
    ("removed call", "    close(a);", [";"]),
    ("removed call", "    (void)close(a);", [";"]),
    ("removed call", "    return close(a);", []),
    ("removed assignment", "    p->a[1] = b;", [";"]),
    ("removed assignment", "    *p = (struct q){.a = b};", [";"]),
    ("removed assignment", "    p->a++;", [";"]),
    ("removed assignment", "    int c = b;", []),
    ("removed assignment", "    const char *c = b;", []),
    ("removed case", "    switch (a) {\n    case NFQE_DROP:\n        break;\n    }", [""]),
    ("other jump", "    for (;;) {\n        break;\n    }", [";"]),
    ("other jump", "    for (;;) {\n        continue;\n    }", ["break;"]),
    ("other jump", "    goto free_it;", [";"]),
    ("early return", "    int c = a;\n\n    close(c);", ["return; close(c);"]),
])
def test_operator_makes_these_mutants_of_a_line(operator, line, expected):
    assert changes(in_function(line), operator) == expected


@pytest.mark.parametrize("kind, ending", [
    ("void", "return;"), ("int", "return 0;"), ("bool", "return false;"), ("const char *", "return NULL;"),
    ("uint64_t", "return 0;")])
def test_early_return_fits_the_function(kind, ending):
    assert changes(in_function("    close(a);", kind), "early return") == [f"{ending} close(a);"]


def test_errors_are_swallowed():
    assert changes(in_function("    return -errno;", "int"), "swallowed error") == ["return 0;"]
    assert changes(in_function("    return a;", "int"), "swallowed error") == []


def test_statement_over_several_lines_is_removed_whole():
    text = in_function("    call(a,\n         b);\n    other(a);")
    assert in_function("    ;\n    other(a);") in [mutant.apply(text) for mutant in mutant_operators.mutants(text)]


@pytest.mark.parametrize("text", [
    "/* if (a < 1) call(0); */\n",
    "// a == 0 && !b\n",
    "#define ROOM(a) ((a) + 1 < 2)\n",
    "#define LONG(a) \\\n    ((a) + 1)\n",
    "_Static_assert(sizeof(struct a) == 64, \"1\");\n",
    "static const char *const text = \"a < 1 && !b\";\n",
    "static const char letter = '0';\n",
    "#include <sys/types.h>\n",
])
def test_what_is_no_code_stays(text):
    assert changes(text) == []


def test_only_mutants_of_the_lines_asked_for():
    text = in_function("    a = 0;\n    b = 0;\n    call(a,\n         0);")
    assert {mutant.line for mutant in mutant_operators.mutants(text, {4})} == {4}
    assert {mutant.line for mutant in mutant_operators.mutants(text, {6})} == {5, 6}  # the call begins in 5
    assert mutant_operators.mutants(text, set()) == []


def test_no_two_mutants_are_the_same_and_none_is_the_original():
    with open(__file__.replace("test_mutant_operators.py", "skips.c"), encoding="utf-8") as file:
        text = file.read()
    results = [mutant.apply(text) for mutant in mutant_operators.mutants(text)]
    assert len(results) > 10 and len(set(results)) == len(results) and text not in results
