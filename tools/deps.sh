#!/bin/bash
# Installs the programs that some tests use. Never fails: a test that misses
# its program is skipped and says so.
set -u

missing=()
want() { # PROGRAM PACKAGE...
	command -v "$1" >/dev/null || missing+=("${@:2}")
}
PATH=$PATH:/usr/sbin:/sbin
want chromium-headless-shell chromium-headless-shell
want clang clang
want llvm-strip llvm
want curl curl
want dig bind9-dnsutils
want iperf3 iperf3
want nft nftables
# What clang includes to make the kernel's objects anew.
[ -e /usr/include/bpf/bpf_helpers.h ] || missing+=(libbpf-dev linux-libc-dev)

[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "some tests will be skipped: they use ${missing[*]}; run make deps as root"
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "some tests will be skipped: install ${missing[*]} with your system's package manager"
	exit 0
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# One that a system does not have must not keep the others away.
apt-get update -qq >"$log" 2>&1
for package in "${missing[@]}"; do
	apt-get install -qq -y --no-install-recommends "$package" >"$log" 2>&1 || {
		tail -n 3 "$log"
		echo "some tests will be skipped: apt-get could not install $package"
	}
done
exit 0
