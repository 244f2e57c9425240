# SPDX-License-Identifier: GPL-3.0-or-later
"""The laboratory: nodes with systemd in containers, for the scenarios and the demonstration.

Only the standard library is used, so that it runs before the project's own environment exists.
"""
