#!/bin/sh
# make_jar.sh - compiles Java sources into a jar: make_jar.sh OUTPUT CLASSPATH SOURCE...
set -eu
output=$1 classpath=$2
shift 2
classes=$output.classes
rm -rf "$classes"
mkdir -p "$classes"
javac --release 17 -encoding UTF-8 -Xlint:all,-serial -Werror -cp "$classpath" -d "$classes" "$@"
jar --create --file "$output" -C "$classes" .
rm -rf "$classes"
