// Package labels keeps which domains carry which labels, why, and since when,
// in a SQLite database.
//
// [Open] opens the store; a new one gets a small starter set below the
// reserved top-level domain .test, so that a fresh site shows what it is for
// without judging anybody. Domains go in as people write them and come out in
// one form: lower case, A-labels, no final dot (see [ParseDomain]). A label
// on a domain means its subdomains too. [Store.Feed] gives a label's domains
// to programs, [Store.Find] gives them to people, page by page.
//
// Several programs may use one store at the same time, and each may use a
// [Store] from any number of goroutines; changes show at once. The package
// does not decide who may label what: whoever can write the store can.
package labels
