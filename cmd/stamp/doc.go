// Command stamp keeps labelled domains, shows them on a web site, and gives
// them to network filters as feeds.
//
//	stamp serve                      run the site and the feeds
//	stamp add LABEL DOMAIN...        label domains
//	stamp remove LABEL DOMAIN...     take a label away
//	stamp import LABEL FILE          label all domains of a list
//	stamp list                       print what is labelled
//	stamp feed LABEL                 print a label's feed
//	stamp completion SHELL           print a completion script
//
// All of them work on the store in the folder --state, also while the site
// runs. When the site is up, `stamp serve` prints one line on standard
// output: ready http=ADDRESS. Logs go to standard error.
package main
