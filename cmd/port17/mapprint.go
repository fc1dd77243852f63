package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"safing/netmap"
	"safing/port17/client"
)

// printStatements prints what the authorities' operators say, if they say
// anything.
func printStatements(out io.Writer, v client.MapView) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	said := false
	for _, c := range v.Canaries {
		said = said || c.State != "none"
	}
	if said {
		fmt.Fprintln(t, "\nCANARY\tSTATE\tDATE\tUNTIL")
	}
	for _, c := range v.Canaries {
		if said {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.Authority, c.State, date(c.Date), date(c.Until))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(v.Moderation) > 0 {
		fmt.Fprintln(out, "\nWhat authorities say of nodes:")
	}
	for _, m := range v.Moderation {
		printModeration(out, m)
	}
	if v.Unreadable > 0 {
		fmt.Fprintf(out, "\n%d statements are not signed by an authority of the network's file.\n", v.Unreadable)
	}
	return nil
}

func printModeration(out io.Writer, m client.ModerationView) {
	note := ""
	if !m.Effective {
		note = " (too few authorities say so)"
	}
	fmt.Fprintf(out, "%s  %s %s%s: %s\n            %s\n", date(m.Date), m.Action, nodeText(m.Node, m.Name), note, m.Reason, m.Authority)
	if m.Appeal != "" {
		fmt.Fprintf(out, "            the node answers: %s\n", m.Appeal)
	}
}

func nodeText(id netmap.NodeID, name string) string {
	if name == "" {
		return id.String()
	}
	return name + " " + id.Short()
}

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

// printNodes prints all that is known of each node.
func printNodes(out io.Writer, v client.MapView) error {
	for i, n := range v.Nodes {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := printNode(out, v, n); err != nil {
			return err
		}
	}
	return nil
}

func printNode(out io.Writer, v client.MapView, n client.NodeView) error {
	exit := strings.Join(n.Exit, "\n\t")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"node", n.Name},
		{"id", n.ID.String()},
		{"owner", n.Owner},
		{"owner key", n.OwnerKey.String()},
		{"group", n.Group},
		{"country", n.Country},
		{"AS", asText(n.ASN)},
		{"contact", n.Contact},
		{"version", n.Version},
		{"addresses", strings.Join(append(append([]string{}, n.Addresses...), n.Entrances...), " ")},
		{"flags", strings.Join(n.Flags, " ")},
		{"capacity", speed(n.Measured)},
		{"load", fmt.Sprintf("%d %%", n.Load)},
		{"mixing", fmt.Sprintf("delays up to %s, padding up to %d cells a second", n.MaxDelay, n.MaxPadding)},
		{"keys", keysText(n)},
		{"exit", exit},
	} {
		fmt.Fprintf(t, "%s\t%s\n", row[0], cmp.Or(row[1], "-"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, m := range v.Moderation {
		if m.Node == n.ID {
			printModeration(out, m)
		}
	}
	if len(n.Links) == 0 {
		return nil
	}
	t = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nLINK TO\tID\tROUND TRIP\tCROSSES\tCOUNTRIES\tKNOWN FROM")
	for _, l := range n.Links {
		how, asns := "ends", []string{}
		if l.Traced {
			how = "trace"
		}
		for _, a := range l.ASNs {
			asns = append(asns, fmt.Sprint("AS", a))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.To.Short(), l.RTT.Round(10*time.Microsecond),
			cmp.Or(strings.Join(asns, " "), "-"), cmp.Or(strings.Join(l.Countries, " "), "-"), how)
	}
	return t.Flush()
}

func keysText(n client.NodeView) string {
	if n.KeysUntil.IsZero() {
		return "not known"
	}
	return "until " + n.KeysUntil.UTC().Format(time.RFC3339)
}
