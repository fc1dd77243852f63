package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"text/tabwriter"
	"time"

	"safing/internal/command"
	"safing/internal/geo"
)

// geoInterval is the time between looks whether location databases changed.
const geoInterval = time.Minute

// geoFiles is the option --geo of clients and nodes.
type geoFiles struct {
	Geo []string `help:"Location database: MMDB, libloc, or lines with ranges of addresses, as in tor-geoipdb. It is read again when it changes. May be repeated, as for countries and networks; the first that knows an address tells. Without any, those that other programs keep on this machine." type:"existingfile" sep:"none" placeholder:"FILE" toml:"geo"`
}

// open reads the databases. One that nobody has asked for is no reason to stop.
func (f geoFiles) open(log *slog.Logger) (*geo.DB, error) {
	if len(f.Geo) > 0 {
		return geo.Open(f.Geo...)
	}
	d, err := geo.Open(geo.Installed()...)
	if err != nil {
		log.Warn("the location databases of this machine are not used; name others with --geo", "error", err)
		return geo.Open()
	}
	return d, nil
}

type geoCommand struct {
	geoFiles
	Addresses []netip.Addr `arg:"" optional:"" name:"address" help:"What to look up. Without any, only the databases are shown."`
	JSON      bool         `help:"Print JSON." name:"json"`
}

// Help says where data comes from.
func (*geoCommand) Help() string {
	return "Prints for each address the country, the network (AS) and the regional registry, and which databases say so; then the databases with their age. docs/geo.md says where to get them and how to keep them new."
}

type geoAnswer struct {
	Address     netip.Addr `json:"address"`
	Country     string     `json:"country,omitempty"`
	ASN         uint32     `json:"asn,omitempty"`
	Registry    string     `json:"registry,omitempty"`
	CountryFrom string     `json:"country_from,omitempty"`
	ASNFrom     string     `json:"asn_from,omitempty"`
}

type geoSource struct {
	Path    string    `json:"path"`
	Format  string    `json:"format"`
	Built   time.Time `json:"built"`
	AgeDays int       `json:"age_days"`
}

// Run looks the addresses up.
func (c *geoCommand) Run(io command.IO) error {
	d, err := c.open(logTo(io, false))
	if err != nil {
		return err
	}
	answers, sources := []geoAnswer{}, []geoSource{}
	for _, a := range c.Addresses {
		l := d.Locate(a)
		answers = append(answers, geoAnswer{a, l.Country, l.ASN, l.Registry, l.CountryFrom, l.ASNFrom})
	}
	for _, s := range d.Sources() {
		age := max(time.Since(s.Built), 0)
		sources = append(sources, geoSource{s.Path, s.Format, s.Built.UTC(), int(age / (24 * time.Hour))})
	}
	if c.JSON {
		e := json.NewEncoder(io.Out)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"addresses": answers, "databases": sources})
	}
	return printGeo(io, answers, sources)
}

// oldData is from when on, in days, a database should be renewed.
const oldData = 180

func printGeo(io command.IO, answers []geoAnswer, sources []geoSource) error {
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	for _, a := range answers {
		country, network, from := "country unknown", "AS unknown", cmp.Or(a.CountryFrom, a.ASNFrom)
		if a.Country != "" {
			country = a.Country + " " + geo.CountryName(a.Country)
		}
		if a.ASN != 0 {
			network = fmt.Sprintf("AS%d", a.ASN)
		}
		if a.ASNFrom != "" && a.ASNFrom != from {
			from += " " + a.ASNFrom
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", a.Address, country, network, a.Registry, from)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(sources) == 0 {
		fmt.Fprintln(io.Err, "no location database: only registries are known; docs/geo.md says how to get one")
	}
	t = tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	for _, s := range sources {
		advice := ""
		if s.AgeDays > oldData {
			advice = ": renew it"
		}
		fmt.Fprintf(t, "%s\t%s\tof %s, %d days old%s\n", s.Path, s.Format, s.Built.Format(time.DateOnly), s.AgeDays, advice)
	}
	return t.Flush()
}
