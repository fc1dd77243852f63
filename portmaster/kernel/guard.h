// The data that the programs of guard.c share with each other and, through
// the generated types, with the Go side. Structures have no implicit padding.

#ifndef GUARD_H
#define GUARD_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

enum { ACTION_PERMIT = 1, ACTION_DENY = 2, ACTION_TUNNEL = 3 };
enum { FAMILY_4 = 4, FAMILY_6 = 6 };
enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_MPTCP = 262 };
enum { SOCKET_STREAM = 1, SOCKET_DATAGRAM = 2 };
enum { PORT_DNS = 53 };
enum { MAX_CASES = 8, PATH_SIZE = 1024, NAME_SIZE = 256, ARGS_SIZE = 1024 };

// An endpoint is one side of a connection. An IPv4 address is in the first
// four bytes, the rest is zero. The port is in host order.
struct endpoint {
	__u8 addr[16];
	__u16 port;
	__u8 family;
	__u8 protocol;
};

// An identity names one program image of one process: a process identifier
// alone is used again, and execve changes what it stands for.
struct identity {
	__u64 started; // of the thread group's leader, nanoseconds since boot
	__u32 tgid;
	__u32 execs;
};

// An exe is an executable file. The device is in the kernel's encoding.
struct exe {
	__u64 ino;
	__u32 dev;
	__u32 zero;
};

// A process is what is noted of an identity at its first connection. Path
// holds the names of the path from the file up, each ended by NUL.
struct process {
	struct exe exe;
	__u64 cgroup;
	__u32 ppid;
	__u32 uid;
	__u32 ready;
	__u32 path_cut;
	__u32 path_len;
	__u32 args_len;
	char comm[16];
	char path[PATH_SIZE];
	char args[ARGS_SIZE];
};

struct port_case {
	__u8 protocol;
	__u8 action;
	__u16 low;
	__u16 high;
	__u16 zero;
	__u32 rule;
};

struct cases {
	__u32 count;
	struct port_case list[MAX_CASES];
};

// A prefix is the key of a policy. Its length counts the family's eight bits.
struct prefix {
	__u32 length;
	__u8 family;
	__u8 addr[16];
} __attribute__((packed));

struct flow {
	__u32 app;
	__u32 family;
	__u8 addr[16];
};

// A redirect is a connection that was rewritten, and what it asked for.
struct redirect {
	struct identity who;
	__u64 cookie;
	__u64 netns;
	struct endpoint to;
	__u32 app;
	__u32 rule;
	__u32 valid;
};

// A rewritten is kept with a socket.
struct rewritten {
	struct redirect connected; // by connect, shown by getpeername
	struct redirect sent;      // by the last rewritten sendmsg
	__u32 latest_sent;         // which of the two is younger
	__u32 recorded;            // its source address is in origins
};

// An origin is the key under which the gateway and the resolver find a
// redirect: a client's source address in its network namespace.
struct origin {
	__u64 netns;
	struct endpoint from;
	__u32 zero;
};

struct event {
	__u64 time; // nanoseconds since boot
	__u64 cookie;
	struct identity who;
	struct endpoint to;
	__u32 app;
	__u32 rule;
	__u8 action;
	__u8 dns;
	__u8 zero[2];
};

struct settings {
	struct endpoint resolver4;
	struct endpoint resolver6;
	struct endpoint gateway4;
	struct endpoint gateway6;
	struct identity owner;
};

// A sighting is one destination of an unconnected socket.
struct sighting {
	__u64 cookie;
	struct endpoint to;
	__u32 zero;
};

// These are in no map's definition; the Go side needs their layout too.
const struct prefix *layout_prefix __attribute__((unused));
const struct event *layout_event __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} guard_settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct exe);
	__type(value, __u32);
} guard_apps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);
		__uint(max_entries, 1);
		__uint(map_flags, BPF_F_NO_PREALLOC);
		__uint(key_size, sizeof(struct prefix));
		__uint(value_size, sizeof(struct cases));
	});
} guard_policies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct flow);
	__type(value, struct cases);
} guard_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct identity);
	__type(value, struct process);
} guard_processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct rewritten);
} guard_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct origin);
	__type(value, struct redirect);
} guard_origins SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct sighting);
	__type(value, __u64);
} guard_sightings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} guard_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} guard_lost SEC(".maps");

#endif
