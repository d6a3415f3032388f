/* SPDX-License-Identifier: BSD-2-Clause */
/* Each difference of verdict or words, with its reason as docs/compat.md gives it. */
{"map pointer read", "reads of a map's own structure through a map pointer"},
{"paths: null for a helper", "a number in place of a NULL argument, on a path"},
{"atomic: fetch from the stack is unknown", "a number that an atomic fetched from the stack"},
{"endless loop *", "**Endless loops around bpf_loop** and its like are refused"},
{"record: kept by a callback", "a ring buffer record that a callback keeps"},
{"record: size too large", "no ring could hold"},
{"jump on a function pointer's arithmetic", "arithmetic on a function's address"},
{"tail call in a callback", "a tail call in a callback (the kernel reports a defect of its own)"},
{"callback grows an index of its caller", "what a bpf_loop callback adds up in more than eight rounds"},
