// Package sqlite opens SQLite databases the way all of this project does:
// write-ahead log, foreign keys, a wait for locks, and a schema whose version
// the file itself records.
//
// The driver is pure Go. A *sql.DB may be used by any number of goroutines;
// writers of one database wait for each other.
package sqlite
