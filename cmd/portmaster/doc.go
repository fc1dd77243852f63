// Command portmaster is the application firewall: it runs the daemon and asks
// a running one.
//
// This package joins the products: it hands a Port17 client to the daemon as
// its tunnel, so that neither knows the other.
package main
