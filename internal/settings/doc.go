// Package settings reads settings files: TOML, in which no setting may be
// misspelt, and whose errors say where in the file they are.
//
// It does not know what the settings mean, nor where files lie. Its functions
// may be called from any goroutine.
package settings
