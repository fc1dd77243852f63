#!/bin/bash
# Fails when a generated file is not what its source makes. It generates into
# a copy, so that the folder that you work in stays as it is.
#
#     generated.sh CLANG_MAJOR
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar -C "$root" --exclude=./.git --exclude=./bin --exclude=./.lab -c . | tar -C "$copy" -x

skip=()
have=$(clang -dumpversion 2>/dev/null || true)
if [ "${have%%.*}" != "$1" ]; then
	echo "left out: the kernel's objects are made with clang $1, here is ${have:-none}"
	skip=(-skip bpf2go)
elif [ ! -e /usr/include/bpf/bpf_helpers.h ]; then
	echo "left out: the kernel's objects need the headers of libbpf-dev"
	skip=(-skip bpf2go)
fi
(cd "$copy" && go generate "${skip[@]}" ./...)

if ! diff -r -q --exclude=.git --exclude=bin --exclude=.lab "$root" "$copy" | sed "s|$copy/|generated |; s|$root/||"; then
	echo "these files are not what their source makes: run make generate"
	exit 1
fi
