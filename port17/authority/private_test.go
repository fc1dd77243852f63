package authority

import (
	"errors"
	"testing"
	"time"

	"safing/netmap"
)

// An authority sends nobody to addresses inside their own networks.
func TestPrivateAddressIsRefused(t *testing.T) {
	f := start(t)
	f.a.network.PrivateAddresses = false
	if err := f.a.Add(t.Context(), descriptor(t, 1, time.Now())); !errors.Is(err, netmap.ErrDescriptor) {
		t.Errorf("a node on loopback: %v, want %v", err, netmap.ErrDescriptor)
	}
}
