package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"safing/netmap"
	"safing/port17/audit"
)

type mapCommand struct {
	Show   mapShow   `cmd:"" default:"withargs" help:"Print which nodes there are, and what authorities say of them."`
	Verify mapVerify `cmd:"" help:"Check a map step by step, and say what was checked or why it is refused."`
	Diff   mapDiff   `cmd:"" help:"Print how a map differs from an older one."`
}

// readMap reads a signed map from its file.
func readMap(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, netmap.MaxMap+1))
	if err != nil {
		return nil, fmt.Errorf("read map %s: %w", path, err)
	}
	return b, nil
}

// checkMap reads a signed map, whenever it was valid: from its file, or from the
// network the one with the number, or the newest if there is neither.
func checkMap(ctx context.Context, n *netmap.Network, path string, at time.Time) (r *audit.Report, signed []byte, err error) {
	sequence, numberErr := strconv.ParseUint(path, 10, 63)
	if numberErr == nil && sequence == 0 {
		return nil, nil, errors.New("map 0: maps are numbered from 1")
	}
	_, missing := os.Stat(path)
	if path == "" || numberErr == nil && missing != nil {
		signed, err = audit.Fetch(ctx, n, sequence)
	} else {
		signed, err = readMap(path)
	}
	if err != nil {
		return nil, nil, err
	}
	r = audit.Check(n, signed, at)
	if sequence > 0 && missing != nil && r.Err == nil && r.Header.Sequence != sequence {
		return nil, nil, fmt.Errorf("map %d was asked for, and map %d came", sequence, r.Header.Sequence)
	}
	return r, signed, nil
}

// usable returns the map of a report for people to look at. One that is out of
// date is, and one that is not believed is not.
func usable(r *audit.Report, path string) (*netmap.Map, error) {
	switch {
	case r.Err == nil, errors.Is(r.Err, netmap.ErrExpired), errors.Is(r.Err, netmap.ErrNotYet):
		return r.Map, nil
	case path != "":
		return nil, fmt.Errorf("map %s: %w", path, r.Err)
	}
	return nil, r.Err
}
