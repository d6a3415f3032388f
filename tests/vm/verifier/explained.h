/* SPDX-License-Identifier: BSD-2-Clause */
{"map pointer read", "of a map's own structure only the attributes"},
{"map pointer: of many", "where it is one map on every path"},
{"endless loop*", "endless loops around a call with a callback are refused"},
{"paths: null for a helper", "a NULL for a helper is told from another number on every path"},
