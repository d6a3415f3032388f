/* SPDX-License-Identifier: BSD-2-Clause */
/* A directory that is not fit is refused in a sentence, and nothing is left in it. */
#include "area.h"

static char top[64];

/* rundir_open() of path in a process of its own: the error; text gets the sentence. */
static int open_result(const char *path, int uid, char *text, size_t size)
{
	int out[2], ret = 0;
	ssize_t n;
	pid_t pid;

	REQUIRE(!pipe(out));
	pid = area_fork();
	if (!pid) {
		if (path)
			setenv("SHMAP_DIR", path, 1);
		else
			unsetenv("SHMAP_DIR");
		if (uid && setresuid(uid, uid, uid))
			_exit(1);
		ret = rundir_open();
		n = write(out[1], &ret, sizeof(ret));
		n = write(out[1], rundir_error(), strlen(rundir_error()) + 1);
		_exit(n <= 0);
	}
	close(out[1]);
	REQUIRE(read(out[0], &ret, sizeof(ret)) == sizeof(ret));
	n = read(out[0], text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	close(out[0]);
	area_join(pid);
	printf("%4d %s\n", ret, text);
	/* A plain sentence that names the directory and says what to do */
	if (ret && strlen(path ? path : "") < 200)
		CHECK(strlen(text) > 20 && text[strlen(text) - 1] != '\n');
	return ret;
}

static char *sub(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	REQUIRE(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static int names_in(const char *path)
{
	struct dirent *e;
	DIR *d = opendir(path);
	int n = 0;

	while (d && (e = readdir(d)))
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	if (d)
		closedir(d);
	return n;
}

int main(void)
{
	char text[8192], longname[5000], *p, disk[] = "/var/tmp/shmap-disk-XXXXXX";

	area_begin();
	strcpy(top, area_dir);

	CHECK_EQ(open_result(sub("good"), 0, text, sizeof(text)), 0);
	CHECK_EQ(open_result(sub("good/"), 0, text, sizeof(text)), 0);

	p = sub("open");
	REQUIRE(!mkdir(p, 0700) && !chmod(p, 0777));
	CHECK_EQ(open_result(p, 0, text, sizeof(text)), -EACCES);
	CHECK(strstr(text, p) && strstr(text, "chmod"));
	CHECK_EQ(names_in(p), 0);

	p = sub("other-layout");
	REQUIRE(!mkdir(p, 0700));
	put(sub("other-layout/layout"), "shmap-layout 2\n");
	CHECK_EQ(open_result(sub("other-layout"), 0, text, sizeof(text)), -EPROTO);
	CHECK(strstr(text, "shmap-layout 2") && strstr(text, "shmap-layout 1"));
	CHECK_EQ(names_in(sub("other-layout")), 1);
	put(sub("other-layout/layout"), "");
	CHECK_EQ(open_result(sub("other-layout"), 0, text, sizeof(text)), -EPROTO);

	p = sub("damaged");
	REQUIRE(!mkdir(p, 0700));
	put(sub("damaged/ids"), "short");
	CHECK_EQ(open_result(sub("damaged"), 0, text, sizeof(text)), -EPROTO);

	put(sub("file"), "x");
	CHECK_EQ(open_result(sub("file"), 0, text, sizeof(text)), -ENOTDIR);
	CHECK_EQ(open_result(sub("none/below"), 0, text, sizeof(text)), -ENOENT);
	memset(longname, 'l', sizeof(longname));
	longname[0] = '/';
	longname[sizeof(longname) - 1] = '\0';
	CHECK_EQ(open_result(longname, 0, text, sizeof(text)), -ENAMETOOLONG);

	/* Not tmpfs: the directory that the attempt made is removed again */
	if (mkdtemp(disk)) {
		char path[64];

		snprintf(path, sizeof(path), "%s/run", disk);
		if (open_result(path, 0, text, sizeof(text))) {
			CHECK(strstr(text, "tmpfs"));
			CHECK_EQ(names_in(disk), 0);
		} else {
			printf("/var/tmp is tmpfs here\n");
		}
		area_remove(disk);
	}

	if (getuid()) {
		printf("other users' directories: not tried, only root can make them\n");
		return check_done();
	}
	/* Another user's, and one that the user may not write to */
	REQUIRE(!chmod(top, 0755));
	p = sub("roots");
	REQUIRE(!mkdir(p, 0755));
	CHECK_EQ(open_result(p, 65534, text, sizeof(text)), -EACCES);
	CHECK(strstr(text, "belongs to user 0") && strstr(text, "SHMAP_DIR"));
	CHECK_EQ(names_in(p), 0);
	CHECK_EQ(open_result(sub("new"), 65534, text, sizeof(text)), -EACCES);
	CHECK(strstr(text, "SHMAP_DIR"));
	p = sub("read-only");
	REQUIRE(!mkdir(p, 0500) && !chown(p, 65534, 65534));
	CHECK_EQ(open_result(p, 65534, text, sizeof(text)), -EACCES);
	CHECK_EQ(names_in(p), 0);
	p = sub("nobodys");
	REQUIRE(!mkdir(p, 0700) && !chown(p, 65534, 65534));
	CHECK_EQ(open_result(p, 0, text, sizeof(text)), -EACCES);
	CHECK_EQ(open_result(p, 65534, text, sizeof(text)), 0);
	return check_done();
}
