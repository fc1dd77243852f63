package node

import "sync"

// A quota is an amount that several share as links share circuits: who has less
// than what is free may take more.
type quota struct {
	mu          sync.Mutex
	limit, used int
}

// take says whether who holds so much may take n more, and takes it then.
// Nothing can always be taken.
func (q *quota) take(held *int, n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if free := q.limit - q.used; n > 0 && (*held >= free || n > free) {
		return false
	}
	q.used += n
	*held += n
	return true
}

func (q *quota) give(held *int, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used -= n
	*held -= n
}

// taken returns how much all hold.
func (q *quota) taken() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.used
}
