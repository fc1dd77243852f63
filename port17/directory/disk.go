package directory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"safing/netmap"
)

// The files in Config.State.
const (
	mapFile  = "map"       // the newest signed map
	seenFile = "maps-seen" // the heads of the last ones
	// Of two maps of one number, the heads are kept in maps-split-NUMBER-1 and -2.
	splitFile = "maps-split-"

	maxSplits = 8 // of which the heads are kept
)

// load takes what is on disk. A map that is not valid any more is good for
// finding newer ones.
func (c *Client) load() {
	if b, err := os.ReadFile(c.path(seenFile)); err == nil {
		if c.seen, err = decodeSeen(b); err != nil {
			c.config.Log.Warn("which maps were seen can't be read: an old one would be taken for new", "error", err)
		}
	}
	signed, err := readFile(c.path(mapFile), netmap.MaxMap)
	if errors.Is(err, fs.ErrNotExist) {
		return // the first start
	}
	if err == nil {
		err = c.loadMap(signed)
	}
	if err != nil {
		c.config.Log.Info("the map on disk is not used", "error", err)
	}
}

func (c *Client) loadMap(signed []byte) error {
	m, head, err := c.verify(signed)
	if err != nil {
		return err
	}
	if err := c.seen.check(m.Sequence, head); err != nil {
		return err
	}
	c.seen.add(m.Sequence, head)
	c.held = &held{Map: c.loadKeys(m), signed: signed}
	c.shareLocked()
	return nil
}

// saveLocked keeps the map on disk. What was seen comes first: a map must not be
// followed by an older one after a restart.
func (c *Client) saveLocked() error {
	if c.config.State == "" {
		return nil
	}
	if err := os.MkdirAll(c.config.State, 0o700); err != nil {
		return err
	}
	if err := c.writeSeen(); err != nil {
		return err
	}
	return c.write(mapFile, c.held.signed)
}

// keepEvidenceLocked keeps the heads of two maps of one number, for others to
// see, and says where.
func (c *Client) keepEvidenceLocked(sequence uint64, head []byte, split error) error {
	if c.config.State == "" {
		return split
	}
	name := splitFile + strconv.FormatUint(sequence, 10)
	kept, err := filepath.Glob(c.path(splitFile + "*-1"))
	if err == nil && len(kept) < maxSplits && !slices.Contains(kept, c.path(name+"-1")) {
		err = errors.Join(os.MkdirAll(c.config.State, 0o700), c.write(name+"-1", c.seen.head(sequence)), c.write(name+"-2", head))
	}
	if err != nil {
		return fmt.Errorf("%w; what proves it could not be kept: %w", split, err)
	}
	return fmt.Errorf("%w; what proves it is in %s-1 and -2", split, c.path(name))
}

func (c *Client) path(name string) string { return filepath.Join(c.config.State, name) }

// write replaces a file, atomically.
func (c *Client) write(name string, b []byte) error {
	temp := c.path(name + ".new")
	if err := os.WriteFile(temp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, c.path(name))
}

// writeSeen replaces the list of what was seen. It is on disk before it takes the
// old one's place: after a power cut an empty one would let in old maps.
func (c *Client) writeSeen() error {
	temp := c.path(seenFile + ".new")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(c.seen.encode())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, c.path(seenFile))
}
