/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef PERCPU_COUNTERS_H
#define PERCPU_COUNTERS_H

#define KINDS 4

#endif
