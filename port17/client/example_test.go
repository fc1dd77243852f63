package client_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"safing/netmap"
	"safing/port17/client"
	"safing/port17/route"
)

// open opens the network of a file and waits until it can be used.
func open(ctx context.Context, file, state string) (*client.Client, error) {
	network, err := netmap.LoadNetwork(file)
	if err != nil {
		return nil, err
	}
	c, err := client.New(ctx, client.Config{Network: network, State: state})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.Ready(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// A web client whose requests leave the network in Germany or Sweden. The exit
// looks names up.
func ExampleClient_Dial() {
	ctx := context.Background()
	c, err := open(ctx, "network.toml", "state")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	web := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
		r, err := client.ParseRequest(address)
		if err != nil {
			return nil, err
		}
		r.App, r.Level = "web", route.High
		r.ExitCountries = []string{"DE", "SE"}
		return c.Dial(ctx, r)
	}}}
	answer, err := web.Get("https://example.org/")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	fmt.Println(answer.Status)
}

// A question to a name server, through an exit that allows it.
func ExampleClient_ListenPacket() {
	ctx := context.Background()
	c, err := open(ctx, "network.toml", "state")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	to, err := client.ParseRequest("9.9.9.9:53")
	if err != nil {
		log.Fatal(err)
	}
	packets, err := c.ListenPacket(ctx, to)
	if err != nil {
		log.Fatal(err)
	}
	defer packets.Close()
	packets.SetDeadline(time.Now().Add(5 * time.Second))
	question := []byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01")
	if _, err := packets.WriteTo(question, client.HostAddr("9.9.9.9:53")); err != nil {
		log.Fatal(err)
	}
	answer := make([]byte, 1232)
	n, _, err := packets.ReadFrom(answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "bytes")
}
