package history

import (
	"net/netip"
	"slices"
	"time"
)

// The kinds of entries.
const (
	KindConnect = "connect" // a connection, or datagrams to one destination
	KindDNS     = "dns"     // a question to the resolver that was refused
)

// A Connection is one entry: what an application tried and what came of it.
// Its JSON form is what the API, the page and the command line show.
type Connection struct {
	ID          uint64      `json:"id" doc:"Number of the entry, ascending."`
	Kind        string      `json:"kind" enum:"connect,dns" doc:"What was tried: a connection, or a name to be resolved (listed only when refused)."`
	Started     time.Time   `json:"started"`
	Ended       *time.Time  `json:"ended" doc:"Null while the connection is open."`
	App         App         `json:"app"`
	Process     Process     `json:"process"`
	Protocol    string      `json:"protocol" doc:"tcp, udp, or the number of an IP protocol."`
	Destination Destination `json:"destination"`
	Verdict     string      `json:"verdict" enum:"permit,deny,tunnel"`
	Reason      string      `json:"reason" doc:"Why, in words."`
	Rule        string      `json:"rule" doc:"The rule or list entry that decided, as written."`
	Route       []Hop       `json:"route" doc:"The nodes that a tunnelled connection passes, in order."`
	Sent        uint64      `json:"sent" doc:"Bytes from the application."`
	Received    uint64      `json:"received" doc:"Bytes to the application."`
	TLS         string      `json:"tls" enum:",plaintext,tls" doc:"How a tunnelled connection began; empty when that is not known."`
	ServerName  string      `json:"server_name" doc:"The server that the application's TLS hello names."`
	Error       string      `json:"error" doc:"What went wrong, empty when nothing did."`
}

// An App is the application that a profile describes.
type App struct {
	ID   string `json:"id" doc:"The profile's ID; empty for an application without a profile."`
	Name string `json:"name"`
}

// A Process is what opened the connection.
type Process struct {
	PID    int      `json:"pid"`
	Path   string   `json:"path" doc:"The executable."`
	Args   []string `json:"args"`
	Cgroup string   `json:"cgroup"`
	UID    uint32   `json:"uid"`
}

// A Destination is what the application asked for.
type Destination struct {
	Address netip.Addr `json:"address" doc:"Empty for a name that was not resolved."`
	Port    uint16     `json:"port"`
	Domain  string     `json:"domain" doc:"The name whose answer held the address, if one did."`
	Country string     `json:"country" doc:"ISO 3166 code, empty when not known."`
}

// A Hop is one node of a route.
type Hop struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Owner   string `json:"owner"`
	Country string `json:"country"`
}

// normal returns c in the form in which it is handed out: lists are never nil
// and belong to c alone.
func (c Connection) normal() Connection {
	c.Route = append(make([]Hop, 0, len(c.Route)), c.Route...)
	c.Process.Args = append(make([]string, 0, len(c.Process.Args)), c.Process.Args...)
	return c
}

// A Filter selects connections. The zero value selects all.
type Filter struct {
	App     string // the profile's ID, or its name, or the executable's path
	Verdict string
	Limit   int // how many of the newest; 0 for all
}

func (f Filter) matches(c *Connection) bool {
	return (f.Verdict == "" || f.Verdict == c.Verdict) &&
		(f.App == "" || f.App == c.App.ID || f.App == c.App.Name || f.App == c.Process.Path)
}

// newest keeps the last f.Limit connections of a list in ascending order.
func (f Filter) newest(all []Connection) []Connection {
	if f.Limit > 0 && len(all) > f.Limit {
		all = slices.Delete(all, 0, len(all)-f.Limit)
	}
	return all
}
