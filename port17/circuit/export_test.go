package circuit

// Renew renews all keys now.
func (c *Circuit) Renew() { c.renew() }

// Renewed returns how many steps of the ratchet are complete.
func (c *Circuit) Renewed() int {
	c.renewal.mu.Lock()
	defer c.renewal.mu.Unlock()
	return c.renewal.steps
}

// CountWhileSealing counts as padding does, and so that the keys are due.
func (c *Circuit) CountWhileSealing() {
	c.sealing.Lock()
	defer c.sealing.Unlock()
	c.renewal.moved.Store(renewCells - 1)
	c.renewal.count(1)
}
