package token

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// load reads all files of the folder, deletes those of epochs that are over,
// and makes the rest durable.
func (s *Spent) load() error {
	var err error
	if s.floor, err = readFloor(s.dir); err != nil {
		return err
	}
	names, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("read the spent set: %w", err)
	}
	s.epochs = make(map[uint64]*epoch)
	for _, n := range names {
		if err := s.loadName(n.Name()); err != nil {
			return errors.Join(fmt.Errorf("read the spent set: %w", err), closeFiles(slices.Collect(maps.Values(s.epochs))))
		}
	}
	return nil
}

func (s *Spent) loadName(name string) error {
	path := filepath.Join(s.dir, name)
	hex, ours := strings.CutSuffix(name, spentSuffix)
	switch {
	case strings.HasSuffix(name, newSuffix):
		return os.Remove(path)
	case !ours:
		return nil
	}
	number, err := strconv.ParseUint(hex, 16, 64)
	if err != nil || path != epochPath(s.dir, number) {
		return fmt.Errorf("%s has no name of an epoch's file: move it away", path)
	}
	if number < s.floor {
		return os.Remove(path)
	}
	e, err := openEpoch(path, number, s.disk)
	if err != nil {
		return err
	}
	s.epochs[number] = e
	s.count += len(e.keys)
	return nil
}

// openEpoch reads a file, cuts off what a crash left half written, and makes
// sure that the rest is durable.
func openEpoch(path string, number uint64, d disk) (*epoch, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	e := &epoch{number: number, file: f}
	if err := e.read(d); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

func (e *epoch) read(d disk) error {
	info, err := e.file.Stat()
	if err != nil {
		return err
	}
	h := make([]byte, recordSize)
	if _, err := e.file.ReadAt(h, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(h) != string(header(epochMagic, e.number)) {
		return damage(0)
	}
	e.seed = binary.BigEndian.Uint32(h[crcAt:])
	slots := info.Size()/recordSize - 1
	if slots > maxRecords {
		return fmt.Errorf("%d bytes are more than a spent set may have", info.Size())
	}
	e.keys = make(map[[32]byte]struct{}, slots)
	scan := scanner{epoch: e, bad: -1}
	if err := scan.read(io.NewSectionReader(e.file, recordSize, slots*recordSize)); err != nil {
		return err
	}
	if scan.bad >= 0 {
		e.records = uint32(scan.bad)
	} else {
		e.records = scan.next
	}
	e.sealed = scan.synced == e.records && e.records > 0
	if e.sealed {
		scan.synced-- // a seal counts itself
	}
	return e.repair(scan.synced, d)
}

// repair cuts the file behind its last good record, and writes the last batch
// or the seal anew: it was read from the kernel's memory, which does not mean
// that it is on the disk, and the next batch will count it as durable.
func (e *epoch) repair(synced uint32, d disk) error {
	if err := e.file.Truncate(recordSize * (1 + int64(e.records))); err != nil {
		return fmt.Errorf("cut off what a crash left half written: %w", err)
	}
	last := make([]byte, recordSize*int64(e.records-synced))
	offset := recordSize * (1 + int64(synced))
	if _, err := e.file.ReadAt(last, offset); err != nil {
		return err
	}
	if _, err := d.write(e.file, last, offset); err != nil {
		return fmt.Errorf("write the last spent tokens anew: %w", err)
	}
	if err := d.sync(e.file); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// A scanner reads the records of an epoch.
type scanner struct {
	epoch  *epoch
	next   uint32 // number of the next record
	synced uint32 // highest count of durable records that a good one has
	bad    int64  // first bad record, or -1
}

func (s *scanner) read(in io.Reader) error {
	chunk := make([]byte, recordSize*(1<<15))
	for {
		n, err := io.ReadFull(in, chunk)
		for at := 0; at+recordSize <= n; at += recordSize {
			if err := s.record((*[recordSize]byte)(chunk[at:])); err != nil {
				return err
			}
			s.next++
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (s *scanner) record(r *[recordSize]byte) error {
	synced := binary.BigEndian.Uint32(r[syncedAt:])
	seal := synced == s.next+1
	good := crc32.Update(s.epoch.seed^s.next, castagnoli, r[:crcAt]) == binary.BigEndian.Uint32(r[crcAt:]) &&
		(synced <= s.next || seal)
	switch {
	case !good && s.bad < 0:
		s.bad = int64(s.next)
	case good && s.bad >= 0 && int64(synced) > s.bad:
		return damage(recordSize * (1 + s.bad))
	case good && s.bad < 0:
		s.synced = max(s.synced, synced)
		if !seal {
			s.epoch.keys[[32]byte(r[:])] = struct{}{}
		}
	}
	return nil
}

func damage(offset int64) error {
	return fmt.Errorf("damaged at byte %d: tokens spent there are not known any more: "+
		"restore the file, or keep the node off until the epoch is over and delete it then", offset)
}
