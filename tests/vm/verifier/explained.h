/* SPDX-License-Identifier: BSD-2-Clause */
/* Each difference of verdict or words, with its reason as docs/compat.md gives it. */
{"map pointer read", "of a map's own structure only the attributes"},
{"map pointer: of many", "where it is one map on every path"},
{"endless loop*", "endless loops around a call with a callback are refused"},
{"paths: null for a helper", "a NULL for a helper is told from another number on every path"},
{"record: kept by a callback", "a ring buffer record that a callback keeps"},
{"record: size too large", "no ring could hold"},
{"jump on a function pointer's arithmetic", "arithmetic on a function's address"},
{"tail call in a callback", "a tail call in a callback (the kernel reports a defect of its own)"},
{"global function with memory that is there, given none", "NULL for an argument that is tagged nonnull"},
