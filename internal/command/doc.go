// Package command runs a program's command line: a kong grammar, in the style
// that all programs of this project share.
//
// Main parses the arguments, binds what commands need (a context that ends
// with SIGINT or SIGTERM, and where to print), runs the chosen command and
// turns its error into one line on standard error and an exit code: 0, 1 when
// the command failed, 2 when it was used wrongly. Run does the same for tests.
// Completion is a sub-command that prints a completion script for bash, zsh
// or fish, made from the grammar itself. NewServer and Serve answer HTTP for
// programs that have pages, with the same limits for all of them.
//
// It knows no product.
package command
