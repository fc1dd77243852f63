package command

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Listen listens on a TCP address and explains the errors that people run into.
// The flag is the option with which the address was given, such as --listen.
func Listen(address, flag string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program already listens on %s: stop it, or choose another port with %s", address, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("listening on %s takes more rights: choose a port above 1023 with %s", address, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine does not have the address of %s: choose another with %s", address, flag)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w; an address looks like 127.0.0.1:8118", address, err)
	}
	return listener, nil
}
