/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap top: a live view of the maps of a runtime directory. */
#include "cli/top.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#ifdef HAVE_CURSES
#include <curses.h>
#include <locale.h>
#endif

#include "cli/cli.h"
#include "shm/rundir.h"

enum { PLAIN, HEAD, TITLE, CHOSEN, HOT, BAR };

static struct screen {
	int rows, columns, row;
	void (*line)(int style, const char *text);
} screen;

static struct {
	double delay;
	long rounds; /* 0: no end */
	bool once, reverse;
	int sort;
	unsigned int chosen; /* row of the list */
	uint32_t chosen_id, view;
	const char *map;
} top_options = {.delay = 1};

/* ---- order ---- */

struct sort_key {
	const char *name;
	char key;
	int (*compare)(const struct top_map *a, const struct top_map *b);
};

#define LARGEST_FIRST(name, field)                                                                 \
	static int by_##name(const struct top_map *a, const struct top_map *b)                     \
	{                                                                                          \
		return a->field > b->field ? -1 : a->field < b->field;                             \
	}
LARGEST_FIRST(entries, entries)
LARGEST_FIRST(changed, changed)
LARGEST_FIRST(count, increase)
LARGEST_FIRST(evictions, evictions)
LARGEST_FIRST(lost, lost)
LARGEST_FIRST(waits, lock_waits)
LARGEST_FIRST(open, openers)

static int by_ops(const struct top_map *a, const struct top_map *b)
{
	return a->ops > b->ops ? -1 : a->ops < b->ops ? 1 : by_changed(a, b);
}

static int by_id(const struct top_map *a, const struct top_map *b)
{
	return a->info.id < b->info.id ? -1 : a->info.id > b->info.id;
}

static int by_name(const struct top_map *a, const struct top_map *b)
{
	return strcmp(a->info.name, b->info.name);
}

static const struct sort_key sort_keys[] = {
	{"ops", 'p', by_ops},	      {"changed", 'c', by_changed}, {"count", 'u', by_count},
	{"entries", 'e', by_entries}, {"open", 'o', by_open},	    {"evicted", 'v', by_evictions},
	{"lost", 'l', by_lost},	      {"waits", 'w', by_waits},	    {"name", 'n', by_name},
	{"id", 'i', by_id},
};
#define SORTS ((int)(sizeof(sort_keys) / sizeof(sort_keys[0])))

static int in_order(const void *a, const void *b)
{
	int c = sort_keys[top_options.sort].compare(a, b);

	if (!c)
		return by_id(a, b);
	return top_options.reverse ? -c : c;
}

/* ---- drawing; the same lines on a terminal and in a pipe ---- */

static void __attribute__((format(printf, 2, 3))) say(int style, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (screen.rows && screen.row >= screen.rows)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* what names, keys and values may have in them */
	for (char *p = text; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
	screen.line(style, text);
	screen.row++;
}

/* In five characters. */
static const char *amount(char *buf, size_t size, double v)
{
	static const char unit[] = " kMGTPE";
	int u = 0;

	while (v >= (u ? 999.5 : 9999.5) && u < 6)
		v /= 1000, u++;
	if (u)
		snprintf(buf, size, "%.*f%c", v < 99.95 ? 1 : 0, v, unit[u]);
	else
		snprintf(buf, size, "%.*f", v < 10 && v != floor(v) ? 1 : 0, v);
	return buf;
}

/* Entries of max; what has no number of entries has "-". */
static void fullness(const struct top_map *m, char *out, size_t size)
{
	char a[2][16];

	if (!m->counted || m->info.type == BPF_MAP_TYPE_RINGBUF)
		snprintf(out, size, "-/%u", m->info.max_entries);
	else if (m->entries < 100000 && m->info.max_entries < 100000)
		snprintf(out, size, "%llu/%u", (unsigned long long)m->entries, m->info.max_entries);
	else
		snprintf(out, size, "%s/%s", amount(a[0], 16, (double)m->entries),
			 amount(a[1], 16, m->info.max_entries));
}

/* Some of those who have it open, by name. */
static void who(const struct top_map *m, char *out, size_t size)
{
	char comm[32];
	size_t at = 0;

	out[0] = '\0';
	for (unsigned int i = 0; i < m->openers && i < 3 && at < size; i++) {
		top_comm(m->opener[i], comm, sizeof(comm));
		at += (size_t)snprintf(out + at, size - at, "%s%s", i ? " " : "", comm);
	}
	if (m->openers > 3 && at < size)
		snprintf(out + at, size - at, " ...");
}

static void draw_list(struct top *t)
{
	char a[7][16], entries[40], names[128];
	unsigned int first = 0, shown;

	qsort(t->map, t->n, sizeof(*t->map), in_order);
	for (unsigned int i = 0; top_options.chosen_id && i < t->n; i++)
		if (t->map[i].info.id == top_options.chosen_id)
			top_options.chosen = i;
	if (top_options.chosen >= t->n)
		top_options.chosen = t->n ? t->n - 1 : 0;
	if (t->n)
		top_options.chosen_id = t->map[top_options.chosen].info.id;
	say(TITLE, "shmap top: %s, %u map%s, sorted by %s%s", rundir_path(), t->n,
	    t->n == 1 ? "" : "s", sort_keys[top_options.sort].name,
	    top_options.reverse ? ", reversed" : "");
	/* what is asked for most comes first: 80 columns end behind WAITS */
	say(HEAD, "%5s %-15s %-13s %11s %6s %4s %7s %5s %5s %9s %7s %7s %s", "ID", "NAME", "TYPE",
	    "ENTRIES/MAX", "OPS/S", "OPEN", "EVICTED", "LOST", "WAITS", "CHANGED/S", "COUNT/S",
	    "REFUSED", "OPEN IN");
	shown = screen.rows > 3 ? (unsigned int)screen.rows - 3 : t->n;
	if (top_options.chosen >= shown)
		first = top_options.chosen - shown + 1;
	for (unsigned int i = first; i < t->n && i < first + shown; i++) {
		const struct top_map *m = &t->map[i];

		fullness(m, entries, sizeof(entries));
		who(m, names, sizeof(names));
		say(screen.rows && i == top_options.chosen ? CHOSEN
		    : m->ops || m->changed		   ? HOT
							   : PLAIN,
		    "%5u %-15s %-13.13s %11s %6s %4u %7s %5s %5s %8s%c %7s %7s %s", m->info.id,
		    m->info.name, m->type, entries, m->ops_counted ? amount(a[0], 16, m->ops) : "-",
		    m->openers, m->counted ? amount(a[1], 16, (double)m->evictions) : "-",
		    m->counted ? amount(a[2], 16, (double)m->lost) : "-",
		    amount(a[3], 16, (double)m->lock_waits), amount(a[4], 16, m->changed),
		    m->look.cut ? '+' : ' ', m->numeric ? amount(a[5], 16, m->increase) : "-",
		    m->counted ? amount(a[6], 16, (double)m->failed) : "-", names);
	}
	if (!t->n)
		say(PLAIN, "there are no maps");
}

static void draw_openers(const struct top_map *m)
{
	char text[300] = "", comm[32];
	size_t at = 0;

	for (unsigned int i = 0; i < m->openers && i < TOP_OPENERS && at < sizeof(text) - 48; i++) {
		top_comm(m->opener[i], comm, sizeof(comm));
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%d %s", i ? ", " : "",
				       m->opener[i], comm);
	}
	say(PLAIN, "open in %u process%s%s%s", m->openers, m->openers == 1 ? "" : "es",
	    m->openers ? ": " : "", text);
}

static void draw_histogram(const struct top_map *m, int rows)
{
	uint64_t most = 1;
	int low = -1, high = 0;
	bool dense;

	for (int b = 0; b < TOP_BUCKETS; b++)
		if (m->bucket[b]) {
			low = low < 0 ? b : low;
			high = b;
			most = m->bucket[b] > most ? m->bucket[b] : most;
		}
	if (low < 0)
		return;
	/* where there is no room for all, those with nothing in them are left out */
	dense = rows && high - low + 1 > rows;
	say(HEAD, "%-26s %9s  %s", "VALUES FROM..TO", "ELEMENTS", "");
	for (int b = low; b <= high; b++) {
		static const char bar[] = "########################################";
		char range[64];
		unsigned long long from = b ? 1ull << (b - 1) : 0;
		int len = (int)(m->bucket[b] * 40 / most);

		if (dense && !m->bucket[b])
			continue;
		snprintf(range, sizeof(range), "%llu..%llu", from, b ? from * 2 - 1 : 0);
		say(BAR, "%-26s %9llu  %.*s", range, (unsigned long long)m->bucket[b],
		    len || !m->bucket[b] ? len : 1, bar);
	}
}

static void draw_map(struct top *t)
{
	const struct top_elem *hot[64];
	struct top_map *m = NULL;
	unsigned int n, keys;
	char a[3][16];

	for (unsigned int i = 0; i < t->n; i++)
		if (t->map[i].info.id == top_options.view)
			m = &t->map[i];
	if (!m) {
		say(TITLE, "map %u is gone", top_options.view);
		return;
	}
	say(TITLE, "map %u %s: %s, key %u, value %u bytes, %llu of %u entries", m->info.id,
	    m->info.name, m->type, m->info.key_size, m->info.value_size,
	    (unsigned long long)m->entries, m->info.max_entries);
	if (m->ops_counted)
		say(PLAIN, "%s operations/s, %llu since it was made", amount(a[0], 16, m->ops),
		    (unsigned long long)m->operations);
	say(PLAIN, "%s elements changed/s%s, evicted %llu (%s/s), refused %llu, lost %llu (%s/s)",
	    amount(a[0], 16, m->changed), m->look.cut ? " in the part that is looked at" : "",
	    (unsigned long long)m->evictions, amount(a[1], 16, m->evicted),
	    (unsigned long long)m->failed, (unsigned long long)m->lost,
	    amount(a[2], 16, m->lost_rate));
	if (m->lock_owner)
		say(PLAIN, "locked by thread %u, waited for %llu times", m->lock_owner,
		    (unsigned long long)m->lock_waits);
	else if (m->lock_waits)
		say(PLAIN, "not locked; its lock was waited for %llu times",
		    (unsigned long long)m->lock_waits);
	draw_openers(m);
	if (!m->walked) {
		say(PLAIN, "elements of this type are not listed");
		return;
	}
	keys = screen.rows ? (screen.rows > 16 ? (unsigned int)screen.rows / 2 - 4 : 4) : 10;
	n = top_hottest(m, hot, keys < 64 ? keys : 64);
	say(HEAD, "%-30s %-30s %12s", "HOTTEST KEYS", m->numeric ? "VALUE" : "VALUE (now)",
	    m->numeric ? "INCREASE" : "CHANGES");
	for (unsigned int i = 0; i < n; i++) {
		struct top_text text;

		top_elem_text(m, hot[i], &text);
		say(hot[i]->increase ? HOT : PLAIN, "%-30.30s %-30.30s %12llu", text.key,
		    text.value, (unsigned long long)(m->numeric ? hot[i]->increase : hot[i]->hits));
	}
	if (m->numeric)
		draw_histogram(m, screen.rows ? screen.rows - screen.row - 2 : 0);
}

static void draw(struct top *t)
{
	screen.row = 0;
	if (top_options.view)
		draw_map(t);
	else
		draw_list(t);
}

/* ---- once ---- */

static void plain_line(int style, const char *text)
{
	int len = (int)strlen(text);

	while (len && text[len - 1] == ' ')
		len--;
	printf("%.*s\n", len, text);
}

static void wait_delay(void)
{
	struct timespec t = {.tv_sec = (time_t)top_options.delay};

	t.tv_nsec = (long)((top_options.delay - (double)t.tv_sec) * 1e9);
	nanosleep(&t, NULL);
}

/* The id of the map that is to be shown alone; 0: it has been said why not. */
static uint32_t find_map(const char *what)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	int fd = cli_map_open(what);

	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &len)) {
		cli_error("%s: this is no map", what);
		info.id = 0;
	}
	close(fd);
	return info.id;
}

static int failed(int err)
{
	return cli_error("looking at the maps: %s", strerror(-err));
}

static int print_once(struct top *t)
{
	int err = 0;

	screen = (struct screen){.line = plain_line};
	for (long i = 0; !err && i < (top_options.rounds ? top_options.rounds : 1); i++) {
		wait_delay();
		err = top_look(t, top_options.view);
		if (!err)
			draw(t);
	}
	if (err)
		return failed(err);
	return fflush(stdout) ? cli_error("standard output: %s", strerror(errno)) : CLI_OK;
}

/* ---- on a terminal ---- */

#ifdef HAVE_CURSES
static void curses_line(int style, const char *text)
{
	static const chtype plain[] = {
		[PLAIN] = A_NORMAL, [HEAD] = A_REVERSE,
		[TITLE] = A_BOLD,   [CHOSEN] = A_REVERSE | A_BOLD,
		[HOT] = A_NORMAL,   [BAR] = A_NORMAL,
	};
	static const short pair[] = {[HOT] = 1, [BAR] = 2, [TITLE] = 3};
	chtype attr = plain[style];

	if (has_colors() && (style == HOT || style == BAR || style == TITLE))
		attr |= COLOR_PAIR(pair[style]);
	attrset(attr);
	mvprintw(screen.row, 0, "%-*.*s", screen.columns, screen.columns, text);
	attrset(A_NORMAL);
}

static void redraw(struct top *t)
{
	static const char list_help[] = "q quit  Enter map  up/down choose  s/S sort  r reverse  "
					"p c u e o v l w n i: by column";
	static const char map_help[] = "q quit  Esc back";

	erase();
	getmaxyx(stdscr, screen.rows, screen.columns);
	screen.rows--; /* the help */
	draw(t);
	attrset(A_DIM);
	mvprintw(screen.rows, 0, "%-.*s", screen.columns - 1,
		 top_options.view ? map_help : list_help);
	attrset(A_NORMAL);
	refresh();
}

/* What a key asks for: 'q' quit, 'l' look anew, 0 draw. */
static int take_key(const struct top *t, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		return 'q';
	case 27: /* Esc */
	case KEY_BACKSPACE:
	case KEY_LEFT:
	case 127:
		top_options.view = 0;
		return 0;
	case ' ':
		return 'l';
	}
	if (top_options.view)
		return 0;
	switch (key) {
	case KEY_UP:
	case 'k':
		if (top_options.chosen)
			top_options.chosen--;
		break;
	case KEY_DOWN:
	case 'j':
		if (top_options.chosen + 1 < t->n)
			top_options.chosen++;
		break;
	case KEY_ENTER:
	case KEY_RIGHT:
	case '\n':
	case '\r':
		top_options.view = t->n ? top_options.chosen_id : 0;
		return 'l';
	case 's':
		top_options.sort = (top_options.sort + 1) % SORTS;
		return 0;
	case 'S':
		top_options.sort = (top_options.sort + SORTS - 1) % SORTS;
		return 0;
	case 'r':
		top_options.reverse = !top_options.reverse;
		return 0;
	default:
		for (int i = 0; i < SORTS; i++)
			if (sort_keys[i].key == key)
				top_options.sort = i;
		return 0;
	}
	top_options.chosen_id = t->n ? t->map[top_options.chosen].info.id : 0;
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int live(struct top *t)
{
	SCREEN *s;
	uint64_t next;
	long rounds = 0;
	int err = 0, what = 0;

	setlocale(LC_CTYPE, "");
	s = newterm(NULL, stdout, stdin);
	if (!s)
		return print_once(t);
	set_escdelay(50);
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	if (has_colors()) {
		start_color();
		use_default_colors();
		init_pair(1, COLOR_GREEN, -1);
		init_pair(2, COLOR_CYAN, -1);
		init_pair(3, COLOR_YELLOW, -1);
	}
	screen.line = curses_line;
	next = now_ms() + (uint64_t)(top_options.delay * 1000);
	while (!err && what != 'q') {
		uint64_t now;
		int key;

		redraw(t);
		now = now_ms();
		timeout(next > now ? (int)(next - now) : 0);
		key = getch();
		what = key == ERR ? 'l' : take_key(t, key);
		if (what == 'l') {
			err = top_look(t, top_options.view);
			next = now_ms() + (uint64_t)(top_options.delay * 1000);
			if (top_options.rounds && ++rounds >= top_options.rounds)
				break;
		}
	}
	endwin();
	delscreen(s);
	return err ? failed(err) : CLI_OK;
}

static bool on_terminal(void)
{
	const char *term = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term &&
	       strcmp(term, "dumb");
}
#else
static int live(struct top *t)
{
	return print_once(t);
}

static bool on_terminal(void)
{
	return false;
}
#endif

static int top_main(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		{"delay", required_argument, NULL, 'd'}, {"rounds", required_argument, NULL, 'n'},
		{"sort", required_argument, NULL, 's'},	 {"once", no_argument, NULL, '1'},
		{"help", no_argument, NULL, 'h'},	 {NULL, 0, NULL, 0},
	};
	struct top t = {0};
	char *end;
	int c, err;

	while ((c = getopt_long(argc, argv, "d:n:s:1h", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			top_options.delay = strtod(optarg, &end);
			if (*end || !(top_options.delay >= 0.05 && top_options.delay <= 3600))
				return cli_usage(verb, "--delay takes 0.05 to 3600 seconds");
			break;
		case 'n':
			top_options.rounds = strtol(optarg, &end, 10);
			if (*end || top_options.rounds < 1)
				return cli_usage(verb, "--rounds takes a number from 1 on");
			break;
		case 's':
			for (top_options.sort = 0; top_options.sort < SORTS; top_options.sort++)
				if (!strcmp(sort_keys[top_options.sort].name, optarg))
					break;
			if (top_options.sort == SORTS)
				return cli_usage(verb,
						 "maps are sorted by ops, changed, count, entries, "
						 "open, evicted, lost, waits, name or id");
			break;
		case '1':
			top_options.once = true;
			break;
		case 'h':
			return cli_help(verb);
		default:
			return cli_usage(verb, NULL);
		}
	}
	if (argc - optind > 1)
		return cli_usage(
			verb, "top takes one map at most: its id, its name, or where it is pinned");
	if (cli_rundir())
		return CLI_FAILED;
	if (optind < argc) {
		top_options.view = find_map(argv[optind]);
		if (!top_options.view)
			return CLI_FAILED;
	}
	err = top_look(&t, top_options.view);
	if (err)
		return failed(err);
	err = top_options.once || !on_terminal() ? print_once(&t) : live(&t);
	top_free(&t);
	return err;
}

const struct verb verb_top = {
	.name = "top",
	.summary = "a live view of the maps",
	.main = top_main,
	.help = "usage: shmap top [OPTIONS] [MAP]\n"
		"\n"
		"Shows the maps of the runtime directory and what happens to them, until q is "
		"pressed; of\n"
		"MAP (an id, a name, or where it is pinned) the hottest keys and a histogram. "
		"Without a\n"
		"terminal, or on a dumb one, it prints that once.\n"
		"\n"
		"  -d, --delay SECONDS  between two looks (1)\n"
		"  -n, --rounds N       end after N looks\n"
		"  -s, --sort COLUMN    ops, changed, count, entries, open, evicted, lost, waits, "
		"name, id\n"
		"  -1, --once           print once, also on a terminal\n"
		"  -h, --help           this text\n"
		"\n"
		"OPS/S counts operations that change the map: updates, deletes, pushes, pops, "
		"records.\n"
		"Lookups leave no trace, nor do stores to an array or through a pointer: '-' is a "
		"type that\n"
		"has nothing else. CHANGED/S is what can be seen of those: elements that are new, "
		"gone or\n"
		"other than at the last look (of the first 4096: '+'); COUNT/S, what numbers have "
		"gone up\n"
		"by. WAITS is of bpf_map_lock().\n"
		"\n"
		"Keys: up and down choose, Enter shows a map, Esc goes back; s and S sort by the "
		"next or\n"
		"previous column, p c u e o v l w n i by one of them, r reverses; space looks at "
		"once; q quits.\n"
		"\n"
		"Examples:\n"
		"  shmap top\n"
		"  shmap top --sort entries --delay 0.5\n"
		"  shmap top --once percpu_counter\n",
};
