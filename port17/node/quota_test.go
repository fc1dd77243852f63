package node

import "testing"

// Nobody gets all that there is, and the last can take some too.
func TestQuota(t *testing.T) {
	q := quota{limit: 100}
	var held [4]int
	for i, want := range []int{50, 25, 13, 6} {
		for q.take(&held[i], 1) {
		}
		if held[i] != want {
			t.Errorf("number %d got %d, want %d", i, held[i], want)
		}
	}
	if q.take(&held[3], 1) || !q.take(&held[3], 0) {
		t.Error("more was taken than there may be, or nothing could not be")
	}
	q.give(&held[0], 50)
	if got := q.taken(); got != 44 || held[0] != 0 {
		t.Errorf("%d taken, of which %d by who gave all back", got, held[0])
	}
	var late int
	if q.take(&late, 57) || !q.take(&late, 56) || q.taken() != 100 {
		t.Error("what is free can't be taken at once, or more can")
	}
}
