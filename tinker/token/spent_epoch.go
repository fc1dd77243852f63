package token

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// An epoch is the spent tokens of one epoch and their file. The file is a
// header and records, all of 40 bytes:
//
//	header  magic(16) epoch(8) zero(12) crc(4)
//	record  key(32) synced(4) crc(4)
//
// Numbers are big-endian. A header's CRC-32C is over what stands before it. A
// record's starts from the header's CRC XOR the record's number, counted from
// 0, so that a record is good in its own place and file only.
//
// The field synced is how many records were durable when this one was written:
// all before its batch. So a bad record is where the last write was torn if no
// later record counts it among the durable ones, and damage otherwise. A seal
// is a record that counts itself, with a zero key: it is written at the end of
// a file that was closed in order.
type epoch struct {
	number uint64
	keys   map[[32]byte]struct{} // under the set's mu

	// Of the writer alone, and of load before there is one:
	file    *os.File // nil until the first write
	seed    uint32   // CRC of the header
	records uint32   // in the file, durable
	sealed  bool     // the last one is a seal
	waiting [][32]byte
}

const (
	recordSize = 40
	crcAt      = recordSize - 4
	syncedAt   = crcAt - 4
	maxRecords = 1 << 31 // of a file, with its seals

	epochMagic  = "tinker/spent/1\x00\x00"
	spentSuffix = ".spent"
	newSuffix   = ".new" // of a file that is being made
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// has reports whether a key is in the set or under way to it. The caller holds
// the set's mu.
func (e *epoch) has(key [32]byte) bool {
	_, ok := e.keys[key]
	return ok
}

func epochPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x", number)+spentSuffix)
}

// header is the first 40 bytes of a file.
func header(magic string, number uint64) []byte {
	b := make([]byte, recordSize)
	copy(b, magic)
	binary.BigEndian.PutUint64(b[len(magic):], number)
	binary.BigEndian.PutUint32(b[crcAt:], crc32.Checksum(b[:crcAt], castagnoli))
	return b
}

// appendRecord appends the record of a number.
func (e *epoch) appendRecord(b []byte, number uint32, key [32]byte, synced uint32) []byte {
	b = append(b, key[:]...)
	b = binary.BigEndian.AppendUint32(b, synced)
	return binary.BigEndian.AppendUint32(b, crc32.Update(e.seed^number, castagnoli, b[len(b)-crcAt:]))
}

// write makes the waiting keys durable.
func (e *epoch) write(dir string, d disk) error {
	if e.file == nil {
		if err := e.create(dir, d); err != nil {
			return err
		}
	}
	b := make([]byte, 0, len(e.waiting)*recordSize)
	for i, key := range e.waiting {
		b = e.appendRecord(b, e.records+uint32(i), key, e.records)
	}
	if err := e.append(b, d); err != nil {
		return err
	}
	e.records += uint32(len(e.waiting))
	e.waiting = nil
	e.sealed = false
	return nil
}

// seal ends the file in order.
func (e *epoch) seal(d disk) error {
	if e.sealed || e.records == 0 {
		return nil
	}
	if err := e.append(e.appendRecord(nil, e.records, [32]byte{}, e.records+1), d); err != nil {
		return err
	}
	e.records++
	e.sealed = true
	return nil
}

// append writes records behind those that the file has, and syncs it.
func (e *epoch) append(records []byte, d disk) error {
	if _, err := d.write(e.file, records, recordSize*(1+int64(e.records))); err != nil {
		return fmt.Errorf("write spent tokens: %w", err)
	}
	if err := d.sync(e.file); err != nil {
		return fmt.Errorf("sync %s: %w", e.file.Name(), err)
	}
	return nil
}

// create makes the file. It has its name only once its header is durable, so a
// bad header is damage, never a torn write.
func (e *epoch) create(dir string, d disk) error {
	h := header(epochMagic, e.number)
	path := epochPath(dir, e.number)
	err := replaceFile(path, h, d)
	if err == nil {
		e.file, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil {
		return fmt.Errorf("make the file of spent tokens of epoch %d: %w", e.number, err)
	}
	e.seed = binary.BigEndian.Uint32(h[crcAt:])
	return nil
}
