// What is to happen with a connection: looked up, never waited for.

#ifndef POLICY_H
#define POLICY_H

#include "task.h"

// An attempt is a connection that is being judged.
struct attempt {
	struct endpoint to;
	struct identity who;
	__u64 cookie;
	__u32 app;
	__u32 rule;
	__u8 action;
	__u8 dns;
};

static __always_inline const struct settings *settings(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&guard_settings, &zero);
}


static __always_inline bool same_side(const struct endpoint *a, const struct endpoint *b)
{
	const __u32 *x = (const __u32 *)a->addr, *y = (const __u32 *)b->addr;

	return a->family == b->family && a->port == b->port && x[0] == y[0] && x[1] == y[1] &&
	       x[2] == y[2] && x[3] == y[3];
}

static __always_inline bool is_resolver(const struct settings *s, const struct endpoint *e)
{
	return same_side(e, &s->resolver4) || same_side(e, &s->resolver6);
}

static __always_inline bool is_gateway(const struct settings *s, const struct endpoint *e)
{
	return same_side(e, &s->gateway4) || same_side(e, &s->gateway6);
}

// The system takes the unspecified address for the own host, so it is judged
// as that.
static __always_inline void name_loopback(struct endpoint *e)
{
	const __u32 *word = (const __u32 *)e->addr;

	if (word[0] | word[1] | word[2] | word[3])
		return;
	if (e->family == FAMILY_4) {
		e->addr[0] = 127;
		e->addr[3] = 1;
	} else {
		e->addr[15] = 1;
	}
}

static __always_inline void apply(struct attempt *a, const struct cases *cases)
{
	a->action = ACTION_DENY;
	for (int i = 0; i < MAX_CASES; i++) {
		if (i >= cases->count)
			return;
		const struct port_case *c = &cases->list[i];
		if (c->protocol && c->protocol != a->to.protocol)
			continue;
		if (a->to.port < c->low || a->to.port > c->high)
			continue;
		a->action = c->action;
		a->rule = c->rule;
		return;
	}
}

// look_up finds the verdict of the profile: the flow of this very address
// first, then the longest prefix. What nothing covers is denied.
static __always_inline void look_up(struct attempt *a)
{
	struct exe exe = current_exe();
	struct endpoint to = a->to;

	__u32 *app = bpf_map_lookup_elem(&guard_apps, &exe);
	a->app = app ? *app : 0;
	a->action = ACTION_DENY;
	void *policy = bpf_map_lookup_elem(&guard_policies, &a->app);
	if (!policy)
		return;
	name_loopback(&to);
	struct flow flow = { .app = a->app, .family = to.family };
	__builtin_memcpy(flow.addr, to.addr, sizeof(flow.addr));
	struct cases *cases = bpf_map_lookup_elem(&guard_flows, &flow);
	if (!cases) {
		struct prefix key = { .length = to.family == FAMILY_4 ? 8 + 32 : 8 + 128, .family = to.family };
		__builtin_memcpy(key.addr, to.addr, sizeof(key.addr));
		cases = bpf_map_lookup_elem(policy, &key);
	}
	if (cases)
		apply(a, cases);
}

// judge fills in action, rule and app. Questions for names are not judged
// here; the gateway is reached through it, never by asking for it.
static __always_inline void judge(const struct settings *s, struct attempt *a)
{
	a->dns = a->to.port == PORT_DNS || is_resolver(s, &a->to);
	look_up(a);
	if (a->dns) {
		a->action = ACTION_PERMIT;
		a->rule = 0;
		return;
	}
	if (is_gateway(s, &a->to)) {
		a->action = ACTION_DENY;
		a->rule = 0;
	}
	if (a->action == ACTION_TUNNEL && a->to.protocol != PROTOCOL_TCP)
		a->action = ACTION_DENY;
}

__noinline int report(struct attempt *a)
{
	__u32 zero = 0;

	if (!a)
		return 0;
	note_process(&a->who);
	struct event *e = bpf_ringbuf_reserve(&guard_events, sizeof(*e), 0);
	if (!e) {
		__u64 *lost = bpf_map_lookup_elem(&guard_lost, &zero);
		if (lost)
			__sync_fetch_and_add(lost, 1);
		return 0;
	}
	e->time = bpf_ktime_get_boot_ns();
	e->cookie = a->cookie;
	e->who = a->who;
	e->to = a->to;
	e->app = a->app;
	e->rule = a->rule;
	e->action = a->action;
	e->dns = a->dns;
	e->zero[0] = e->zero[1] = 0;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

// first_sight says whether this verdict of an unconnected socket is news: it
// is judged with each datagram, and reported once.
static __always_inline bool first_sight(const struct attempt *a)
{
	struct sighting key = { .cookie = a->cookie, .to = a->to };
	__u64 verdict = (__u64)a->action << 32 | a->rule;

	__u64 *last = bpf_map_lookup_elem(&guard_sightings, &key);
	if (last && *last == verdict)
		return false;
	bpf_map_update_elem(&guard_sightings, &key, &verdict, BPF_ANY);
	return true;
}

#endif
