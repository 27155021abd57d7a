#!/bin/sh
# node-headers.sh FOLDER - prints the folder that holds node_api.h.
#
# An installation of Node.js that brings its headers is used as it is. Debian's nodejs does not, so
# the npm package node-api-headers, which has N-API's alone, is fetched into FOLDER, once.
set -eu

folder=${1:?"usage: node-headers.sh FOLDER"}
version=1.1.0

node=$(command -v node || command -v nodejs || true)
if [ -n "$node" ]; then
	installed=$(dirname "$(dirname "$(readlink -f "$node")")")/include/node
	if [ -f "$installed/node_api.h" ]; then
		echo "$installed"
		exit 0
	fi
fi

fetched=$folder/node_modules/node-api-headers/include
if [ ! -f "$fetched/node_api.h" ]; then
	mkdir -p "$folder"
	npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix "$folder" \
		"node-api-headers@$version" >&2 || {
		echo "node-headers.sh: npm could not fetch node-api-headers $version into $folder;" \
			"without a network, install Node.js with its headers (Debian: libnode-dev)." >&2
		exit 1
	}
fi
echo "$fetched"
