# SPDX-License-Identifier: GPL-2.0-or-later
"""abi.plugin_info ENGINE PLUGINS: what --plugin-info prints, and that no plugin can do harm by it.

The plugins are in the directory PLUGINS. Of described.so everything is known; its constructor does what the environment
variable NFQE_TEST_CONSTRUCTOR says. load() of a plugin is not called: that of described.so would end the process.
"""

import os
import re
import subprocess
import sys
import unittest

ENGINE, PLUGINS = sys.argv[1:3]

HEAD = """\
file        {path}
id          described
version     1.2.3
ABI         2.0
built with  {built_with}
needs       HEADERS (200 bytes), FLOW
uses        CONNTRACK
flags       MULTIPLE
"""
LISTS = """\
summary     has ?[31mall?[0m of it
vendor      the tests
license     GPL-2.0-or-later
functions   load handle
options
  port: INTEGER, 1 to 65535, default 80
      destination port
  wait: DURATION, at least 1500us
  label: STRING, at most 16 bytes, required
      in the log
  mode: CHOICE slow|fast
  net: PREFIX, repeatable
counters
  matched, in packets
      to the port
  looks
reasons
  port-80
      was to the port
  other
"""


def plugin(name):
    return os.path.join(PLUGINS, name + ".so")


def ask(path, *arguments, constructor=None):
    """Exit status, standard output, standard error."""
    environment = dict(os.environ)
    # A crash ends a sanitized process by the signal, as without sanitizers.
    environment["ASAN_OPTIONS"] = environment.get("ASAN_OPTIONS", "") + ":handle_segv=0"
    if constructor is not None:
        environment["NFQE_TEST_CONSTRUCTOR"] = constructor
    done = subprocess.run([ENGINE, *arguments, "--plugin-info", path], env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


def head_of(output):
    built_with = re.search(r"^built with  (.*)$", output, re.MULTILINE)
    return HEAD.format(path=plugin("described"), built_with=built_with.group(1) if built_with else "none")


class Info(unittest.TestCase):
    maxDiff = None

    def test_everything_that_a_plugin_declares_is_printed(self):
        status, output, errors = ask(plugin("described"))
        self.assertEqual((status, output, errors), (0, head_of(output) + LISTS, ""))
        self.assertRegex(output, r"\nbuilt with  nfqe \d")

    def test_it_needs_no_queue_and_no_other_option(self):
        self.assertEqual(ask(plugin("good"), "--queue", "1", "--plugin", "./none.so")[0], 0)

    def test_what_a_constructor_prints_is_no_part_of_it(self):
        status, output, errors = ask(plugin("described"), constructor="print")
        self.assertEqual((status, output, errors), (0, head_of(output) + LISTS, "printed\n"))

    def test_a_process_that_a_constructor_leaves_ends(self):
        """It has standard error, so this waits for its end."""
        status, output, _ = ask(plugin("described"), "--load-timeout", "20s", constructor="leave")
        self.assertEqual((status, output), (0, head_of(output) + LISTS))

    def test_a_constructor_that_goes_wrong_leaves_the_head(self):
        for constructor, why in (("hang", "its constructors did not return within 300 ms"),
                                 ("exit", "its constructors exited with status 3")):
            status, output, errors = ask(plugin("described"), "--load-timeout", "300ms", constructor=constructor)
            self.assertEqual((status, output, errors),
                             (4, head_of(output), f"nfq-engine: {plugin('described')}: {why}\n"))

    def test_a_plugin_that_is_refused_is_described_as_far_as_it_can_be(self):
        for name, why in (("constructor_crashes", "its constructors crashed (SIGSEGV)"),
                          ("fields_no_handle", "has no handle(), which every plugin must have, also beside handle_batch()"),
                          ("options_range", "its option rate has min 1 above max 0, so that no value is allowed")):
            status, output, errors = ask(plugin(name))
            self.assertEqual((status, errors), (4, f"nfq-engine: {plugin(name)}: {why}\n"))
            self.assertIn("\nversion     1.0.0\n", output)
            self.assertNotIn("\nfunctions", output)

    def test_a_file_that_is_no_plugin_is_refused_as_at_a_start(self):
        for path, why in ((os.path.join(PLUGINS, "none.so"), "cannot be opened: No such file or directory"),
                          (plugin("1.1/drop_tcp80"), "built for plugin ABI 1.1, which this engine no longer loads; "
                                                     "rebuild it against nfqe-dev 2.0")):
            self.assertEqual(ask(path), (4, "", f"nfq-engine: {path}: {why}\n"))
        self.assertEqual(ask(""), (2, "", "nfq-engine: --plugin-info: the file name is empty\n"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
