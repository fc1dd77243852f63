package geo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// maxFile is how large a file may be, in bytes: city databases that people pay
// for have about half.
const maxFile = 256 << 20

// A DB is a list of files that are read into memory, of which the first that
// knows an address tells. One file may know countries and another networks.
type DB struct {
	held atomic.Pointer[[]file] // never changed, only replaced

	mu   sync.Mutex
	seen []os.FileInfo // of each file when it was read last, well or not; nil if it was missing
}

// A file is one that was read.
type file struct {
	source  Source
	content content
}

// content is what a file says of an address; empty and 0 for what it does not
// know.
type content interface {
	locate(a netip.Addr) (country string, asn uint32)
}

// A Source describes a file that a DB reads.
type Source struct {
	Path   string
	Format string    // "MMDB GeoLite2-Country" or the like, "libloc" or "ranges"
	Built  time.Time // when its data was made, as far as it says, or else when it was changed
}

// A Location is what is known of an address.
type Location struct {
	Country  string // ISO 3166-1 alpha-2, or empty
	ASN      uint32 // number of the autonomous system that announces it, or 0
	Registry string // regional registry that it was allocated to, such as "RIPE NCC", or empty

	CountryFrom, ASNFrom string // paths of the files that say so
}

// Place is where the location may be taken to lie: in its country's place, or
// in the middle of the registry's region, which is wrong by thousands of
// kilometres.
func (l Location) Place() (Place, bool) {
	if p, ok := CountryPlace(l.Country); ok {
		return p, true
	}
	return registryPlace(l.Registry)
}

// Open reads files in the formats that the package's comment names. Without
// any, the DB knows registries alone.
func Open(paths ...string) (*DB, error) {
	d := &DB{seen: make([]os.FileInfo, len(paths))}
	files := make([]file, len(paths))
	for i, path := range paths {
		var err error
		if files[i], d.seen[i], err = read(path); err != nil {
			return nil, err
		}
	}
	d.held.Store(&files)
	return d, nil
}

// Country is the ISO 3166-1 alpha-2 code of the address's country, or empty.
func (d *DB) Country(a netip.Addr) string { return d.Locate(a).Country }

// ASN is the number of the autonomous system that announces the address, or
// 0.
func (d *DB) ASN(a netip.Addr) uint32 { return d.Locate(a).ASN }

// Locate tells all that is known of an address.
func (d *DB) Locate(a netip.Addr) Location {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return Location{}
	}
	l := Location{Registry: registry(a)}
	for _, f := range d.files() {
		if l.Country != "" && l.ASN != 0 {
			break
		}
		country, asn := f.content.locate(a)
		if l.Country == "" && country != "" {
			l.Country, l.CountryFrom = country, f.source.Path
		}
		if l.ASN == 0 && asn != 0 {
			l.ASN, l.ASNFrom = asn, f.source.Path
		}
	}
	return l
}

// Sources describes the files, in the order in which they are asked.
func (d *DB) Sources() []Source {
	var all []Source
	for _, f := range d.files() {
		all = append(all, f.source)
	}
	return all
}

func (d *DB) files() []file {
	if d == nil {
		return nil
	}
	return *d.held.Load()
}

// Reload reads the files again that changed since they were read last, and
// returns how many it took. What was known before stays where the new file is
// bad or missing; the error then says why, once for each change.
func (d *DB) Reload() (taken int, err error) {
	if d == nil {
		return 0, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	files := append([]file(nil), d.files()...)
	var errs []error
	for i, old := range files {
		info, err := os.Stat(old.source.Path)
		if err != nil {
			info = nil // read says it better
		}
		if same(info, d.seen[i]) {
			continue
		}
		renewed, info, err := read(old.source.Path)
		d.seen[i] = info
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files[i] = renewed
		taken++
	}
	if taken > 0 {
		d.held.Store(&files)
	}
	return taken, errors.Join(errs...)
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}

// Follow calls Reload at intervals until ctx ends. A nil DB has nothing to
// reload, so that it returns at once.
func (d *DB) Follow(ctx context.Context, every time.Duration, log *slog.Logger) {
	if d == nil || len(d.seen) == 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		taken, err := d.Reload()
		if err != nil {
			log.Warn("a location database could not be read again; what it said before still holds", "error", err)
		}
		if taken > 0 {
			log.Info("location databases were read again", "files", taken)
		}
	}
}

// read reads one file. The information is nil only if there is no file.
func read(path string) (file, os.FileInfo, error) {
	r, err := os.Open(path)
	if err != nil {
		info, _ := os.Stat(path) // one that may not be read may be, later
		return file{}, info, fmt.Errorf("open the location database: %w", err)
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return file{}, nil, fmt.Errorf("open the location database: %w", err)
	}
	f := file{source: Source{Path: path, Built: info.ModTime()}}
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("it is larger than %d MB", maxFile>>20)
	}
	if err == nil {
		err = f.parse(b)
	}
	if err != nil {
		return file{}, info, fmt.Errorf("read the location database %s: %w", path, err)
	}
	return f, info, nil
}

// parse recognises the format.
func (f *file) parse(b []byte) error {
	if isMMDB(b) {
		m, err := newMMDB(b)
		if err != nil {
			return err
		}
		f.content, f.source.Format = m, "MMDB "+m.reader.Metadata.DatabaseType
		if m.reader.Metadata.BuildEpoch > 0 {
			f.source.Built = m.reader.Metadata.BuildTime()
		}
		return nil
	}
	format, parse := "ranges", parseRanges
	if bytes.HasPrefix(b, []byte(liblocMagic)) {
		format, parse = "libloc", parseLibloc
	}
	r, err := parse(b)
	if err != nil && format == "ranges" {
		err = fmt.Errorf("%w (it is neither MMDB nor libloc nor lines such as \"192.0.2.0,192.0.2.255,DE\")", err)
	}
	if err != nil {
		return err
	}
	f.content, f.source.Format = r, format
	if !r.generated.IsZero() {
		f.source.Built = r.generated
	}
	return nil
}
