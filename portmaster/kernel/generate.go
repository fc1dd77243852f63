package kernel

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang -strip llvm-strip -target bpfel -tags linux -type exe -type identity -type process -type prefix -type cases -type flow -type redirect -type origin -type event -type settings -type endpoint guard guard.c -- -O2 -g -fno-strict-aliasing -Wall -Werror -I/usr/include/x86_64-linux-gnu
