/* SPDX-License-Identifier: BSD-2-Clause */
/* The threads under trace, by TID. */
#include "event/tracer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_MIN 64

int tracee_table_init(struct tracee_table *t)
{
	t->used = 0;
	t->size = TABLE_MIN;
	t->bucket = calloc(t->size, sizeof(*t->bucket));
	return t->bucket ? 0 : -ENOMEM;
}

static void tracee_free(struct tracee *t)
{
	if (t->comm_fd >= 0)
		close(t->comm_fd);
	free(t);
}

void tracee_table_free(struct tracee_table *t)
{
	for (unsigned int i = 0; i < t->size; i++) {
		struct tracee *next;

		for (struct tracee *p = t->bucket[i]; p; p = next) {
			next = p->next;
			tracee_free(p);
		}
	}
	free(t->bucket);
	t->bucket = NULL;
	t->size = t->used = 0;
}

struct tracee *tracee_find(struct tracee_table *t, pid_t tid)
{
	struct tracee *p = t->bucket[tid & (t->size - 1)];

	while (p && p->tid != tid)
		p = p->next;
	return p;
}

/* Doubles the table; without memory it stays as it is and only gets slower. */
static void tracee_table_grow(struct tracee_table *t)
{
	struct tracee **bucket = calloc(t->size * 2, sizeof(*bucket));

	if (!bucket)
		return;
	for (unsigned int i = 0; i < t->size; i++) {
		struct tracee *next;

		for (struct tracee *p = t->bucket[i]; p; p = next) {
			struct tracee **head = &bucket[p->tid & (t->size * 2 - 1)];

			next = p->next;
			p->next = *head;
			*head = p;
		}
	}
	free(t->bucket);
	t->bucket = bucket;
	t->size *= 2;
}

struct tracee *tracee_add(struct tracee_table *t, pid_t tid)
{
	struct tracee *p = calloc(1, sizeof(*p)), **head;

	if (!p)
		return NULL;
	if (t->used >= t->size)
		tracee_table_grow(t);
	p->tid = tid;
	p->comm_fd = -1;
	head = &t->bucket[tid & (t->size - 1)];
	p->next = *head;
	*head = p;
	t->used++;
	return p;
}

void tracee_remove(struct tracee_table *t, pid_t tid)
{
	for (struct tracee **p = &t->bucket[tid & (t->size - 1)]; *p; p = &(*p)->next)
		if ((*p)->tid == tid) {
			struct tracee *gone = *p;

			*p = gone->next;
			t->used--;
			tracee_free(gone);
			return;
		}
}

void tracee_each(struct tracee_table *t, void (*fn)(struct tracee *))
{
	for (unsigned int i = 0; i < t->size; i++)
		for (struct tracee *p = t->bucket[i]; p; p = p->next)
			fn(p);
}

/* The process that the thread belongs to, as this PID namespace numbers it. */
pid_t tracee_tgid(struct tracee *t)
{
	char path[32], buf[512], *line;
	ssize_t n;
	int fd;

	if (t->tgid)
		return t->tgid;
	snprintf(path, sizeof(path), "/proc/%d/status", t->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return t->tid;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	line = strstr(buf, "\nTgid:");
	t->tgid = line ? atoi(line + 6) : 0;
	if (!t->tgid)
		t->tgid = t->tid;
	return t->tgid;
}
