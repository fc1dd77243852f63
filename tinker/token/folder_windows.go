package token

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockFolder takes the folder for this process until the file is closed or the
// process ends: nobody else can open a file that is shared with nobody.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	const shareWithNobody = 0
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, shareWithNobody, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w: end the process that has it open", path, err)
	}
	return os.NewFile(uintptr(handle), path), nil
}

// syncFolder does nothing: NTFS keeps names in its journal, and a folder cannot
// be synced.
func syncFolder(string) error { return nil }
