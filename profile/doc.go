// Package profile reads what an application may do: readable TOML files with
// a default action and ordered rules.
//
//	name = "curl"
//	paths = ["/usr/bin/curl"]
//	default = "tunnel"              # permit, deny or tunnel
//	lists = true                    # false: filter lists do not hold for it
//	rules = [
//	  "deny 127.0.0.66",            # the first rule that matches decides
//	  "deny .tracker.example",
//	  "permit .example.com tcp/443",
//	  "permit lan udp/5353,1900",
//	]
//
// A rule is an action, what it is about and, if wanted, a protocol with ports:
//
//	ACTION WHAT [tcp|udp[/PORT|/LOW-HIGH|/A,B,…]]
//
// WHAT is one of
//
//	example.com      this domain alone (a name without a dot is written "printer.")
//	.example.com     the domain and all below it
//	ads*             domains that begin so
//	*track*          domains that contain it
//	192.0.2.1        an address
//	192.0.2.0/24     a network
//	localhost        this machine
//	lan              private, link-local and multicast addresses
//	internet         all other addresses
//	*                everything
//
// A rule about domains holds for connections to addresses that a DNS answer
// gave for the domain. A deny rule holds, too, when the domain is an alias
// (CNAME) of one that it names; a permit or tunnel rule asks for the name that
// the application used, so that nobody gains a permission with an alias.
//
// A name that a rule refuses is not resolved either, even if an earlier rule
// permits addresses that it may have. The key path is understood as paths.
//
// [Parse] reads one file, [LoadDir] a folder, [ParseRule] a single rule. All
// values are plain data; they may be shared by goroutines as long as nobody
// changes them. The package does not watch files, and does not know lists or
// rules that hold for all applications: package verdict joins these.
package profile
