# SPDX-License-Identifier: GPL-2.0-or-later
"""What live tests, bench/run and the tests of packages share: commands, processes, network namespaces with their
links and rules, the state of the kernel's queues, an engine, and traffic.

Always: Python's own library only, so bench/run can use it where neither pytest nor the tests' build is there. Whoever
imports it has tests/ in its path. What cannot be done is a LabError, which says what; callers let it pass, or turn it
into a sentence of their own. Everything that is started or made here ends with the process that did so.
"""
