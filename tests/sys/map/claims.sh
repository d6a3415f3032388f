#!/bin/sh
# The names in the table of claims of a test program: the tests that it holds.
sed -n 's/^\t{"\([a-z0-9-]*\)",.*/\1/p' "$(dirname "$0")/$1"
