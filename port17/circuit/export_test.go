package circuit

// Renew renews all keys now.
func (c *Circuit) Renew() { c.renew() }

// Renewed returns how many steps of the ratchet are complete.
func (c *Circuit) Renewed() int {
	c.renewal.mu.Lock()
	defer c.renewal.mu.Unlock()
	return c.renewal.steps
}
