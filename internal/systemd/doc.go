// Package systemd tells the system's service manager how a program does, as
// sd_notify(3) describes. Without a service manager, or on other systems, its
// functions do nothing.
//
// They may be called from any goroutine.
package systemd
