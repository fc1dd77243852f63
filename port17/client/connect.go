package client

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"

	"safing/netmap"
	"safing/port17/route"
)

// readConnect reads an HTTP CONNECT request.
func readConnect(r *bufio.Reader, w net.Conn) (*proxyRequest, error) {
	answer := func(status int, text string) {
		fmt.Fprintf(w, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nAllow: CONNECT\r\nConnection: close\r\n\r\n%s\n",
			status, http.StatusText(status), len(text)+1, text)
	}
	request, err := http.ReadRequest(r)
	if err != nil {
		answer(http.StatusBadRequest, "This is a proxy for SOCKS5 and HTTP CONNECT, and the request is neither.")
		return nil, err
	}
	if request.Method != http.MethodConnect {
		answer(http.StatusMethodNotAllowed, "Requests go through this proxy by SOCKS5 or HTTP CONNECT only: "+
			"set it as the SOCKS5 proxy (with curl: --proxy socks5h://ADDRESS), which also carries plain HTTP.")
		return nil, fmt.Errorf("http: method %s", request.Method)
	}
	to, err := ParseRequest(request.Host)
	if err == nil {
		_, err = to.target()
	}
	if err != nil {
		answer(http.StatusBadRequest, "CONNECT needs a host and a port.")
		return nil, err
	}
	// As with SOCKS, credentials separate and guard nothing.
	to.Isolation = request.Header.Get("Proxy-Authorization")
	return &proxyRequest{
		Request: to,
		accept: func() error {
			_, err := fmt.Fprint(w, "HTTP/1.1 200 Connection established\r\n\r\n")
			return err
		},
		refuse: func(err error) { answer(statusOf(err), err.Error()) },
	}, nil
}

// statusOf returns the status that says best what has failed.
func statusOf(err error) int {
	switch {
	case errors.Is(err, route.ErrNoExit):
		return http.StatusForbidden
	case errors.Is(err, route.ErrNoRoute), errors.Is(err, ErrNoMap), errors.Is(err, netmap.ErrExpired):
		return http.StatusServiceUnavailable
	case timedOut(err):
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// ParseRequest reads a destination, as host:port. The host is a name or an
// address.
func ParseRequest(text string) (Request, error) {
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return Request{}, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return Request{}, fmt.Errorf("http: port %q", portText)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return Request{Addr: netip.AddrPortFrom(a, uint16(port))}, nil
	}
	return Request{Host: host, Addr: netip.AddrPortFrom(netip.Addr{}, uint16(port))}, nil
}
