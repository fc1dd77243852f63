package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"safing/netmap"
)

const (
	fetchTimeout = time.Minute // of one answer
	maxRefusal   = 512         // bytes of a text that are shown
)

func newHTTP() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		// The network file says whom to ask: nobody on the way sends us elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Fetch gets a signed map from one of the network's authorities or mirrors,
// unverified: the one with the sequence, which they may not keep any more, or
// the newest if that is 0.
func Fetch(ctx context.Context, n *netmap.Network, sequence uint64) (signed []byte, err error) {
	path := "/v1/map"
	if sequence > 0 {
		path = "/v1/maps/" + strconv.FormatUint(sequence, 10)
	}
	client := newHTTP()
	var errs []error
	for _, url := range sources(n) {
		b, err := get(ctx, client, strings.TrimSuffix(url, "/")+path, netmap.MaxMap)
		if err == nil {
			return b, nil
		}
		errs = append(errs, fmt.Errorf("fetch map from %s: %w", url, err))
	}
	return nil, errors.Join(errs...)
}

// sources returns who has maps: the authorities, who have the newest, first.
func sources(n *netmap.Network) (urls []string) {
	for _, a := range n.Authorities {
		urls = append(urls, a.URL)
	}
	return append(urls, n.Mirrors...)
}

// fetchKeys returns the map with the keys that it lacks, as far as they can be
// had.
func fetchKeys(ctx context.Context, n *netmap.Network, m *netmap.Map) (*netmap.Map, error) {
	client := newHTTP()
	shards := m.Shards()
	var wanted []int
	for i := range m.Nodes {
		if s := m.Shard(i); m.Nodes[i].Keys == nil && s < len(shards) && !slices.Contains(wanted, s) {
			wanted = append(wanted, s)
		}
	}
	var missing error
	for _, s := range wanted {
		var errs []error
		for _, url := range sources(n) {
			b, err := get(ctx, client, strings.TrimSuffix(url, "/")+"/v1/keys/"+hex.EncodeToString(shards[s][:]), netmap.MaxShard)
			if err == nil {
				var with *netmap.Map
				if with, err = m.AddKeys(s, b); err == nil {
					m, errs = with, nil
					break
				}
			}
			errs = append(errs, err)
		}
		missing = errors.Join(missing, errors.Join(errs...))
		if ctx.Err() != nil {
			break
		}
	}
	return m, missing
}

// get returns what there is at the URL, up to so many bytes.
func get(ctx context.Context, client *http.Client, url string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
		return nil, fmt.Errorf("%s: %s: %s", url, response.Status, strings.TrimSpace(string(text)))
	}
	b, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s: %w: more than %d bytes", url, netmap.ErrTooLarge, most)
	}
	return b, err
}
