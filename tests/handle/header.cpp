/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap.h in C++, where programs say `using namespace std`. */
#include <map>
#include <string>

#include "shmap.h"

using namespace std;

int main()
{
	map<int, string> m;
	int key = 0;
	struct shmap_handle *h = shmap_handle_open ? shmap_handle_open(-1) : NULL;

	m[1] = "one";
	return m.size() == 1 && (!h || !shmap_find(h, &key)) ? 0 : 1;
}
