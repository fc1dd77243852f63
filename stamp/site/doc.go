// Package site is Stamp's web site: a page on which people look through
// labelled domains, and the feeds that network filters load.
//
//	GET /                    the domains; ?q= searches, ?label= and ?page= select
//	GET /feeds/              which feeds there are, and how to use them
//	GET /feeds/LABEL.hosts   a label's domains in the hosts format
//
// [New] makes the handler. Pages are rendered here, need no script, and show
// the store as it is at that moment. A feed is rendered once per change and
// kept, plain and compressed; ETag and Last-Modified spare a client what it
// has already. All of it is read-only, and may be used by any number of
// goroutines.
package site
