//go:build ignore

// Programs on a cgroup's sockets. connect and sendmsg judge; recvmsg and
// getpeername hide what they rewrote; egress notes the source address of what
// was rewritten, which exists only then.

#include "policy.h"

char _license[] SEC("license") = "Dual MIT/GPL";

enum { REFUSED = 0, ALLOWED = 1 };
enum { KEEP, REFUSE, REWRITE };

static __always_inline __u8 protocol_of(struct bpf_sock_addr *ctx)
{
	return ctx->protocol > 255 ? 0 : ctx->protocol;
}

static __always_inline struct endpoint asked4(struct bpf_sock_addr *ctx)
{
	struct endpoint e = { .family = FAMILY_4, .protocol = protocol_of(ctx) };
	*(__u32 *)e.addr = ctx->user_ip4;
	e.port = bpf_ntohs((__u16)ctx->user_port);
	return e;
}

static __always_inline struct endpoint asked6(struct bpf_sock_addr *ctx)
{
	struct endpoint e = { .family = FAMILY_6, .protocol = protocol_of(ctx) };
	__u32 *word = (__u32 *)e.addr;
	word[0] = ctx->user_ip6[0];
	word[1] = ctx->user_ip6[1];
	word[2] = ctx->user_ip6[2];
	word[3] = ctx->user_ip6[3];
	e.port = bpf_ntohs((__u16)ctx->user_port);
	if (word[0] == 0 && word[1] == 0 && word[2] == bpf_htonl(0xffff)) {
		e.family = FAMILY_4;
		word[0] = word[3];
		word[2] = word[3] = 0;
	}
	return e;
}

static __always_inline void put4(struct bpf_sock_addr *ctx, const struct endpoint *e)
{
	ctx->user_ip4 = *(const __u32 *)e->addr;
	ctx->user_port = bpf_htons(e->port);
}

static __always_inline void put6(struct bpf_sock_addr *ctx, const struct endpoint *e)
{
	const __u32 *word = (const __u32 *)e->addr;
	bool mapped = e->family == FAMILY_4;

	ctx->user_ip6[0] = mapped ? 0 : word[0];
	ctx->user_ip6[1] = mapped ? 0 : word[1];
	ctx->user_ip6[2] = mapped ? bpf_htonl(0xffff) : word[2];
	ctx->user_ip6[3] = mapped ? word[0] : word[3];
	ctx->user_port = bpf_htons(e->port);
}

// remember keeps with the socket what it asked for.
static __always_inline bool remember(struct bpf_sock_addr *ctx, const struct attempt *a, bool sent)
{
	struct rewritten *kept = bpf_sk_storage_get(&guard_sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!kept)
		return false;
	struct redirect *r = sent ? &kept->sent : &kept->connected;
	r->who = a->who;
	r->cookie = a->cookie;
	r->netns = bpf_get_netns_cookie(ctx);
	r->to = a->to;
	r->app = a->app;
	r->rule = a->rule;
	r->valid = 1;
	kept->latest_sent = sent;
	kept->recorded = 0;
	return true;
}

// forget is for a socket that connects anew without being rewritten.
static __always_inline void forget(struct bpf_sock_addr *ctx)
{
	bpf_sk_storage_delete(&guard_sockets, ctx->sk);
}

// is_again says whether a sendmsg is that of a connected socket which connect
// has rewritten. Those of an IPv6 socket to an IPv4 address get here too.
static __always_inline bool is_again(struct bpf_sock_addr *ctx, const struct settings *s, const struct endpoint *to)
{
	struct rewritten *kept = bpf_sk_storage_get(&guard_sockets, ctx->sk, 0, 0);

	if (!kept || !kept->connected.valid || !is_resolver(s, to))
		return false;
	kept->latest_sent = 0;
	return true;
}

// decide judges one connect or one unconnected sendmsg, and puts the new
// destination in *to if there is one.
static __always_inline int decide(struct bpf_sock_addr *ctx, struct endpoint *to, bool sent)
{
	struct attempt a = { .to = *to, .who = current_identity(), .cookie = bpf_get_socket_cookie(ctx) };
	const struct settings *s = settings();
	const struct endpoint *instead;

	if (!s)
		return REFUSE;
	if (same(&a.who, &s->owner)) {
		if (!sent)
			forget(ctx);
		return KEEP;
	}
	if (sent && is_again(ctx, s, to))
		return KEEP;
	judge(s, &a);
	bool rewrite = a.dns || a.action == ACTION_TUNNEL;
	if (a.dns)
		instead = to->family == FAMILY_4 ? &s->resolver4 : &s->resolver6;
	else
		instead = to->family == FAMILY_4 ? &s->gateway4 : &s->gateway6;
	if (rewrite && (!instead->family || !remember(ctx, &a, sent)))
		a.action = ACTION_DENY;
	// An IPv6 socket's datagrams to IPv4 are judged even after its connect.
	bool news = to->protocol == PROTOCOL_TCP || first_sight(&a) || !sent;
	if (news)
		report(&a);
	else if (rewrite)
		note_process(&a.who);
	if (a.action == ACTION_DENY)
		return REFUSE;
	if (!rewrite) {
		if (!sent)
			forget(ctx);
		return KEEP;
	}
	__u8 protocol = to->protocol;
	*to = *instead;
	to->protocol = protocol;
	return REWRITE;
}

static __always_inline int outgoing4(struct bpf_sock_addr *ctx, bool sent)
{
	struct endpoint to = asked4(ctx);
	int verdict = decide(ctx, &to, sent);

	if (verdict == REWRITE)
		put4(ctx, &to);
	return verdict == REFUSE ? REFUSED : ALLOWED;
}

static __always_inline int outgoing6(struct bpf_sock_addr *ctx, bool sent)
{
	struct endpoint to = asked6(ctx);
	int verdict = decide(ctx, &to, sent);

	if (verdict == REWRITE)
		put6(ctx, &to);
	return verdict == REFUSE ? REFUSED : ALLOWED;
}

SEC("cgroup/connect4")
int guard_connect4(struct bpf_sock_addr *ctx) { return outgoing4(ctx, false); }

SEC("cgroup/connect6")
int guard_connect6(struct bpf_sock_addr *ctx) { return outgoing6(ctx, false); }

SEC("cgroup/sendmsg4")
int guard_sendmsg4(struct bpf_sock_addr *ctx) { return outgoing4(ctx, true); }

SEC("cgroup/sendmsg6")
int guard_sendmsg6(struct bpf_sock_addr *ctx) { return outgoing6(ctx, true); }

static __always_inline struct rewritten *kept_with(struct bpf_sock_addr *ctx)
{
	return bpf_sk_storage_get(&guard_sockets, ctx->sk, 0, 0);
}

// answerer is the server that was asked, if e is our resolver in its place.
static __always_inline const struct endpoint *answerer(struct bpf_sock_addr *ctx, const struct endpoint *e)
{
	const struct settings *s = settings();
	struct rewritten *kept = kept_with(ctx);

	if (!s || !kept || !is_resolver(s, e))
		return 0;
	struct redirect *r = kept->latest_sent ? &kept->sent : &kept->connected;
	return r->valid && r->to.family == e->family ? &r->to : 0;
}

SEC("cgroup/recvmsg4")
int guard_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct endpoint from = asked4(ctx);
	const struct endpoint *real = answerer(ctx, &from);

	if (real)
		put4(ctx, real);
	return ALLOWED;
}

SEC("cgroup/recvmsg6")
int guard_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct endpoint from = asked6(ctx);
	const struct endpoint *real = answerer(ctx, &from);

	if (real)
		put6(ctx, real);
	return ALLOWED;
}

SEC("cgroup/getpeername4")
int guard_getpeername4(struct bpf_sock_addr *ctx)
{
	struct rewritten *kept = kept_with(ctx);

	if (kept && kept->connected.valid)
		put4(ctx, &kept->connected.to);
	return ALLOWED;
}

SEC("cgroup/getpeername6")
int guard_getpeername6(struct bpf_sock_addr *ctx)
{
	struct rewritten *kept = kept_with(ctx);

	if (kept && kept->connected.valid)
		put6(ctx, &kept->connected.to);
	return ALLOWED;
}

static __always_inline bool source_of(struct __sk_buff *skb, struct endpoint *e)
{
	__u8 version, length = 40;
	__u16 port, fragment = 0;

	if (bpf_skb_load_bytes(skb, 0, &version, 1))
		return false;
	if (version >> 4 == 4) {
		e->family = FAMILY_4;
		length = (version & 15) * 4;
		if (bpf_skb_load_bytes(skb, 6, &fragment, 2) || bpf_skb_load_bytes(skb, 9, &e->protocol, 1) ||
		    bpf_skb_load_bytes(skb, 12, e->addr, 4))
			return false;
	} else {
		e->family = FAMILY_6;
		if (bpf_skb_load_bytes(skb, 6, &e->protocol, 1) || bpf_skb_load_bytes(skb, 8, e->addr, 16))
			return false;
	}
	if (fragment & bpf_htons(0x1fff) || bpf_skb_load_bytes(skb, length, &port, 2))
		return false;
	e->port = bpf_ntohs(port);
	return true;
}

SEC("cgroup_skb/egress")
int guard_egress(struct __sk_buff *skb)
{
	struct origin key = {};
	struct bpf_sock *sk = skb->sk;

	if (!sk || !(sk = bpf_sk_fullsock(sk)))
		return ALLOWED;
	struct rewritten *kept = bpf_sk_storage_get(&guard_sockets, sk, 0, 0);
	if (!kept || kept->recorded || !source_of(skb, &key.from))
		return ALLOWED;
	struct redirect *r = kept->latest_sent ? &kept->sent : &kept->connected;
	if (!r->valid || key.from.protocol != r->to.protocol)
		return ALLOWED;
	key.netns = r->netns;
	bpf_map_update_elem(&guard_origins, &key, r, BPF_ANY);
	// A stream is asked for once, when it is accepted; datagrams any time.
	if (key.from.protocol == PROTOCOL_TCP)
		kept->recorded = 1;
	return ALLOWED;
}

// guard_socket permits only sockets that the other programs see. Programs
// answer the absence of MPTCP with TCP.
SEC("cgroup/sock_create")
int guard_socket(struct bpf_sock *ctx)
{
	const struct settings *s = settings();
	struct identity who = current_identity();

	if (s && same(&who, &s->owner))
		return ALLOWED;
	if (ctx->type == SOCKET_STREAM && ctx->protocol == PROTOCOL_TCP)
		return ALLOWED;
	if (ctx->type == SOCKET_DATAGRAM && ctx->protocol == PROTOCOL_UDP)
		return ALLOWED;
	if (ctx->protocol == PROTOCOL_MPTCP)
		bpf_set_retval(-93); // EPROTONOSUPPORT
	return REFUSED;
}

// claim makes the process that runs it the owner, whom nothing is refused.
SEC("syscall")
int guard_claim(void *ctx)
{
	__u32 zero = 0;
	struct settings *s = bpf_map_lookup_elem(&guard_settings, &zero);

	if (!s)
		return 1;
	s->owner = current_identity();
	return 0;
}
