# SPDX-License-Identifier: GPL-2.0-or-later
"""Code that live tests and bench/run share: commands, processes, network namespaces with their links and rules, the
state of the kernel's queues, an engine, and traffic.

Always: uses only Python's own library, so bench/run needs neither pytest nor the build of the tests. The importer has
tests/ in its path. A failure raises LabError with the reason. All that is started or made here ends with the process
that did so.
"""
