# SPDX-License-Identifier: GPL-2.0-or-later
"""The mutants of a C source for scripts/mutants: one small change each, at one place of the text.

Always: applies regular expressions to the text, which has the layout of clang-format; comments, strings, preprocessor
lines and static assertions are not changed. Some mutants do not compile, which the compiler finds; some mean the same
as the original, which a person must find. If two operators give the same text, there is one mutant. Pure: reads no
file and runs no program.
"""

import bisect
import dataclasses
import re

OPERATORS = {}  # name -> function(Source), which yields (start, end, replacement)


@dataclasses.dataclass(frozen=True)
class Mutant:
    """`replacement` in place of text[start:end]."""
    start: int
    end: int
    replacement: str
    operator: str
    line: int       # the first line that it changes, from 1
    last_line: int

    def apply(self, text):
        return text[:self.start] + self.replacement + text[self.end:]


class Source:
    """A text, and the same with spaces in place of all that is no code."""

    def __init__(self, text):
        self.text = text
        self.code = mask(text)
        self.starts = [0] + [match.end() for match in re.finditer("\n", text)]
        self.functions = list(find_functions(self.code))

    def line(self, position):
        return bisect.bisect_right(self.starts, position)

    def inside_function(self, position):
        """The return type of the function whose body has this position, or None."""
        for first, last, kind in self.functions:
            if first < position < last:
                return kind
        return None


NO_CODE = re.compile(
    r"/\*.*?\*/|//[^\n]*"                              # comments
    r"|^[ \t]*#(?:[^\n\\]|\\.)*"                       # preprocessor lines, with those that they continue on
    r"|^[ \t]*(?:_Static_assert|static_assert)\(.*?;"
    r'|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'', re.MULTILINE | re.DOTALL)
FUNCTION = re.compile(r"^(?P<head>[A-Za-z_][^;{}=#]*?)\b\w+\([^;{}]*\)\n\{\n(?P<body>.*?)^\}", re.MULTILINE | re.DOTALL)


def mask(text):
    def blank(match):
        word = match.group()
        filler = '"' if word[0] in "\"'" else " "
        return re.sub(r"[^\n]", filler, word)
    return NO_CODE.sub(blank, text)


def find_functions(code):
    """(start of the body, its end, return type) of each function."""
    for match in FUNCTION.finditer(code):
        kind = re.sub(r"\b(?:static|inline|extern|const)\b|__attribute__\(\(.*?\)\)", "", match["head"])
        yield match.start("body"), match.end("body"), " ".join(kind.split())


def closing(code, position):
    """The position of the bracket that closes the one at `position`."""
    depth = 0
    for index in range(position, len(code)):
        if code[index] in "([{":
            depth += 1
        elif code[index] in ")]}":
            depth -= 1
            if depth == 0:
                return index
    return -1


def operator(name):
    def register(function):
        OPERATORS[name] = function
        return function
    return register


def swaps(source, pattern, replacements):
    for match in re.finditer(pattern, source.code):
        yield match.start(), match.end(), replacements[match.group()]


NEGATED_OTHERWISE = re.compile(r"!\w+|true|1|[^&|=!<>]+ [=!]= [^&|=!<>]+")  # another operator does the same


@operator("negated condition")
def negate_conditions(source):
    for match in re.finditer(r"\b(?:if|while) \(", source.code):
        start = match.end() - 1
        end = closing(source.code, start)
        inside = source.text[start + 1:end]
        if end > 0 and not NEGATED_OTHERWISE.fullmatch(inside):
            yield start + 1, end, f"!({inside})"


@operator("dropped !")
def drop_nots(source):
    for match in re.finditer(r"!(?!=)", source.code):
        yield match.start(), match.end(), ""


@operator("comparison")
def compare_otherwise(source):
    yield from swaps(source, r"(?<=\s)(?:<=|>=|==|!=|<|>)(?=\s)",
                     {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="})


@operator("arithmetic")
def compute_otherwise(source):
    yield from swaps(source, r"(?<=\s)(?:[+*/%&|^-]|<<|>>|[+&|-]=)(?=\s)|\+\+|--", {
        "+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "&": "|", "|": "&", "^": "&", "<<": ">>", ">>": "<<",
        "+=": "-=", "-=": "+=", "&=": "|=", "|=": "&=", "++": "--", "--": "++"})


@operator("&& and ||")
def join_otherwise(source):
    yield from swaps(source, r"&&|\|\|", {"&&": "||", "||": "&&"})


@operator("true and false")
def swap_truth(source):
    yield from swaps(source, r"\b(?:true|false)\b", {"true": "false", "false": "true"})


@operator("constant")
def change_constants(source):
    for match in re.finditer(r"(?<![\w.])(0x[0-9a-fA-F]+|[0-9]+)([uUlL]*)(?![\w.])", source.code):
        digits, suffix = match.groups()
        value = int(digits, 16 if digits.startswith("0x") else 10)
        if value <= 1:
            yield match.start(), match.end(), f"{1 - value}{suffix}"
        else:
            more = hex(value + 1) if digits.startswith("0x") else str(value + 1)
            yield match.start(), match.end(), more + suffix


DECLARED = re.compile(r"\b(?!return\b|case\b|else\b|sizeof\b|goto\b)\w+\s+\**\w+$")


@operator("off by one")
def miss_by_one(source):
    for match in re.finditer(r"[\w)\]]\[", source.code):
        start, end = match.end() - 1, closing(source.code, match.end() - 1)
        inside = source.text[start + 1:end]
        line_start = source.code.rfind("\n", 0, start) + 1
        if end > 0 and inside.strip() and not inside.strip().isdigit() and source.inside_function(start) is not None \
                and not DECLARED.search(source.code[line_start:start]):
            yield end, end, " + 1"
    for match in re.finditer(r"(?:(?<=\()|(?<=, ))(?:[\w.]|->)*(?:len|count|size|capacity)(?=[,)])", source.code):
        if source.inside_function(match.start()) is not None and source.code[:match.start()][-7:] != "sizeof(":
            yield match.end(), match.end(), " + 1"


STATEMENT = re.compile(r"^[ \t]+(?P<text>[A-Za-z_(*+-][^;{}]*(?:\{[^;{}]*\}[^;{}]*)*;)", re.MULTILINE)
KEYWORD = re.compile(r"(?:return|break|continue|goto|case|default|if|else|for|while|do|switch|typedef|static|struct"
                     r"|union|enum|const|unsigned|extern|sizeof)\b")
PLACE = r"\(?\**\(?[A-Za-z_]\w*(?:(?:\.|->)\w+|\[[^=;]*?\]|\))*"
ASSIGNMENT = re.compile(rf"(?:{PLACE}\s*(?:[-+*/%&|^]|<<|>>)?=[^=].*|(?:\+\+|--)?{PLACE}(?:\+\+|--)?);", re.DOTALL)
CALL = re.compile(r"(?:\(void\))?\w+(?:(?:\.|->)\w+)*\(.*\);", re.DOTALL)


def statements(source):
    """(start, end, text) of statements that begin a line inside a function and are no blocks."""
    for match in STATEMENT.finditer(source.code):
        if source.inside_function(match.start("text")) is not None:
            yield match.start("text"), match.end("text"), match["text"]


@operator("removed call")
def remove_calls(source):
    for start, end, text in statements(source):
        if not KEYWORD.match(text) and CALL.fullmatch(text):
            yield start, end, ";"


@operator("removed assignment")
def remove_assignments(source):
    for start, end, text in statements(source):
        if not KEYWORD.match(text) and not CALL.fullmatch(text) and ASSIGNMENT.fullmatch(text):
            yield start, end, ";"


@operator("removed case")
def remove_cases(source):
    for match in re.finditer(r"^[ \t]+(case [^;{}\n]*?:)(?=\s)", source.code, re.MULTILINE):
        yield match.start(1), match.end(1), ""


@operator("other jump")
def jump_otherwise(source):
    yield from swaps(source, r"\b(?:break|continue);", {"break;": ";", "continue;": "break;"})
    for match in re.finditer(r"\bgoto \w+;", source.code):
        yield match.start(), match.end(), ";"


@operator("swallowed error")
def swallow_errors(source):
    for match in re.finditer(r"\breturn (-\w+(?:\([^;]*\))?);", source.code):
        yield match.start(1), match.end(1), "0"


def early_return(kind):
    """What ends a function of this type early; None if that cannot be told."""
    if kind == "void":
        return "return;"
    if kind.endswith("*"):
        return "return NULL;"
    if kind == "bool":
        return "return false;"
    return None if kind.startswith(("struct", "union")) else "return 0;"


FIRST_WORD = re.compile(r"^    (?P<text>[A-Za-z_(*+-][^\n]*)", re.MULTILINE)
DECLARATION = re.compile(r"(?:const |static |struct |union |enum |unsigned |_Alignas\()"
                         r"|(?!return\b|goto\b|else\b)\w+ \**\w+(?:\[.*\])?(?: =|;|,)")
LABEL = re.compile(r"(?:\w+:$|case |default:)")


@operator("early return")
def return_early(source):
    for first, last, kind in source.functions:
        ending = early_return(kind)
        for match in FIRST_WORD.finditer(source.code, first, last):
            text = match["text"]
            if ending and not text.startswith(("return", "else")) and not DECLARATION.match(text) \
                    and not LABEL.match(text) and text[0] != "}":
                yield match.start("text"), match.start("text"), ending + " "


def mutants(text, lines=None):
    """All mutants of a text, in its order; with `lines`, only those that change one of these lines."""
    source, found, seen = Source(text), [], set()
    for name, function in OPERATORS.items():
        for start, end, replacement in function(source):
            mutant = Mutant(start, end, replacement, name, source.line(start), source.line(max(start, end - 1)))
            wanted = lines is None or any(line in lines for line in range(mutant.line, mutant.last_line + 1))
            changed = mutant.apply(text)
            if wanted and changed not in seen and changed != text:
                seen.add(changed)
                found.append(mutant)
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end, mutant.operator))
